"""What people give as pictures: paths, folders, PIL images, arrays, and lists of them."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray
from PIL import Image
from torch import Tensor

from verydeep.data.decode import upright_rgb
from verydeep.data.pictures import pictures_in
from verydeep.errors import InputError, PictureError

Picture = str | Path | Image.Image | NDArray[np.uint8]


def each_picture(pictures: Picture | Iterable[Picture]) -> Iterator[Path | Image.Image]:
    """Yield every file or picture that is meant; a folder stands for the pictures in it.

    Raises:
        InputError: A file does not exist, or an array has another shape or type.
    """
    if isinstance(pictures, np.ndarray):
        yield _from_array(pictures)
    elif isinstance(pictures, Image.Image):
        yield upright_rgb(pictures)
    elif isinstance(pictures, str | Path):
        yield from _files(Path(pictures))
    elif isinstance(pictures, Iterable) and not isinstance(pictures, Tensor):
        for picture in pictures:
            yield from each_picture(picture)
    else:
        raise InputError(
            f"a picture must be a path, a PIL image or an array, got {type(pictures).__name__}"
        )


def _files(path: Path) -> Sequence[Path]:
    if not path.exists():
        raise PictureError(f"{path}: no such file or folder")
    if not path.is_dir():
        return [path]
    found = list(pictures_in(path))
    if not found:
        raise PictureError(f"{path}: no pictures in this folder")
    return found


def _from_array(pixels: NDArray[Any]) -> Image.Image:
    coloured = pixels.ndim == 3 and pixels.shape[2] == 3
    if pixels.dtype != np.uint8 or not (coloured or pixels.ndim == 2) or not pixels.size:
        raise InputError(
            "a picture as an array must be uint8 of shape (H, W) or (H, W, 3), "
            f"got {pixels.dtype} of shape {pixels.shape} instead"
        )
    return Image.fromarray(pixels).convert("RGB")
