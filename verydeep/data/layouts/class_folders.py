"""A folder a class, nothing else: ``cat/*.jpg``, ``dog/*.jpg``."""

from __future__ import annotations

from collections.abc import Iterable
from pathlib import Path

from verydeep.data.class_names import check_class_names, unknown_class
from verydeep.data.links import Links
from verydeep.data.passed_over import PassedOver
from verydeep.data.pictures import has_pictures, picture_names, refuse_unreadable, subfolders
from verydeep.data.samples import Dataset, Samples, SamplesBuilder, relative_name
from verydeep.data.system_files import is_system_file, is_system_folder


def recognise(path: Path) -> bool:
    """Return whether there are pictures in a folder of the folder."""
    return path.is_dir() and any(map(has_pictures, subfolders(path)))


def read(path: Path) -> Dataset:
    """Read the data set; all its pictures are one split, ``all``.

    Raises:
        DataError: There are fewer than two classes.
    """
    classes = class_names(path)
    listing = Listing(path, [path], classes)
    splits = {"all": listing.samples_of(path)}
    return Dataset(
        path, "a folder a class", classes, splits, folders=(path,), passed_over=listing.passed
    )


def class_names(folder: Path) -> tuple[str, ...]:
    """Return the names of the folders with pictures.

    Raises:
        DataError: There are fewer than two, one has a name that cannot be printed, or one has
            pictures of which none can be read.
    """
    told = []
    for path in subfolders(folder):
        if has_pictures(path):
            told.append((path.name, str(path)))
        else:
            refuse_unreadable(path)
    return check_class_names(told, folder, "folders with pictures, a folder a class")


class Listing:
    """The pictures of each class in the folders of a data set, and what is passed over.

    Args:
        root: Of the data set.
        tops: Folders that hold a folder of each class: the splits, or the data set itself.
        classes: Names of the classes.

    Attributes:
        passed: What was passed over, and which links were followed.
    """

    def __init__(self, root: Path, tops: Iterable[Path], classes: Iterable[str]) -> None:
        tops = [*tops]
        self._root = root
        self._labels = {name: label for label, name in enumerate(classes)}
        self._links = Links(lambda: [path for top in tops for path in subfolders(top)])
        self.passed = PassedOver()

    def samples_of(self, folder: Path) -> Samples:
        """Return the pictures of each class in a folder of the data set.

        Raises:
            DataError: A folder with pictures is none of the classes, it has pictures of which none
                can be read, or a link would give pictures two classes.
        """
        builder = SamplesBuilder(self._root)
        self._count_beside(folder)
        for path in subfolders(folder):
            before = len(builder)
            for picture in picture_names(path, self.passed, self._links):
                if path.name not in self._labels:
                    raise unknown_class(path.name, self._labels, path)
                builder.add(picture, self._labels[path.name])
            if len(builder) == before:
                refuse_unreadable(path)
                self.passed.empty.append(relative_name(path, self._root))
        return builder.samples()

    def _count_beside(self, folder: Path) -> None:
        """Count what stands beside the folders of the classes and is passed over."""
        for entry in folder.iterdir():
            if is_system_folder(entry.name) or is_system_file(entry.name):
                self.passed.hide(entry.name)
