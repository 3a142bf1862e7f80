"""Tiny ImageNet: ``wnids.txt``, ``train/<wnid>/images/``, ``val/val_annotations.txt``.

Without that file, the validation images are read from ``val/<wnid>/``, into which many scripts sort
them.
"""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

from verydeep.data.annotations import box_or_none, corners
from verydeep.data.class_names import check_class_names, check_titles, unknown_class
from verydeep.data.dataset import Dataset, OddBox
from verydeep.data.folders.passed_over import PassedOver
from verydeep.data.geometry import Box
from verydeep.data.images.image_files import pictures_in
from verydeep.data.layouts.assemble import inside, read_text
from verydeep.data.layouts.class_folders import class_folders, unread
from verydeep.data.layouts.folder_tree import split_folder
from verydeep.data.name_forms import nfc
from verydeep.data.samples import Sample, SamplesBuilder
from verydeep.errors import DataError


def recognise(path: Path) -> bool:
    """Return whether the list of classes and the training folder exist."""
    return (path / "wnids.txt").is_file() and split_folder(path, "train").is_dir()


def read(path: Path) -> Dataset:
    """Read the data set with its boxes and titles.

    Raises:
        DataError: A class has no training images, a line is invalid, or a folder of validation
            images is none of the classes.
    """
    listed = path / "wnids.txt"
    training, validation = split_folder(path, "train"), split_folder(path, "val")
    wnids = sorted(set(nfc(read_text(listed)).split()))
    classes = check_class_names(((wnid, str(listed)) for wnid in wnids), listed)
    labels = {wnid: label for label, wnid in enumerate(classes)}
    words = (row for _, row in _rows(path / "words.txt"))
    titles = {nfc(row[0]): row[1] for row in words if len(row) == 2 and nfc(row[0]) in labels}
    check_titles(titles, path / "words.txt")
    train, val = SamplesBuilder(path), SamplesBuilder(path)
    notes: list[OddBox] = []
    passed = PassedOver()
    for wnid, label in labels.items():
        folder = inside(training, wnid, str(listed))
        boxes = _boxes(folder, notes)
        pictures = list(pictures_in(folder / "images", passed)) if folder.is_dir() else []
        if not pictures:
            raise DataError(
                f"{path}: class {wnid} of wnids.txt has no images under {training.name}/"
            )
        for picture in pictures:
            train.add(picture, label, boxes.get(picture.name))
    for sample in _validation(validation, labels, notes, passed):
        val.add(sample.path, sample.label, sample.box)
    left_out = [] if len(val) or not validation.is_dir() else [validation]
    splits = {"train": train.samples()} | ({"val": val.samples()} if len(val) else {})
    return Dataset(
        path,
        "Tiny ImageNet layout",
        classes,
        splits,
        titles,
        notes=tuple(unread(left_out)),
        odd_boxes=tuple(notes),
        folders=(training, validation),
        passed_over=passed,
    )


def _validation(
    folder: Path, labels: dict[str, int], notes: list[OddBox], passed: PassedOver
) -> Iterator[Sample]:
    """Yield the validation images by their annotations or, without any, by class folders."""
    path = folder / "val_annotations.txt"
    if path.is_file() or not folder.is_dir():
        yield from _read_annotations(path, labels, notes)
        return
    found = class_folders(folder)
    if not any(wnid in labels for wnid, _ in found):
        return
    for wnid, inner in found:
        if wnid not in labels:
            raise unknown_class(wnid, labels, inner)
        for picture in pictures_in(inner, passed):
            yield Sample(picture, labels[wnid])


def _read_annotations(path: Path, labels: dict[str, int], notes: list[OddBox]) -> Iterator[Sample]:
    places: dict[str, str] = {}
    for number, row in _rows(path):
        place = f"{path}, line {number}"
        if len(row) < 2:
            raise DataError(f"{place}: needs an image, a class and a box")
        label = labels.get(nfc(row[1]))
        if label is None:
            raise DataError(f"{place}: class {row[1]!r} is not in wnids.txt")
        if row[0] in places:
            raise DataError(f"{place}: {row[0]} occurs twice, first in {places[row[0]]}")
        places[row[0]] = place
        picture = inside(path.parent / "images", row[0], place)
        yield Sample(picture, label, _inclusive_box(row[2:], place, picture, notes))


def _boxes(folder: Path, notes: list[OddBox]) -> dict[str, Box | None]:
    """Return the boxes of a class by image name."""
    path, images = folder / f"{folder.name}_boxes.txt", folder / "images"
    return {
        row[0]: _inclusive_box(row[1:], f"{path}, line {n}", images / row[0], notes)
        for n, row in _rows(path)
    }


def _inclusive_box(given: list[str], place: str, picture: Path, notes: list[OddBox]) -> Box | None:
    """Convert inclusive corners to a box, whose end is exclusive."""
    if not given:
        return None
    x0, y0, x1, y1 = corners(given, place)
    empty: list[str] = []
    box = box_or_none(x0, y0, x1 + 1, y1 + 1, empty)
    notes += [OddBox(picture, reason) for reason in empty]
    return box


def _rows(path: Path) -> Iterator[tuple[int, list[str]]]:
    """Yield the numbered lines of a table, split at tabs; none if the file is missing."""
    text = read_text(path).splitlines() if path.is_file() else []
    for number, line in enumerate(text, start=1):
        if line.strip():
            yield number, line.split("\t")
