"""Images in folders, told by the endings of their names; none is opened."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from pathlib import Path

from verydeep.data.folders.links import Links
from verydeep.data.folders.passed_over import PassedOver
from verydeep.data.folders.system_files import is_system_folder
from verydeep.data.folders.walk import Walk
from verydeep.errors import DataError, plural


def pictures_in(folder: Path, passed: PassedOver | None = None) -> Iterator[Path]:
    """Yield the images in a folder and below, by suffix, in order of their names.

    Args:
        folder: Where to look.
        passed: Counts what is passed over: other files, those of systems and network drives, links.

    Raises:
        DataError: A folder cannot be read.
    """
    return map(Path, picture_names(folder, passed))


def picture_names(
    folder: Path, passed: PassedOver | None = None, links: Links | None = None
) -> Iterator[str]:
    """Yield the same as text, which takes a third of the time.

    Args:
        folder: Where to look: the folder of a class, where there are classes.
        passed: Counts what is passed over.
        links: Of the whole data set, if there are classes.

    Raises:
        DataError: A folder cannot be read, or a link would give images two classes.
    """
    passed = PassedOver() if passed is None else passed
    return iter(Walk(str(folder), passed, links or Links(lambda: [folder])))


def refuse_unreadable(folder: Path) -> None:
    """Refuse the folder of a class that has images, but none of a kind that is read.

    Raises:
        DataError: It has.
    """
    passed = PassedOver()
    if not any(True for _ in picture_names(folder, passed)) and passed.pictures:
        raise DataError(
            f"{folder}: none of its {plural(passed.pictures, 'image')} can be read: "
            f"{passed.pictures_in_words()}. Do that, or move the folder away"
        )


def has_pictures(folder: Path) -> bool:
    """Return whether there is an image in a folder or below."""
    return any(True for _ in picture_names(folder))


def subfolders(folder: Path) -> list[Path]:
    """Return the folders in a folder that are not hidden or a system's, in order of their names.

    Raises:
        DataError: One is a link to another, or to a folder that it lies in: the same images
            would have two classes.
    """
    entries = (path for path in folder.iterdir() if not is_system_folder(path.name))
    found = sorted((path for path in entries if path.is_dir()), key=lambda path: path.name)
    _refuse_same(found, folder.resolve())
    return found


def _refuse_same(folders: Iterable[Path], parent: Path) -> None:
    known = dict.fromkeys((parent, *parent.parents), "a folder that it lies in")
    for folder in sorted(folders, key=Path.is_symlink):
        place = folder.resolve()
        if place in known:
            raise DataError(
                f"{str(folder)!r} links to {known[place]}, so the same images would have two "
                "classes; remove the link"
            )
        known[place] = repr(folder.name)
