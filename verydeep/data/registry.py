"""All layouts, in the order of detection."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from functools import partial
from pathlib import Path

from verydeep.data.builtin.named import NAMES
from verydeep.data.dataset import Dataset
from verydeep.data.folders.passed_over import PassedOver
from verydeep.data.images.image_files import folders_in, pictures_in
from verydeep.data.label_sets import DataTask
from verydeep.data.layouts import (
    class_folders,
    coco,
    hub,
    ilsvrc,
    part_folders,
    shards,
    split_folders,
    splits_in_classes,
    table,
    tiny_imagenet,
    voc,
)
from verydeep.data.layouts.folder_reading import (
    CLASS_FOLDERS,
    PART_FOLDERS,
    SPLIT_FOLDERS,
    SPLITS_IN_CLASSES,
    is_read_as,
    reading_of,
)
from verydeep.data.volumes import layout as volumes
from verydeep.errors import DataError, did_you_mean
from verydeep.system.option_names import option

BUILT_IN = "built-in"
"""Layout name of data sets given by name: :mod:`verydeep.data.builtin.named`."""


@dataclass(frozen=True)
class Layout:
    """A folder or file structure of data sets.

    Attributes:
        name: Value of the option ``layout``.
        looks: One-line description.
        recognise: Whether a file or folder has this layout.
        read: Reads the data set.
        read_task: Reads it as one class per image or as multi-label, or as the data are if None;
            None for layouts that give each image one class.
    """

    name: str
    looks: str
    recognise: Callable[[Path], bool]
    read: Callable[[Path], Dataset]
    read_task: Callable[[Path, DataTask | None], Dataset] | None = None

    def read_as(self, path: Path, task: DataTask | None) -> Dataset:
        """Read the data set for a task.

        Raises:
            DataError: The layout gives each image one class, and several are requested.
        """
        if self.read_task is not None:
            return self.read_task(path, task)
        if task == "multi-label":
            raise one_class_each(path, self.name)
        return self.read(path)


def one_class_each(path: object, layout: str) -> DataError:
    """Return the error for a multi-label task on data that give each image one class."""
    several = ", ".join(layout.name for layout in LAYOUTS if layout.read_task)
    return DataError(
        f"{path}: layout {layout} gives each image one class; several labels per image "
        f"(multi-label) are read from {several}, and built-in digits-multi"
    )


LAYOUTS = (
    Layout(
        "table",
        "a .csv, .jsonl or .parquet file with columns file, label (or labels), perhaps split and "
        "box",
        table.recognise,
        table.read,
        table.read,
    ),
    Layout(
        "hub",
        "a Hugging Face data set saved on disk; or by id: hf:owner/name",
        hub.recognise,
        hub.read,
    ),
    Layout(
        "tiny-imagenet",
        "wnids.txt, train/<wnid>/images/, val/val_annotations.txt",
        tiny_imagenet.recognise,
        tiny_imagenet.read,
    ),
    Layout("ilsvrc", "Data/CLS-LOC/{train/<wnid>,val}/", ilsvrc.recognise, ilsvrc.read),
    Layout(
        "voc",
        "JPEGImages/, Annotations/*.xml, ImageSets/Main/",
        voc.recognise,
        voc.read,
        voc.read,
    ),
    Layout(
        "coco",
        "a .json file, or annotations/*.json with images beside it",
        coco.recognise,
        coco.read,
        coco.read,
    ),
    Layout(
        "shards",
        "*.tar, train/*.tar, perhaps dataset.json beside them; or a pattern: train-{000..146}.tar",
        shards.recognise,
        shards.read,
    ),
    Layout(
        volumes.NAME,
        "<class>/, perhaps with splits, of .npy, .nii or .nii.gz; folders of slices only if "
        "requested",
        volumes.recognise,
        volumes.read,
    ),
    Layout(
        SPLIT_FOLDERS,
        "train/<class>/, val/<class>/, perhaps test/<class>/; also Training/, test_set/ …",
        partial(is_read_as, layout=SPLIT_FOLDERS),
        split_folders.read,
    ),
    Layout(
        SPLITS_IN_CLASSES,
        "<class>/train/, <class>/val/, perhaps <class>/test/",
        partial(is_read_as, layout=SPLITS_IN_CLASSES),
        splits_in_classes.read,
    ),
    Layout(
        PART_FOLDERS,
        "<part>/<class>/, the same classes in every part; only if requested",
        part_folders.recognise,
        part_folders.read,
    ),
    Layout(
        CLASS_FOLDERS,
        "<class>/",
        partial(is_read_as, layout=CLASS_FOLDERS),
        class_folders.read,
    ),
)
"""From the most specific to the least."""

_BY_NAME = {layout.name: layout for layout in LAYOUTS}
_FOLDER_LAYOUTS = frozenset((SPLIT_FOLDERS, SPLITS_IN_CLASSES, PART_FOLDERS, CLASS_FOLDERS))
"""Layouts defined by folders alone; one look at the folders decides among them."""


def check_layout(name: str | None) -> None:
    """Refuse an unknown layout name.

    Raises:
        DataError: The name is unknown.
    """
    if name is not None and name != BUILT_IN and name not in _BY_NAME:
        known = [*_BY_NAME, BUILT_IN]
        raise DataError(
            f"layout must be one of {', '.join(known)}, got {name!r} instead"
            f"{did_you_mean(name, known)}"
        )


def find_layout(path: Path, name: str | None = None) -> Layout:
    """Return the layout of a file or folder: the one named, or else the first that fits.

    Raises:
        DataError: The path does not exist, no layout or two layouts fit, or its folders are
            themselves data sets.
    """
    if not path.exists():
        known = ", ".join(NAMES)
        kinds = f"DATA is one of {known}, or a path in one of these layouts:{_known()}"
        raise DataError(f"{path}: no such file or folder{did_you_mean(str(path), NAMES, kinds)}")
    if name is not None:
        return _BY_NAME[name]
    found = _specific_layout(path)
    if found is not None:
        return found
    reading = reading_of(path)
    if reading.layout in (None, CLASS_FOLDERS):
        _refuse_sets_within(path)
    if reading.doubt:
        raise DataError(f"{path}: {reading.doubt}")
    if reading.layout is None:
        raise DataError(
            f"{path}: no known layout fits; found {_contents(path)}"
            f"{_unreadable(path)}. Known layouts:{_known()}"
        )
    return _BY_NAME[reading.layout]


def _specific_layout(path: Path) -> Layout | None:
    """Return the first layout that fits by more than folder names."""
    specific = (layout for layout in LAYOUTS if layout.name not in _FOLDER_LAYOUTS)
    return next((layout for layout in specific if layout.recognise(path)), None)


def _unreadable(path: Path) -> str:
    """Describe the images in a folder whose formats cannot be read."""
    passed = PassedOver()
    for _ in pictures_in(path, passed) if path.is_dir() else ():
        pass
    return f"; cannot read {passed.pictures_in_words()}" if passed.pictures else ""


def _refuse_sets_within(path: Path) -> None:
    """Refuse a folder of whole data sets, which would be mistaken for classes."""
    for folder in folders_in(path) if path.is_dir() else ():
        layout = _specific_layout(folder)
        if layout is not None:
            raise DataError(
                f"{path}: its folder {folder.name}/ is a data set, layout {layout.name}: "
                f"give {folder} as DATA (or, if it is a class, {option('layout', CLASS_FOLDERS)})"
            )


def _known() -> str:
    return "".join(f"\n  {layout.name}: {layout.looks}" for layout in LAYOUTS)


def _contents(path: Path) -> str:
    """Describe a folder's contents, or a file, in a few words."""
    if not path.is_dir():
        return f"a {path.suffix} file" if path.suffix else "a file without an extension"
    names = sorted(f"{p.name}{'/' if p.is_dir() else ''}" for p in path.iterdir())
    more = f" and {len(names) - 8:,} more" if len(names) > 8 else ""
    return ", ".join(names[:8]) + more if names else "an empty folder"
