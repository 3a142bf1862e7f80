"""Subjects of inspection: a net, an input image and a class to explain.

K classes; H, W: sides of the image; h, w: sides of a score map.
"""

from __future__ import annotations

import math
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import NamedTuple

import torch
from PIL import Image
from torch import Tensor

from verydeep.data.geometry import center_window
from verydeep.data.pipeline.rescaled import TestPictures
from verydeep.data.volumes.geometry import center_cuboid
from verydeep.errors import InputError, did_you_mean, printable
from verydeep.evaluation.posteriors import not_finite
from verydeep.models.classifier import Classifier
from verydeep.nets.dimensions import INPUT_WORDS
from verydeep.system.option_names import option


@dataclass(frozen=True, eq=False)
class Subject:
    """A net, an input image and the class to explain.

    Attributes:
        model: The net.
        name: Display name of the image.
        pixels: Upright, rescaled or cropped input image, uint8 (3, H, W) on the CPU; H and W at
            least ``model.input_size``; of a volume (3, D, H, W). On a larger image the net is
            applied densely, and its scores are averaged over the positions.
        probabilities: Softmax of the averaged scores, or sigmoid if the net is multi-label,
            float32 (K,); empty if the net has convolutions only.
        label: Class to explain, by default the most likely one; -1 without classes.
    """

    model: Classifier
    name: str
    pixels: Tensor
    probabilities: Tensor
    label: int

    @property
    def title(self) -> str:
        """Title of the explained class."""
        return self.model.title(self.label) if self.model.classes else ""

    @property
    def activation(self) -> str:
        """What makes probabilities of scores: softmax, or sigmoid if the net is multi-label."""
        return "sigmoid" if self.model.multi_label else "softmax"

    @property
    def quoted(self) -> str:
        """Title in quotation marks, for use in a sentence."""
        return f"“{self.title}”"


MOST_PIXELS = 2**20
"""Maximum number of pixels of an inspected image, whose maps and gradients are all in memory."""


def too_large(*sides: int) -> str:
    """Return the message for an image of these sides with more than :data:`MOST_PIXELS`.

    Args:
        sides: H, W; or D, H, W of a volume.
    """
    size = "x".join(map(str, reversed(sides)))
    return (
        f"{size} {INPUT_WORDS[len(sides)].unit} are too many to inspect, since all maps are kept "
        f"in memory: at most {MOST_PIXELS:,}; choose a smaller {option('scale')}, or "
        f"{option('center', True)}"
    )


NAMED = 20
"""Maximum number of classes listed in a message."""


class LoadedSubject(NamedTuple):
    """A subject and its source: a file or an image in memory."""

    subject: Subject
    source: Path | Image.Image


@dataclass
class Subjects:
    """Iterable of subjects made from images.

    Attributes:
        model: The net.
        sources: Files or images in memory.
        scale: Smallest side of the rescaled images, in pixels.
        center: Whether to crop the central square of the net's input size.
        label: Class to explain; None means the most likely one of each image.
        unreadable: Reasons for skipped images, filled by iteration.
    """

    model: Classifier
    sources: Sequence[Path | Image.Image]
    scale: int
    center: bool = False
    label: int | None = None
    unreadable: list[str] = field(default_factory=list)

    def __len__(self) -> int:
        return len(self.sources)

    def __iter__(self) -> Iterator[LoadedSubject]:
        """Yield the usable subjects in order."""
        pictures = TestPictures(self.sources, (self.scale,), dimensions=self.model.dimensions)
        large: dict[int, str] = {}
        for picture in pictures:
            source = self.sources[picture.index]
            file = source if isinstance(source, Path) else None
            name = printable(file.name) if file else f"image {picture.index + 1}"
            pixels = self._shown(torch.from_numpy(picture.at(self.scale).copy()).movedim(-1, 0))
            sides = pixels.shape[1:]
            if math.prod(sides) > MOST_PIXELS:
                where = printable(file) if file else name
                large[picture.index] = f"{where}: {too_large(*sides)}"
            else:
                subject = make_subject(self.model, name, pixels, self.label)
                yield LoadedSubject(subject, source)
        faults = {**pictures.unreadable, **large}
        self.unreadable = [faults[index] for index in sorted(faults)]

    def _shown(self, pixels: Tensor) -> Tensor:
        if not self.center:
            return pixels.contiguous()
        side = self.model.input_size
        *depth, height, width = pixels.shape[1:]
        part = (
            center_cuboid((depth[0], height, width), side)
            if depth
            else center_window(height, width, side)
        )
        return pixels[(slice(None), *part.slices)].contiguous()


def make_subject(model: Classifier, name: str, pixels: Tensor, label: int | None = None) -> Subject:
    """Return a subject.

    Args:
        model: The net.
        name: Display name of the image.
        pixels: Input image, uint8 (3, H, W), or volume, uint8 (3, D, H, W).
        label: Class to explain; None means the most likely one.

    Raises:
        ModelError: The net's scores are not finite.
    """
    if not model.classes:
        return Subject(model, name, pixels, torch.empty(0), -1)
    scores = model.score_map(pixels[None])[0].flatten(1).mean(1)
    if not bool(scores.isfinite().all()):
        raise not_finite()
    probabilities = probabilities_of(model, scores).cpu()
    chosen = int(probabilities.argmax()) if label is None else label
    return Subject(model, name, pixels, probabilities, chosen)


def probabilities_of(model: Classifier, scores: Tensor) -> Tensor:
    """Return the probabilities of scores, whose last axis is that of the classes.

    They come from the softmax, or from the sigmoid if the model is multi-label.
    """
    return scores.sigmoid() if model.multi_label else scores.softmax(-1)


def find_class(model: Classifier, name: str) -> int:
    """Return the index of a class by its name or title.

    Raises:
        InputError: The model has no such class, or several with this title.
    """
    names = list(model.classes)
    if name in names:
        return names.index(name)
    titles = [model.title(label) for label in range(len(names))]
    named = [label for label, title in enumerate(titles) if title == name]
    if len(named) > 1:
        raise InputError(
            f"{len(named)} classes are called {name!r}; give the name of one: "
            f"{', '.join(names[label] for label in named)}"
        )
    if named:
        return named[0]
    known = ", ".join(titles[:NAMED]) + (", …" if len(titles) > NAMED else "")
    raise InputError(
        f"the model knows no class {name!r}; it knows {known}"
        f"{did_you_mean(name, [*model.classes, *titles])}"
    )
