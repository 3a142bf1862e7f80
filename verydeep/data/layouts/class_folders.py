"""A folder a class, nothing else: ``cat/*.jpg``, ``dog/*.jpg``."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from pathlib import Path

from verydeep.data.class_names import check_class_names, unknown_class
from verydeep.data.layouts.folder_tree import own_pictures
from verydeep.data.name_forms import nfc
from verydeep.data.pictures import has_pictures, picture_names, subfolders
from verydeep.data.samples import Dataset, Samples, SamplesBuilder
from verydeep.errors import plural

ClassFolders = Sequence[tuple[str, Path]]
"""Classes by name in NFC, each with a folder of its pictures; a class may have several."""


def read(path: Path) -> Dataset:
    """Read the data set; all its pictures are one split, ``all``.

    Raises:
        DataError: There are fewer than two classes.
    """
    found = class_folders(path)
    classes = checked_classes(found, path)
    splits = {"all": samples_of(found, path, classes)}
    return Dataset(
        path,
        "a folder a class",
        classes,
        splits,
        notes=tuple(loose([path])),
        respelled=respelled(found),
        folders=(path,),
    )


def class_folders(folder: Path) -> ClassFolders:
    """Return the folders with pictures in a folder, each as a class.

    Raises:
        DataError: One is a link to another.
    """
    return [(nfc(path.name), path) for path in subfolders(folder) if has_pictures(path)]


def checked_classes(found: ClassFolders, folder: Path, least: int = 2) -> tuple[str, ...]:
    """Return the names of the classes, in order.

    Raises:
        DataError: There are too few, or one has a name that cannot be printed.
    """
    first = {name: str(path) for name, path in reversed(found)}
    needs = "folders with pictures, a folder a class"
    return check_class_names(sorted(first.items()), folder, needs, least)


def respelled(found: Iterable[tuple[str, Path]]) -> tuple[str, ...]:
    """Return the classes whose folders are spelled in several of Unicode's normal forms."""
    spellings: dict[str, set[str]] = {}
    for name, path in found:
        if not name.isascii():
            spellings.setdefault(name, set()).add(path.name)
    return tuple(name for name, forms in spellings.items() if len(forms) > 1)


def samples_of(found: ClassFolders, root: Path, classes: Iterable[str]) -> Samples:
    """Return the pictures of class folders.

    Raises:
        DataError: A folder with pictures is none of the classes.
    """
    labels = {name: label for label, name in enumerate(classes)}
    builder = SamplesBuilder(root)
    for name, path in found:
        for picture in picture_names(path):
            if name not in labels:
                raise unknown_class(name, labels, path)
            builder.add(picture, labels[name])
    return builder.samples()


def loose(folders: Iterable[Path]) -> Iterator[str]:
    """Yield a note on the pictures that lie in folders directly, and so have no class."""
    count = sum(1 for folder in folders for _ in own_pictures(folder))
    if count:
        yield f"{plural(count, 'picture')} in no class folder left out"


def passed_over(folders: Iterable[Path]) -> Iterator[str]:
    """Yield a note on each folder with pictures that is not read."""
    for folder in folders:
        count = sum(1 for _ in picture_names(folder))
        if count:
            yield f"{folder.name}/ passed over ({plural(count, 'picture')})"
