"""Compare an imported net with the source's own runtime, on images.

N images, S input size, K classes, C channels, s side of the last map.
"""

from __future__ import annotations

import importlib
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from typing import Any, Protocol, cast

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from verydeep.data.images.decode import decode
from verydeep.data.pipeline.rescaled import Rescale
from verydeep.errors import ModelError, printable
from verydeep.models.classifier import Classifier
from verydeep.models.weights.imported import Imported
from verydeep.models.weights.neighbours import FACTS
from verydeep.models.weights.source import Fact
from verydeep.system.progress import Progress

RUNTIMES: Mapping[str, str] = {
    "onnx": "onnx_runtime",
    "keras": "keras_runtime",
    "caffe": "opencv_runtime",
    "torchvision": "torchvision_runtime",
    "timm": "timm_runtime",
}
"""Module in ``runtimes`` by family of the file."""


NEIGHBOURS = "neighbour_runtime"
"""Module for the neighbours of the paper's nets in files of PyTorch."""


class Runtime(Protocol):
    """A module that runs a file of weights by the source's own library."""

    def run(self, imported: Imported, pixels: NDArray[np.float32]) -> NDArray[np.float32]:
        """Return class scores or probabilities (N, K), or the last map (N, C, s, s) without head.

        Args:
            imported: The net made of the file.
            pixels: Images as the source's net reads them, (N, 3, S, S), channels in its order.

        Raises:
            MissingExtra: The library is not installed.
            ModelError: The library cannot run the file.
        """


@dataclass(frozen=True)
class Comparison:
    """Difference between the imported net and its source on an image.

    Attributes:
        image: Name of the image.
        difference: Largest difference of the probabilities; without a head, of the last map,
            relative to its largest value.
        top_class: Most likely class of the imported net; None without a head.
        same_class: Whether the source agrees; None without a head.
    """

    image: str
    difference: float
    top_class: str | None = None
    same_class: bool | None = None

    def __str__(self) -> str:
        named = "" if self.top_class is None else f", {self.top_class}"
        agrees = "" if self.same_class is not False else ", where the source has another class"
        return f"  {printable(self.image)}: differs by {self.difference:.1e}{named}{agrees}"

    def to_dict(self) -> dict[str, Any]:
        """Return plain values for JSON."""
        return asdict(self)


def compare_with_source(
    imported: Imported, model: Classifier, images: Sequence[str | Path], progress: Progress
) -> Iterator[Comparison]:
    """Run images through the source's own runtime and the imported net, and compare.

    Every image is rescaled by the model's rule and cut to its central crop. Both are given pixels
    prepared by the same facts, so agreement proves the weights and their order, not the facts: with
    a wrong order of channels both are wrong alike.

    Raises:
        ModelError: No runtime is known for the format, or it cannot run the file.
        MissingExtra: The runtime is not installed.
        PictureError: An image cannot be read.
    """
    if imported.family not in RUNTIMES:
        raise ModelError(f"{imported.format}: no runtime for such files is known, so none compares")
    is_neighbour = imported.match.name in FACTS and imported.family != "caffe"
    own = NEIGHBOURS if is_neighbour else RUNTIMES[imported.family]
    name = f"verydeep.models.weights.runtimes.{own}"
    runtime = cast(Runtime, importlib.import_module(name))
    model = model.on(replace(model.machine, precision="fp32"))  # as the source computes
    crops = torch.stack([_central_crop(Path(image), model) for image in images])
    with progress.task("comparing with the source", len(images)):
        theirs = torch.from_numpy(runtime.run(imported, _as_read(crops, imported.facts)))
    ours = _outputs(model, crops)
    if ours.shape != theirs.shape:  # without the last pool, the file has larger maps
        raise ModelError(
            f"{printable(imported.path)}: the last pooled map has the sizes "
            f"{tuple(theirs.shape[1:])}, that of the net {tuple(ours.shape[1:])}, so nothing was "
            "compared"
        )
    for image, mine, source in zip(images, ours, theirs, strict=True):
        yield _compare(str(image), model, mine, source)


def _central_crop(image: Path, model: Classifier) -> Tensor:
    """Return the central crop of an image at the model's first test scale, uint8 (3, S, S)."""
    (pixels,) = Rescale(model.test_scales[:1])(decode(image))
    side = model.input_size
    top, left = ((length - side) // 2 for length in pixels.shape[:2])
    return torch.from_numpy(pixels[top : top + side, left : left + side].copy()).permute(2, 0, 1)


def _as_read(crops: Tensor, facts: Mapping[str, Fact]) -> NDArray[np.float32]:
    """Return the images as the source's net reads them."""
    mean, std = (torch.tensor(facts[name].value).view(3, 1, 1) for name in ("mean", "std"))
    pixels = (crops.double() - mean) / std
    return (pixels.flip(1) if facts["channels"].value == "bgr" else pixels).float().numpy()


def _outputs(model: Classifier, crops: Tensor) -> Tensor:
    if model.classes:
        return model.answers(crops).mean((2, 3)).softmax(1).cpu()
    return model.activation_map(crops, "pool5").cpu()


def _compare(image: str, model: Classifier, ours: Tensor, theirs: Tensor) -> Comparison:
    if not model.classes:
        most = ours.abs().max().clamp_min(1e-30)
        return Comparison(image, float((ours - theirs).abs().max() / most))
    theirs = theirs if _are_probabilities(theirs) else theirs.softmax(0)
    top = int(ours.argmax())
    same = top == int(theirs.argmax())
    return Comparison(image, float((ours - theirs).abs().max()), model.title(top), same)


def _are_probabilities(values: Tensor) -> bool:
    return bool((values >= 0).all()) and abs(float(values.sum()) - 1) < 1e-3
