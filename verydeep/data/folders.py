"""Layouts on disk, recognised by looking."""

from __future__ import annotations

import csv
import os
from collections.abc import Callable, Iterable, Iterator
from dataclasses import replace
from pathlib import Path

from verydeep.data.decode import SUFFIXES
from verydeep.data.digits import digits_folder
from verydeep.data.samples import Box, Dataset, Sample
from verydeep.data.split import cut
from verydeep.errors import DataError, did_you_mean

VALIDATION_NAMES = ("val", "valid", "validation")


def read_dataset(
    data: str | Path,
    *,
    validation_share: float = 0.1,
    test_share: float = 0.1,
    seed: int = 0,
    draw: bool = True,
) -> Dataset:
    """Read a data set: its classes, its splits, where its pictures are. No picture is opened.

    Args:
        data: ``digits``, the built-in set, or a folder in one of these layouts: a folder a class
            under ``train/`` and ``val/`` (or ``valid/``, ``validation/``) and perhaps ``test/``;
            a folder a class, nothing else; Tiny ImageNet's.
        validation_share: Share of each class that is cut off where there is no validation split.
        test_share: Likewise for the test, from a single folder of classes.
        seed: Of the rule that cuts.
        draw: Whether to cut at all; if not, a single folder of classes is one split, ``all``.

    Raises:
        DataError: There is no such folder, it has none of the layouts, or its classes or splits
            cannot be used.
    """
    if str(data) == "digits":
        folder = digits_folder()
        return replace(_with_boxes(_read_splits(folder)), root=folder, layout="built-in digits")
    root = Path(data).expanduser()
    if not root.is_dir():
        raise DataError(
            f"{root}: {'not a folder' if root.exists() else 'no such folder'}; DATA is 'digits' or "
            "a folder with a folder of pictures for each class"
        )
    try:
        dataset = next(read for recognise, read in _LAYOUTS if recognise(root))(root)
    except OSError as error:
        raise DataError(f"{error.filename}: {error.strerror}") from error
    shares = {} if "val" in dataset.splits else {"val": validation_share}
    if set(dataset.splits) == {"all"}:
        shares["test"] = test_share
    if shares and draw:
        whole = dataset.splits.get("train") or dataset.splits["all"]
        drawn = cut(whole, root, shares, seed)
        kept = {name: samples for name, samples in dataset.splits.items() if name != "all"}
        dataset = replace(dataset, splits=kept | drawn, made_by_rule=True)
    order = [name for name in ("train", "val", "test", "all") if name in dataset.splits]
    return replace(dataset, splits={name: dataset.splits[name] for name in order})


def pictures_in(folder: Path) -> Iterator[Path]:
    """Yield the pictures in a folder and below, by suffix, in order of their names.

    Raises:
        DataError: A folder cannot be read.
    """

    def refuse(error: OSError) -> None:
        raise DataError(f"{error.filename}: {error.strerror}") from error

    for parent, folders, files in os.walk(folder, onerror=refuse):
        folders[:] = sorted(name for name in folders if not name.startswith("."))
        for name in sorted(files):
            if not name.startswith(".") and Path(name).suffix.lower() in SUFFIXES:
                yield Path(parent, name)


def _is_tiny_imagenet(root: Path) -> bool:
    return (root / "wnids.txt").is_file() and (root / "train").is_dir()


def _has_splits(root: Path) -> bool:
    """A folder ``train`` may also hold the pictures of a class of that name."""
    train = root / "train"
    others = any((root / name).is_dir() for name in (*VALIDATION_NAMES, "test"))
    return train.is_dir() and (others or any(map(_has_pictures, _subfolders(train))))


def _read_tiny_imagenet(root: Path) -> Dataset:
    classes = tuple(sorted(_text(root / "wnids.txt").split()))
    labels = {wnid: label for label, wnid in enumerate(classes)}
    words = (row for _, row in _rows(root / "words.txt"))
    titles = {row[0]: row[1] for row in words if len(row) == 2 and row[0] in labels}
    train = []
    for wnid, label in labels.items():
        boxes = _boxes(root / "train" / wnid / f"{wnid}_boxes.txt")
        pictures = list(pictures_in(root / "train" / wnid / "images"))
        if not pictures:
            raise DataError(f"{root}: class {wnid} of wnids.txt has no pictures under train/")
        train += [Sample(path, label, boxes.get(path.name)) for path in pictures]
    val = list(_read_annotations(root / "val", labels))
    splits = {"train": tuple(train)} | ({"val": tuple(val)} if val else {})
    return Dataset(root, "Tiny ImageNet layout", classes, splits, titles)


def _read_annotations(folder: Path, labels: dict[str, int]) -> Iterator[Sample]:
    path = folder / "val_annotations.txt"
    for number, row in _rows(path):
        if len(row) < 2:
            raise DataError(f"{path}, line {number}: must be a picture, a class and a box")
        if row[1] not in labels:
            raise DataError(f"{path}, line {number}: class {row[1]!r} is not in wnids.txt")
        box = _inclusive_box(row[2:], f"{path}, line {number}")
        yield Sample(folder / "images" / row[0], labels[row[1]], box)


