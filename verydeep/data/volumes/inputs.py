"""Volumes to predict: files, and folders of them."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import Any

from verydeep.data.images.image_files import has_own_pictures
from verydeep.data.volumes.layout import volumes_in
from verydeep.errors import InputError, PictureError


def list_volumes(given: Any) -> list[Path]:
    """Return the files of volumes, and the folders of slices, that paths stand for.

    A folder of images is one volume; any other folder stands for the volumes in it.

    Args:
        given: A path, or several.

    Raises:
        InputError: Something is no path, or there is no such file.
        PictureError: There is no volume in a folder.
    """
    return list(_each(given))


def _each(given: Any) -> Iterator[Path]:
    if isinstance(given, str | Path):
        yield from _of(Path(given))
    elif isinstance(given, Iterable):
        for one in given:
            yield from _each(one)
    else:
        raise InputError(f"a volume must be a path, got {type(given).__name__}")


def _of(path: Path) -> list[Path]:
    if not path.exists():
        raise PictureError(f"{path}: no such file or folder")
    if not path.is_dir() or has_own_pictures(path):
        return [path]
    found = volumes_in(path)
    if not found:
        raise PictureError(f"{path}: no volumes in this folder (.npy, .nii, .nii.gz, or slices)")
    return found
