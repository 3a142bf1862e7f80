"""A folder a class, nothing else: ``cat/*.jpg``, ``dog/*.jpg``."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from pathlib import Path

from verydeep.data.class_names import check_class_names, unknown_class
from verydeep.data.folders.links import Links
from verydeep.data.folders.passed_over import PassedOver
from verydeep.data.folders.system_files import is_system_file, is_system_folder
from verydeep.data.images.image_files import (
    has_pictures,
    picture_names,
    refuse_unreadable,
    subfolders,
)
from verydeep.data.layouts.folder_tree import own_pictures
from verydeep.data.name_forms import nfc
from verydeep.data.samples import Dataset, Samples, SamplesBuilder, relative_name
from verydeep.errors import plural

ClassFolders = Sequence[tuple[str, Path]]
"""Classes by name in NFC, each with a folder of its images; a class may have several."""


def read(path: Path) -> Dataset:
    """Read the data set; all its images are one split, ``all``.

    Raises:
        DataError: There are fewer than two classes.
    """
    found = class_folders(path)
    classes = checked_classes(found, path)
    listing = Listing(path, [path], found, classes)
    splits = {"all": listing.samples_of(found)}
    return Dataset(
        path,
        "a folder a class",
        classes,
        splits,
        notes=listing.notes,
        passed_over=listing.passed,
        respelled=respelled(found),
        folders=(path,),
    )


def class_folders(folder: Path) -> ClassFolders:
    """Return the folders with images in a folder, each as a class.

    Raises:
        DataError: One is a link to another, or has images of which none can be read.
    """
    found = []
    for path in subfolders(folder):
        if has_pictures(path):
            found.append((nfc(path.name), path))
        else:
            refuse_unreadable(path)
    return found


def checked_classes(found: ClassFolders, folder: Path, least: int = 2) -> tuple[str, ...]:
    """Return the names of the classes, in order.

    Raises:
        DataError: There are too few, or one has a name that cannot be printed.
    """
    first = {name: str(path) for name, path in reversed(found)}
    needs = "folders with images, a folder a class"
    return check_class_names(sorted(first.items()), folder, needs, least)


def respelled(found: Iterable[tuple[str, Path]]) -> tuple[str, ...]:
    """Return the classes whose folders are spelled in several of Unicode's normal forms."""
    spellings: dict[str, set[str]] = {}
    for name, path in found:
        if not name.isascii():
            spellings.setdefault(name, set()).add(path.name)
    return tuple(name for name, forms in spellings.items() if len(forms) > 1)


class Listing:
    """The images of the class folders of a data set, and what is passed over.

    Args:
        root: Of the data set.
        tops: The folders that hold folders of classes.
        found: The folders of the classes in all splits.
        classes: Names of the classes.

    Attributes:
        passed: What was passed over, and which links were followed.
    """

    def __init__(
        self, root: Path, tops: Iterable[Path], found: ClassFolders, classes: Iterable[str]
    ) -> None:
        self._root = root
        self._tops = [*tops]
        self._labels = {name: label for label, name in enumerate(classes)}
        self._links = Links(lambda: [path for _, path in found])
        self.passed = PassedOver()
        for top in self._tops:
            self._count_beside(top)

    @property
    def notes(self) -> tuple[str, ...]:
        """A note on the images that are in no class."""
        return tuple(loose(dict.fromkeys([self._root, *self._tops])))

    def samples_of(self, found: ClassFolders) -> Samples:
        """Return the images of class folders.

        Raises:
            DataError: A folder with images is none of the classes, or a link would give images
                two classes.
        """
        builder = SamplesBuilder(self._root)
        for name, path in found:
            for picture in picture_names(path, self.passed, self._links):
                if name not in self._labels:
                    raise unknown_class(name, self._labels, path)
                builder.add(picture, self._labels[name])
        return builder.samples()

    def _count_beside(self, folder: Path) -> None:
        """Count what stands beside the folders of the classes and is passed over."""
        for entry in sorted(folder.iterdir()):
            if is_system_folder(entry.name) or is_system_file(entry.name):
                self.passed.hide(entry.name)
            elif entry.is_dir() and not has_pictures(entry):
                self.passed.empty.append(relative_name(entry, self._root))


def loose(folders: Iterable[Path]) -> Iterator[str]:
    """Yield a note on the images that lie in folders directly, and so have no class."""
    count = sum(1 for folder in folders for _ in own_pictures(folder))
    if count:
        yield f"{plural(count, 'image')} in no class folder left out"


def unread(folders: Iterable[Path]) -> Iterator[str]:
    """Yield a note on each folder with images that is not read."""
    for folder in folders:
        count = sum(1 for _ in picture_names(folder))
        if count:
            yield f"{folder.name}/ passed over ({plural(count, 'image')})"
