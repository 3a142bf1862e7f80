"""What is looked into: a net, an image as the net is shown it, and the class that is asked about.

K classes; H, W sides of the image; h, w sides of a score map.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import NamedTuple

import torch
from PIL import Image
from torch import Tensor

from verydeep.data.geometry import center_window
from verydeep.data.pipeline.rescaled import TestPictures
from verydeep.errors import InputError, did_you_mean, printable
from verydeep.models.classifier import Classifier
from verydeep.system.option_names import option


@dataclass(frozen=True, eq=False)
class Subject:
    """An image in front of a net.

    Attributes:
        model: The net.
        name: Of the image, for people.
        pixels: uint8 (3, H, W) on the CPU: the upright image, rescaled or cut as the net is
            shown it; H and W at least ``model.input_size``. If larger, the net answers densely,
            with a map of scores, and its answer is their average over the positions.
        probabilities: float32 (K,), the softmax of the averaged scores.
        label: The class that is asked about; the likeliest, unless the user says another.
    """

    model: Classifier
    name: str
    pixels: Tensor
    probabilities: Tensor
    label: int

    @property
    def title(self) -> str:
        """Name of the class that is asked about."""
        return self.model.title(self.label)

    @property
    def quoted(self) -> str:
        """The same within a sentence, where a class called 3 would be read as a number."""
        return f"“{self.title}”"


MOST_PIXELS = 2**20
"""Of an image that is looked into: all its maps are kept at once, and their gradients."""


def too_large(height: int, width: int) -> str:
    """Return what to say of an image with more than :data:`MOST_PIXELS`."""
    return (
        f"{width}x{height} pixels are too many to look inside a net with, which keeps every map: "
        f"at most {MOST_PIXELS:,}; choose a smaller {option('scale')}, or {option('center', True)}"
    )


NAMED = 20
"""Classes that a message lists, at most."""


class Found(NamedTuple):
    """An image in front of a net, and what it was made from: a file, or one in memory."""

    subject: Subject
    source: Path | Image.Image


@dataclass
class Subjects:
    """Images that stand in front of a net one after the other.

    Attributes:
        model: The net.
        sources: Files, or images in memory.
        scale: Smallest side they are rescaled to, in pixels.
        center: Whether the net is shown the central square of its input size alone.
        label: The class that is asked about; None takes the likeliest of each image.
        unreadable: Reasons why images were left out, known after a pass.
    """

    model: Classifier
    sources: Sequence[Path | Image.Image]
    scale: int
    center: bool = False
    label: int | None = None
    unreadable: list[str] = field(default_factory=list)

    def __len__(self) -> int:
        return len(self.sources)

    def __iter__(self) -> Iterator[Found]:
        """Yield every image that can be looked into, in order."""
        pictures = TestPictures(self.sources, (self.scale,))
        large: dict[int, str] = {}
        for picture in pictures:
            source = self.sources[picture.index]
            file = source if isinstance(source, Path) else None
            name = printable(file.name) if file else f"image {picture.index + 1}"
            pixels = self._shown(torch.from_numpy(picture.at(self.scale).copy()).permute(2, 0, 1))
            height, width = pixels.shape[1:]
            if height * width > MOST_PIXELS:
                where = printable(file) if file else name
                large[picture.index] = f"{where}: {too_large(height, width)}"
            else:
                yield Found(make_subject(self.model, name, pixels, self.label), source)
        faults = {**pictures.unreadable, **large}
        self.unreadable = [faults[index] for index in sorted(faults)]

    def _shown(self, pixels: Tensor) -> Tensor:
        if not self.center:
            return pixels.contiguous()
        height, width = pixels.shape[1:]
        top, left, height, width = center_window(height, width, self.model.input_size)
        return pixels[:, top : top + height, left : left + width].contiguous()


def make_subject(model: Classifier, name: str, pixels: Tensor, label: int | None = None) -> Subject:
    """Stand an image in front of a net.

    Args:
        model: The net.
        name: Of the image.
        pixels: uint8 (3, H, W), as the net is to be shown it.
        label: The class that is asked about; None takes the likeliest.
    """
    scores = model.score_map(pixels[None])[0].mean((1, 2))
    probabilities = scores.softmax(0).cpu()
    chosen = int(probabilities.argmax()) if label is None else label
    return Subject(model, name, pixels, probabilities, chosen)


def find_class(model: Classifier, name: str) -> int:
    """Return the number of a class, given its name or its title.

    Raises:
        InputError: The model has no such class.
    """
    titles = [model.title(label) for label in range(len(model.classes))]
    for names in (list(model.classes), titles):
        if name in names:
            return names.index(name)
    known = ", ".join(titles[:NAMED]) + (", …" if len(titles) > NAMED else "")
    raise InputError(
        f"the model knows no class {name!r}; it knows {known}"
        f"{did_you_mean(name, [*model.classes, *titles])}"
    )
