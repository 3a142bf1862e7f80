"""Comparison of an exported file with its model, image by image, in the file's own runtime.

N images of a batch, K classes.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import asdict, dataclass
from itertools import groupby, islice
from pathlib import Path
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from PIL import Image

from verydeep.data.images.member import ImageSource
from verydeep.data.pipeline.rescaled import Pixels, TestPicture, TestPictures
from verydeep.errors import ModelError, PictureError, plural, printable
from verydeep.evaluation.calibration import temper
from verydeep.evaluation.posteriors import answer_of
from verydeep.evaluation.sigmoid import sigmoid
from verydeep.evaluation.softmax import softmax
from verydeep.evaluation.view_batching import show
from verydeep.evaluation.views import Center, Dense, Views
from verydeep.models.classifier import Classifier
from verydeep.models.engines.eager import Eager
from verydeep.models.exported.metadata import Metadata
from verydeep.models.exported.session import Session
from verydeep.system.device import Machine
from verydeep.system.progress import Progress

BOUND = 1e-4
"""Largest accepted difference of a probability, for files in float32."""

AT_ONCE = (1, 4)
"""Images of the first batch and of the others, so that several sizes are tried."""


@dataclass(frozen=True)
class PictureParity:
    """Comparison of the answers to one image.

    Attributes:
        image: Name of the image.
        difference: Largest absolute difference of a probability.
        likeliest: Most likely class according to the model.
        by_file: Most likely class according to the file.
    """

    image: str
    difference: float
    likeliest: str
    by_file: str

    @property
    def changed(self) -> bool:
        """True if the most likely class differs."""
        return self.likeliest != self.by_file


@dataclass(frozen=True)
class Parity:
    """Parity report of an exported file.

    Attributes:
        pictures: Comparison of every readable image.
        unreadable: Reasons why other images were left out.
        view: What was shown of every image, in words.
        runtime: Name and version of the file's runtime.
        reference: Name and version of PyTorch, with its precision.
        bound: Largest accepted difference of a probability.
    """

    pictures: tuple[PictureParity, ...]
    unreadable: tuple[str, ...]
    view: str
    runtime: str
    reference: str
    bound: float

    @property
    def largest_difference(self) -> float:
        """Largest absolute difference of a probability over all images; NaN if there is one."""
        return float(np.max([one.difference for one in self.pictures]))

    @property
    def changed(self) -> int:
        """Number of images whose most likely class differs."""
        return sum(one.changed for one in self.pictures)

    @property
    def holds(self) -> bool:
        """True if no difference exceeds the bound."""
        return self.largest_difference <= self.bound  # false for NaN, too

    def to_dict(self) -> dict[str, Any]:
        """Return plain values for JSON."""
        return {
            "holds": self.holds,
            "largest_difference": self.largest_difference,
            "bound": self.bound,
            "likeliest_changed": self.changed,
            "images": len(self.pictures),
            "view": self.view,
            "runtime": self.runtime,
            "reference": self.reference,
            "unreadable": list(self.unreadable),
            "pictures": [{**asdict(one), "changed": one.changed} for one in self.pictures],
        }

    def lines(self) -> Iterator[str]:
        """Yield the report line by line."""
        yield f"{self.runtime} against {self.reference}"
        yield f"{plural(len(self.pictures), 'image')}, {self.view}"
        yield (
            f"largest difference of a probability: {self.largest_difference:.2g} "
            f"(at most {self.bound:g} is accepted)"
        )
        yield f"likeliest class changed: {self.changed} of {len(self.pictures)}"
        if self.unreadable:
            yield f"unreadable and left out: {len(self.unreadable)}"

    def text(self) -> str:
        """Return the report with a line for each image."""
        rows = [
            f"{one.difference:10.2e}  {printable(one.image)}: {printable(one.likeliest)}"
            + (f", by the file {printable(one.by_file)}" if one.changed else "")
            for one in self.pictures
        ]
        return "\n".join([*self.lines(), "", "difference  image: likeliest class", *rows, ""])


def compare(
    model: Classifier,
    metadata: Metadata,
    session: Session,
    pictures: Sequence[ImageSource | Image.Image],
    *,
    bound: float = BOUND,
    progress: Progress | None = None,
) -> Parity:
    """Run images through an exported file and its model, and compare the probabilities.

    Every image is rescaled to the middle test scale. A file that takes crops only is shown the
    central crop, a dense one the whole image. The model is computed by PyTorch in float32.

    Args:
        model: The model.
        metadata: Description of the file.
        session: The file in its runtime.
        pictures: Files, or images in memory.
        bound: Largest accepted difference of a probability.
        progress: Progress reporting.

    Raises:
        PictureError: None of the images can be read.
        ModelError: The outputs of the file have other shapes than those of the model.
    """
    machine = Machine(torch.device("cpu"), "fp32")
    exact = Eager(model.net, model.preprocessing, machine, exact_answers=True)
    scale = metadata.proof_scale
    tested = TestPictures(pictures, (scale,), interpolation=metadata.interpolation)
    found: list[PictureParity] = []
    with (progress or Progress()).task("comparing answers", len(pictures)) as task:
        for indices, images in _batches(tested, metadata, scale):
            ours, theirs = _posteriors(model, exact, images), session.run(images).probabilities
            if ours.shape != theirs.shape:
                raise ModelError(f"the file answers {theirs.shape}, the model {ours.shape}")
            names = (_name(pictures[index], index) for index in indices)
            found += map(_Compare(model), names, ours, theirs)
            task.update(indices[-1] + 1)
    if not found:
        reasons = "".join(f"\n  {fault}" for fault in [*tested.unreadable.values()][:10])
        raise PictureError(f"none of the images to compare answers on can be read:{reasons}")
    shown = "the whole image" if metadata.dense else "the central crop"
    return Parity(
        tuple(found),
        tuple(tested.unreadable.values()),
        f"{shown} at Q = {scale}",
        session.runtime,
        f"PyTorch {torch.__version__}, fp32, cpu",
        bound,
    )


def _batches(
    tested: TestPictures, metadata: Metadata, scale: int
) -> Iterator[tuple[list[int], Pixels]]:
    """Yield batches of neighbouring views of one size, with the indices of the images."""
    views: Views = Dense(flip=False) if metadata.dense else Center(flip=False)

    def view_of(picture: TestPicture) -> tuple[int, Pixels]:
        pixels = picture.at(scale)
        height, width, _ = pixels.shape
        (view,) = views(height, width, metadata.input_size)
        return picture.index, show(pixels, view)

    for _, group in groupby(map(view_of, tested), key=lambda pair: pair[1].shape):
        count, others = AT_ONCE
        while batch := [*islice(group, count)]:
            yield [index for index, _ in batch], np.stack([pixels for _, pixels in batch])
            count = others


def _posteriors(model: Classifier, exact: Eager, images: Pixels) -> NDArray[np.float32]:
    scores = exact.answers(torch.from_numpy(images.transpose(0, 3, 1, 2)))
    answer = answer_of("paper", sigmoid if model.multi_label else softmax)
    likely = answer(scores.numpy())
    kept = model.calibration
    return temper(likely, kept.temperature) if kept else likely


@dataclass(frozen=True)
class _Compare:
    model: Classifier

    def __call__(
        self, name: str, ours: NDArray[np.float32], theirs: NDArray[np.float32]
    ) -> PictureParity:
        first, second = (self.model.classes[int(one.argmax())] for one in (ours, theirs))
        return PictureParity(name, float(np.abs(ours - theirs).max()), first, second)


def _name(source: ImageSource | Image.Image, index: int) -> str:
    return f"image {index + 1}" if isinstance(source, Image.Image) else str(source)


def write_report(parity: Parity, folder: Path, name: str) -> None:
    """Write the parity report as ``NAME.parity.json`` and ``NAME.parity.txt``."""
    from verydeep.system.files import write_json, write_text

    write_json(folder / f"{name}.parity.json", parity.to_dict())
    write_text(folder / f"{name}.parity.txt", parity.text())