def _boxes(path: Path) -> dict[str, Box | None]:
    return {row[0]: _inclusive_box(row[1:], f"{path}, line {n}") for n, row in _rows(path)}


def _inclusive_box(corners: list[str], place: str) -> Box | None:
    """Tiny ImageNet writes the last pixel inside; a box here ends at the first one outside."""
    if not corners:
        return None
    try:
        x0, y0, x1, y1 = (float(corner) for corner in corners)
    except ValueError as error:
        raise DataError(f"{place}: a box must be four numbers, got {corners} instead") from error
    return Box(x0, y0, x1 + 1, y1 + 1)


def _rows(path: Path) -> Iterator[tuple[int, list[str]]]:
    """Yield the numbered lines of a table, split at tabs; an absent file has none."""
    lines = _text(path).splitlines() if path.is_file() else []
    for number, line in enumerate(lines, start=1):
        if line.strip():
            yield number, line.split("\t")


def _text(path: Path) -> str:
    try:
        return path.read_text("utf-8")
    except UnicodeDecodeError as error:
        raise DataError(f"{path}: not text in UTF-8 ({error}); save it as UTF-8") from error


def _read_splits(root: Path) -> Dataset:
    folders = {"train": root / "train"}
    found = [root / name for name in VALIDATION_NAMES if (root / name).is_dir()]
    if len(found) > 1:
        names = " and ".join(f"{folder.name}/" for folder in found)
        raise DataError(f"{root} has {names}: keep one of them, both mean validation")
    if found:
        folders["val"] = found[0]
    if (root / "test").is_dir():
        folders["test"] = root / "test"
    classes = _class_names(folders["train"])
    splits = {name: tuple(_samples(folder, classes)) for name, folder in folders.items()}
    # A test folder of unsorted pictures has no classes to test against.
    splits = {name: samples for name, samples in splits.items() if samples}
    return Dataset(root, "a folder a class under each split", classes, splits)


def _read_classes(root: Path) -> Dataset:
    classes = _class_names(root)
    return Dataset(root, "a folder a class", classes, {"all": tuple(_samples(root, classes))})


def _class_names(folder: Path) -> tuple[str, ...]:
    names = [path.name for path in _subfolders(folder) if _has_pictures(path)]
    for name in names:
        if not name.isprintable():
            raise DataError(f"{str(folder / name)!r}: a class needs a name of printable characters")
    if len(names) < 2:
        here = ", ".join(names) if names else "none"
        raise DataError(
            f"{folder}: a classifier needs at least two folders with pictures, a folder a class; "
            f"found {here}"
        )
    return tuple(names)


def _has_pictures(folder: Path) -> bool:
    return any(True for _ in pictures_in(folder))


def _samples(folder: Path, classes: Iterable[str]) -> Iterator[Sample]:
    labels = {name: label for label, name in enumerate(classes)}
    for path in _subfolders(folder):
        pictures = list(pictures_in(path))
        if pictures and path.name not in labels:
            raise DataError(
                f"{path}: there is no training class {path.name!r}"
                f"{did_you_mean(path.name, labels)}; every class needs training pictures"
            )
        yield from (Sample(picture, labels[path.name]) for picture in pictures)


def _subfolders(folder: Path) -> list[Path]:
    entries = (path for path in folder.iterdir() if not path.name.startswith("."))
    found = sorted((path for path in entries if path.is_dir()), key=lambda path: path.name)
    _refuse_same(found, folder.resolve())
    return found


def _refuse_same(folders: Iterable[Path], parent: Path) -> None:
    """Refuse links that would give the same pictures two classes.

    Raises:
        DataError: A folder is another one, or one that it lies in itself.
    """
    known = dict.fromkeys((parent, *parent.parents), "a folder that it lies in")
    for folder in sorted(folders, key=Path.is_symlink):
        place = folder.resolve()
        if place in known:
            raise DataError(
                f"{str(folder)!r} links to {known[place]}, so the same pictures would have two "
                "classes; remove the link"
            )
        known[place] = repr(folder.name)


def _with_boxes(dataset: Dataset) -> Dataset:
    """Add the boxes of ``boxes.csv`` in the data set's folder."""
    with (dataset.root / "boxes.csv").open(newline="", encoding="utf-8") as file:
        boxes = {
            dataset.root / row["file"]: Box(*(float(row[key]) for key in Box._fields))
            for row in csv.DictReader(file)
        }
    splits = {
        name: tuple(replace(sample, box=boxes[sample.path]) for sample in samples)
        for name, samples in dataset.splits.items()
    }
    return replace(dataset, splits=splits)


_LAYOUTS: tuple[tuple[Callable[[Path], bool], Callable[[Path], Dataset]], ...] = (
    (_is_tiny_imagenet, _read_tiny_imagenet),
    (_has_splits, _read_splits),
    (lambda root: True, _read_classes),
)
