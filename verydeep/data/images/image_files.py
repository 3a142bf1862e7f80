"""Images in folders, recognised by file extension; none is opened."""

from __future__ import annotations

import os
from collections.abc import Iterator
from pathlib import Path

from verydeep.data.folders.content import Content
from verydeep.data.folders.links import Links
from verydeep.data.folders.passed_over import PassedOver
from verydeep.data.folders.system_files import is_system_folder
from verydeep.data.folders.walk import Walk, suffix_of
from verydeep.data.images.formats import SUFFIXES
from verydeep.errors import DataError


def pictures_in(folder: Path, passed: PassedOver | None = None) -> Iterator[Path]:
    """Yield the images in a folder and below, sorted by name.

    Args:
        folder: The folder.
        passed: Counts what is skipped: other files, system files, links.

    Raises:
        DataError: A folder cannot be read.
    """
    return map(Path, picture_names(folder, passed))


def picture_names(
    folder: Path, passed: PassedOver | None = None, links: Links | None = None
) -> Iterator[str]:
    """Yield the same paths as text, in a third of the time.

    Args:
        folder: The folder; that of a class, where there are classes.
        passed: Counts what is skipped.
        links: Linked folders of the whole data set, if there are classes.

    Raises:
        DataError: A folder cannot be read, or a link would give images two classes.
    """
    passed = PassedOver() if passed is None else passed
    return iter(Walk(str(folder), passed, links or Links(lambda: [folder])))


def refuse_unreadable(folder: Path) -> None:
    """Refuse the folder of a class whose images all have unreadable formats.

    Raises:
        DataError: None of its images can be read.
    """
    passed = PassedOver()
    if not any(True for _ in picture_names(folder, passed)) and passed.pictures:
        raise DataError(
            f"{folder}: contains only unreadable images: {passed.pictures_in_words()}. Do that, or "
            "move the folder away"
        )


def has_pictures(folder: Path) -> bool:
    """Return whether there is an image in a folder or below."""
    return any(True for _ in picture_names(folder))


def own_pictures(folder: Path) -> Iterator[str]:
    """Yield the names of the images directly in a folder, unsorted."""
    with os.scandir(folder) as entries:
        for one in entries:
            if suffix_of(one.name) in SUFFIXES and one.name[0] != "." and not _is_folder(one):
                yield one.name


def has_own_pictures(folder: Path) -> bool:
    """Return whether there are images directly in a folder."""
    return any(True for _ in own_pictures(folder))


def folders_in(folder: Path) -> list[Path]:
    """Return the folders in a folder, sorted by name, without hidden and system ones."""
    with os.scandir(folder) as entries:
        names = [one.name for one in entries if _is_folder(one) and not is_system_folder(one.name)]
    return [folder / name for name in sorted(names)]


def _is_folder(entry: os.DirEntry[str]) -> bool:
    """Return whether an entry is a folder; a circular link is not."""
    try:
        return entry.is_dir()
    except OSError:
        return False


IMAGES = Content("image", own_pictures, picture_names, refuse_unreadable)
"""Class folders of images."""
