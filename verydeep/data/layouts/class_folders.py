"""One folder per class and nothing else: ``cat/*.jpg``, ``dog/*.jpg``."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
from pathlib import Path

from verydeep.data.class_names import check_class_names, unknown_class
from verydeep.data.dataset import Dataset, relative_name
from verydeep.data.folders.content import Content
from verydeep.data.folders.links import Links, refuse_overlaps
from verydeep.data.folders.passed_over import PassedOver
from verydeep.data.folders.system_files import is_system_file, is_system_folder
from verydeep.data.images.image_files import (
    IMAGES,
    folders_in,
)
from verydeep.data.name_forms import nfc
from verydeep.data.samples import Samples, SamplesBuilder
from verydeep.errors import DataError, plural

ClassFolders = Sequence[tuple[str, Path]]
"""Classes by name in NFC, each with a folder of its images; a class may have several."""


def read(path: Path, content: Content = IMAGES) -> Dataset:
    """Read the data set; all its images are one split, ``all``.

    Raises:
        DataError: There are fewer than two classes.
    """
    found = class_folders(path, content)
    classes = checked_classes(found, path)
    return folder_dataset(
        path, "one folder per class", [path], {"all": found}, classes, content=content
    )


def class_folders(folder: Path, content: Content = IMAGES) -> ClassFolders:
    """Return the folders with images in a folder, each as a class.

    Raises:
        DataError: None of the images of one can be read.
    """
    found = []
    for path in folders_in(folder):
        if content.is_in(path):
            found.append((nfc(path.name), path))
        else:
            content.refuse(path)
    return found


def checked_classes(found: ClassFolders, folder: Path, least: int = 2) -> tuple[str, ...]:
    """Return the sorted class names.

    Raises:
        DataError: There are too few classes, or a name cannot be printed.
    """
    first = {name: str(path) for name, path in reversed(found)}
    needs = "folders with images, one per class"
    return check_class_names(sorted(first.items()), folder, needs, least)


def folder_dataset(
    root: Path,
    layout: str,
    tops: Iterable[Path],
    folders: Mapping[str, ClassFolders],
    classes: tuple[str, ...],
    *,
    notes: Iterable[str] = (),
    named: ClassFolders | None = None,
    content: Content = IMAGES,
) -> Dataset:
    """Return the data set of some class folders.

    Args:
        root: Folder of the data set.
        layout: Layout in words.
        tops: The folders that contain class folders.
        folders: Class folders by split.
        classes: Class names.
        notes: Notes on the data set.
        named: Classes with the folders named after them, if these are not the class folders.
        content: What the class folders hold.

    Raises:
        DataError: A folder with images is not one of the classes, or a link would put images in
            two classes or splits.
    """
    every = [path for found in folders.values() for _, path in found]
    refuse_overlaps(every, root)
    labels = {name: label for label, name in enumerate(classes)}
    links = Links(lambda: every)
    passed = PassedOver()
    tops = [*tops]
    spelled = folders.values() if named is None else [named]
    for top in tops:
        _count_skipped(top, root, passed, content)
    splits = {
        split: _samples(root, found, labels, content, passed, links)
        for split, found in folders.items()
    }
    return Dataset(
        root,
        layout,
        classes,
        splits,
        notes=(*notes, *_loose(dict.fromkeys([root, *tops]), content)),
        passed_over=passed,
        respelled=tuple(sorted({name for each in spelled for name in _respelled(each)})),
        folders=(root,),
    )


def _samples(
    root: Path,
    found: ClassFolders,
    labels: Mapping[str, int],
    content: Content,
    passed: PassedOver,
    links: Links,
) -> Samples:
    builder = SamplesBuilder(root)
    for name, path in found:
        before = len(builder)
        for picture in content.below(path, passed, links):
            if name not in labels:
                raise unknown_class(name, labels, path)
            builder.add(picture, labels[name])
        if len(builder) == before:
            raise DataError(
                f"{path}: all its {content.thing}s are links to those of other classes or splits; "
                "replace them by files, or move the folder away"
            )
    return builder.samples()


def _count_skipped(folder: Path, root: Path, passed: PassedOver, content: Content) -> None:
    """Count system files and empty folders beside the class folders."""
    for entry in sorted(folder.iterdir()):
        if is_system_folder(entry.name) or is_system_file(entry.name):
            passed.hide(entry.name)
        elif entry.is_dir() and not content.is_in(entry):
            passed.empty.append(relative_name(entry, root))


def _loose(folders: Iterable[Path], content: Content) -> Iterator[str]:
    """Yield a note on the images directly in some folders, which have no class."""
    count = sum(1 for folder in folders for _ in content.own(folder))
    if count:
        yield f"{plural(count, content.thing)} in no class folder left out"


def _respelled(named: ClassFolders) -> list[str]:
    """Return the classes whose folders are spelled in several of Unicode's normal forms."""
    spellings: dict[str, set[str]] = {}
    for name, path in named:
        if not name.isascii():
            spellings.setdefault(name, set()).add(path.name)
    return [name for name, forms in spellings.items() if len(forms) > 1]


def unread(folders: Iterable[Path], content: Content = IMAGES) -> Iterator[str]:
    """Yield a note on each folder whose images are not read."""
    for folder in folders:
        count = sum(1 for _ in content.all_in(folder))
        if count:
            yield f"{folder.name}/ skipped ({plural(count, content.thing)})"
