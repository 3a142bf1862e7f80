"""Images as callers may pass them: paths, folders, PIL images, arrays, and lists of these."""

from __future__ import annotations

import sys
from collections.abc import Iterable, Iterator, Sequence
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray
from PIL import Image

from verydeep.data.folders.passed_over import PassedOver
from verydeep.data.images.decode import upright_rgb
from verydeep.data.images.image_files import pictures_in
from verydeep.errors import InputError, PictureError
from verydeep.system.progress import Progress

Picture = str | Path | Image.Image | NDArray[np.uint8]


def list_pictures(
    pictures: Picture | Iterable[Picture], progress: Progress | None = None
) -> list[Path | Image.Image]:
    """Return every file or image, and log what was skipped in folders.

    Args:
        pictures: The images.
        progress: Progress reporting; None is silent.

    Raises:
        InputError: As for :func:`each_picture`.
    """
    passed = PassedOver()
    found = list(each_picture(pictures, passed))
    for note in passed.notes:
        (progress or Progress()).log(note)
    return found


def each_picture(
    pictures: Picture | Iterable[Picture], passed: PassedOver | None = None
) -> Iterator[Path | Image.Image]:
    """Yield every file or image, including the images in folders.

    Args:
        pictures: The images.
        passed: Counts what is skipped in folders.

    Raises:
        InputError: A file does not exist, or an array has the wrong shape or type.
    """
    if isinstance(pictures, np.ndarray):
        yield _from_array(pictures)
    elif isinstance(pictures, Image.Image):
        yield upright_rgb(pictures)
    elif isinstance(pictures, str | Path):
        yield from _files(Path(pictures), PassedOver() if passed is None else passed)
    elif isinstance(pictures, Iterable) and not _is_tensor(pictures):
        for picture in pictures:
            yield from each_picture(picture, passed)
    else:
        raise InputError(
            f"an image must be a path, a PIL image or an array, got {type(pictures).__name__}"
        )


def _is_tensor(value: object) -> bool:
    """Return whether a value is a tensor, without importing torch."""
    torch = sys.modules.get("torch")
    return torch is not None and isinstance(value, torch.Tensor)


def _files(path: Path, passed: PassedOver) -> Sequence[Path]:
    if not path.exists() and not path.is_symlink():
        raise PictureError(f"{path}: no such file or folder")
    if not path.is_dir():
        return [path]
    here = PassedOver()
    found = list(pictures_in(path, here))
    passed.add(here)
    if found:
        return found
    if here.pictures:
        raise PictureError(
            f"{path}: this folder contains only unreadable images: {here.pictures_in_words()}"
        )
    raise PictureError("; ".join([f"{path}: no images in this folder", *here.notes]))


def _from_array(pixels: NDArray[Any]) -> Image.Image:
    coloured = pixels.ndim == 3 and pixels.shape[2] == 3
    if pixels.dtype != np.uint8 or not (coloured or pixels.ndim == 2) or not pixels.size:
        raise InputError(
            "an image as an array must be uint8 of shape (H, W) or (H, W, 3), "
            f"got {pixels.dtype} of shape {pixels.shape} instead"
        )
    return Image.fromarray(pixels).convert("RGB")
