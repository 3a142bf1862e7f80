"""Images in memory, with their labels, as a data set."""

from __future__ import annotations

import io
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray
from PIL import Image

from verydeep.data.class_names import check_class_names
from verydeep.data.dataset import Dataset
from verydeep.data.images.inputs import list_pictures
from verydeep.data.images.member import Member
from verydeep.data.label_sets import LabelSetTable
from verydeep.data.name_forms import nfc
from verydeep.data.samples import SamplesBuilder
from verydeep.errors import DataError

MEMORY = "memory"
"""The place of a data set that is on no disk."""


@dataclass(frozen=True, slots=True, eq=False)
class ArrayImage(Member):
    """An image in memory.

    Attributes:
        name: Its name within the data set.
        pixels: uint8 (H, W, 3).
    """

    name: str
    pixels: NDArray[np.uint8]

    def read(self) -> bytes:
        """Return the image as a PNG file, which keeps every pixel."""
        file = io.BytesIO()
        Image.fromarray(self.pixels).save(file, "PNG", compress_level=1)
        return file.getvalue()

    def __str__(self) -> str:
        return self.name


def dataset_of(images: Iterable[Any], labels: Sequence[Any]) -> Dataset:
    """Return images in memory as a data set that nothing divides into splits yet.

    Args:
        images: N PIL images or uint8 arrays (H, W, 3) or (H, W), of any sizes.
        labels: N class names, or whole numbers, which become the names ``0``, ``1`` and so on; or
            lists of them, for images of several classes or none.

    Raises:
        DataError: There are not as many labels as images, fewer than two classes, a label that is
            neither a name nor a whole number, or files among images in memory.
        InputError: An array is no image.
    """
    pictures = [one for image in images for one in list_pictures(image)]
    several = any(isinstance(label, _SEVERAL) for label in labels)
    given = [_names(label, index) for index, label in enumerate(labels)]
    if len(pictures) != len(given):
        raise DataError(f"{len(pictures)} images need as many labels, got {len(given)}")
    if len({isinstance(picture, Path) for picture in pictures}) > 1:
        raise DataError("files among images in memory: open them first (PIL.Image.open)")
    every = {name for names in given for name in names}
    numbers = all(name.isdecimal() for name in every)
    ordered = sorted(every, key=int if numbers else None)
    classes = check_class_names(((name, MEMORY) for name in ordered), MEMORY)
    builder, numbered = SamplesBuilder(), {name: k for k, name in enumerate(ordered)}
    table = LabelSetTable()
    for index, (picture, names) in enumerate(zip(pictures, given, strict=True)):
        found = [numbered[name] for name in names]
        builder.add(_member(picture, index), table.number(found) if several else found[0])
    samples = builder.samples()
    if several:
        samples = samples.with_sets(table.sets(), samples.labels)
    return Dataset(Path(MEMORY), "images in memory", classes, {"all": samples})


_SEVERAL = (list, tuple, set, frozenset)


def _names(label: Any, index: int) -> list[str]:
    return [_name(one, index) for one in (label if isinstance(label, _SEVERAL) else (label,))]


def _name(label: Any, index: int) -> str:
    scalar = getattr(label, "ndim", None) == 0  # of numpy or torch
    value = label.item() if scalar else label
    if isinstance(value, str | int):
        return nfc(str(value))
    shape = "" if scalar or not hasattr(label, "shape") else f" of shape {tuple(label.shape)}"
    raise DataError(
        f"label {index}: must be a name or a whole number, or a list of them for several classes, "
        f"got {type(label).__name__}{shape} instead"
    )


def _member(picture: Path | Image.Image, index: int) -> Path | ArrayImage:
    if isinstance(picture, Path):
        return picture
    return ArrayImage(f"image {index}", np.asarray(picture))
