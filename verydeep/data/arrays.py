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
        labels: N class names, or whole numbers, which become the names ``0``, ``1`` and so on.

    Raises:
        DataError: There are not as many labels as images, or fewer than two classes.
        InputError: An array is no image.
    """
    pictures = [one for image in images for one in list_pictures(image)]
    given = [str(label) for label in labels]
    if len(pictures) != len(given):
        raise DataError(f"{len(pictures)} images need as many labels, got {len(given)}")
    numbers = all(name.isdecimal() for name in given)
    ordered = sorted(set(given), key=int if numbers else None)
    classes = check_class_names(((name, MEMORY) for name in ordered), MEMORY)
    builder, numbered = SamplesBuilder(), {name: k for k, name in enumerate(ordered)}
    for index, (picture, name) in enumerate(zip(pictures, given, strict=True)):
        builder.add(_member(picture, index), numbered[name])
    return Dataset(Path(MEMORY), "images in memory", classes, {"all": builder.samples()})


def _member(picture: Path | Image.Image, index: int) -> Path | ArrayImage:
    if isinstance(picture, Path):
        return picture
    return ArrayImage(f"image {index}", np.asarray(picture))
