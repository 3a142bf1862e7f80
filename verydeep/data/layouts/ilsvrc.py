"""ILSVRC CLS-LOC, as distributed by Kaggle and the challenge: ``Data/CLS-LOC/{train/<wnid>,val}/``.

Boxes come from ``LOC_train_solution.csv`` and ``LOC_val_solution.csv`` or, if these are missing,
from ``Annotations/CLS-LOC/{train/<wnid>,val}/*.xml`` (half a million small files). An image may
show several objects of its class; the first is the main one. Corners are inclusive in the files
and exclusive in :class:`~verydeep.data.geometry.Box`.

Classes of the validation images come from the first of these that exists: ``val/<wnid>/`` folders,
``LOC_val_solution.csv``, the annotations, or the devkit's ``ILSVRC…validation_ground_truth.txt``
with ``map_clsloc.txt``, which maps its numbers. Test images have no public classes and are
ignored. Titles come from ``LOC_synset_mapping.txt``, ``synset_words.txt`` or ``map_clsloc.txt``.
All these files may be anywhere below the root.
"""

from __future__ import annotations

import os
import re
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import replace
from pathlib import Path

from verydeep.data.annotations import box_or_none
from verydeep.data.dataset import Dataset
from verydeep.data.folders.links import Links, refuse_overlaps
from verydeep.data.folders.passed_over import PassedOver
from verydeep.data.folders.system_files import is_system_path
from verydeep.data.geometry import Box
from verydeep.data.images.image_files import folders_in, picture_names, pictures_in
from verydeep.data.layouts.assemble import Entry, assemble, lines
from verydeep.data.layouts.folder_tree import split_folder
from verydeep.data.layouts.ilsvrc_boxes import Solution
from verydeep.data.layouts.pascal_xml import Object, read_objects
from verydeep.errors import DataError

BULKY = {"Data", "Annotations", "ImageSets"}
"""Folders to skip in the search for these files."""

DEPTH = 4
"""Maximum depth of that search."""

Objects = Mapping[str, tuple[list[Object], str]]
"""Objects and their location in the annotations, by image name without extension."""


def recognise(path: Path) -> bool:
    """Return whether the training images are here or in ``ILSVRC/``."""
    return _base(path) is not None


def read(path: Path) -> Dataset:
    """Read the data set.

    Raises:
        DataError: A file cannot be used, the classes of the validation images are unknown, or a
            link would put images in two classes or splits.
    """
    base = _base(path)
    if base is None:
        raise DataError(f"{path}: contains no Data/CLS-LOC/train/")
    small = _small_files(path)
    folders = (_pictures(base, "train"), _pictures(base, "val"))
    refuse_overlaps([*folders_in(folders[0]), folders[1]], path)
    passed = PassedOver()
    splits = {"train": _train(base, small, passed), "val": _val(base, small, passed)}
    dataset = assemble(path, "ILSVRC CLS-LOC layout", splits, titles=_titles(small))
    return replace(dataset, folders=folders, passed_over=passed)


def _base(root: Path) -> Path | None:
    places = (root, root / "ILSVRC")
    return next((place for place in places if _pictures(place, "train").is_dir()), None)


def _pictures(base: Path, split: str) -> Path:
    return split_folder(base / "Data" / "CLS-LOC", split)


def _small_files(root: Path) -> dict[str, Path]:
    """Return the files around the images by name; of equal names, the uppermost counts."""
    found: dict[str, Path] = {}
    for parent, folders, files in os.walk(root):
        deep = len(Path(parent).relative_to(root).parts) >= DEPTH
        keep = sorted(name for name in folders if name not in BULKY and not name.startswith("."))
        folders[:] = [] if deep else keep
        for name in sorted(files):
            found.setdefault(name, Path(parent, name))
    return found


def _train(base: Path, small: Mapping[str, Path], passed: PassedOver) -> Iterator[Entry]:
    solution = small.get("LOC_train_solution.csv")
    known: Objects = Solution(solution) if solution else {}
    top = _pictures(base, "train")
    owners = folders_in(top)
    links = Links(lambda: owners)
    for folder in owners:
        objects = known if solution else _annotations(_notes(base, "train") / folder.name)
        unknown: tuple[list[Object], str] = [], str(folder)
        for picture in picture_names(folder, passed, links):
            own, place = objects.get(_stem(picture), unknown)
            box, others, notes = _boxes(own, folder.name)
            yield Entry(picture, folder.name, box, place, others, notes)


def _stem(picture: str) -> str:
    """Return an image's name without folder and extension."""
    return picture.rpartition("/")[2].rpartition(".")[0]


def _val(base: Path, small: Mapping[str, Path], passed: PassedOver) -> Iterator[Entry]:
    folder = _pictures(base, "val")
    pictures = list(pictures_in(folder, passed)) if folder.is_dir() else []
    if not pictures:
        return
    objects = _val_objects(base, small, pictures)
    for picture in pictures:
        own, place = objects.get(picture.stem, ([], ""))
        name = picture.relative_to(folder).parts[0] if picture.parent != folder else None
        if name is None and not own:
            raise DataError(f"{picture}: its class is unknown; {_REMEDY}")
        name = name or own[0].name
        box, others, notes = _boxes(own, name)
        yield Entry(picture, name, box, place or str(picture.parent), others, notes)


_REMEDY = (
    "put LOC_val_solution.csv, Annotations/CLS-LOC/val/*.xml, or the devkit's "
    "validation_ground_truth.txt with map_clsloc.txt below the data set's folder"
)


def _val_objects(base: Path, small: Mapping[str, Path], pictures: Sequence[Path]) -> Objects:
    if "LOC_val_solution.csv" in small:
        return Solution(small["LOC_val_solution.csv"])
    annotations = _annotations(_notes(base, "val"))
    truth = next((small[name] for name in sorted(small) if _TRUTH.fullmatch(name)), None)
    if annotations or truth is None or "map_clsloc.txt" not in small:
        return annotations
    return _ground_truth(truth, small["map_clsloc.txt"], pictures)


_TRUTH = re.compile(r"ILSVRC\d+_(clsloc_)?validation_ground_truth\.txt")


def _notes(base: Path, split: str) -> Path:
    return split_folder(base / "Annotations" / "CLS-LOC", split)


def _annotations(folder: Path) -> dict[str, tuple[list[Object], str]]:
    every = sorted(folder.glob("*.xml")) if folder.is_dir() else []
    paths = [path for path in every if not is_system_path(path.name)]
    return {path.stem: (read_objects(path), str(path)) for path in paths}


def _ground_truth(
    truth: Path, mapping: Path, pictures: Sequence[Path]
) -> dict[str, tuple[list[Object], str]]:
    """Read one number per line, for the images sorted by name."""
    wnids = dict(_map(mapping, lambda words: (words[1], words[0])))
    rows = list(lines(truth))
    if len(rows) != len(pictures):
        raise DataError(f"{truth}: has {len(rows):,} lines for {len(pictures):,} images of val")
    found = {}
    ordered = sorted(pictures, key=lambda picture: picture.name)
    for (place, number), picture in zip(rows, ordered, strict=True):
        if number not in wnids:
            raise DataError(f"{place}: {number!r} is not in {mapping}")
        found[picture.stem] = [Object(wnids[number], None)], place
    return found


def _titles(small: Mapping[str, Path]) -> dict[str, str]:
    for name in ("LOC_synset_mapping.txt", "synset_words.txt"):
        if name in small:
            rows = (line.partition(" ") for _, line in lines(small[name]))
            return {wnid: words.strip() for wnid, _, words in rows if words.strip()}
    if "map_clsloc.txt" not in small:
        return {}
    return dict(_map(small["map_clsloc.txt"], lambda w: (w[0], w[2].replace("_", " "))))


def _map(path: Path, pick: Callable[[list[str]], tuple[str, str]]) -> Iterator[tuple[str, str]]:
    """Pick two of wnid, number and name from each line of ``map_clsloc.txt``."""
    for place, line in lines(path):
        words = line.split()
        if len(words) != 3:
            raise DataError(f"{place}: must be a wnid, a number and a name")
        yield pick(words)


def _boxes(
    objects: Sequence[Object], name: str
) -> tuple[Box | None, tuple[Box, ...], Sequence[str]]:
    """Return the box of the first object of a class, those of the others, and notes on faults."""
    if not objects:
        return None, (), ()
    notes: list[str] = []
    found = [_box(thing, notes) for thing in objects if thing.name == name]
    return (found[0] if found else None), tuple(box for box in found[1:] if box), notes


def _box(thing: Object, notes: list[str]) -> Box | None:
    if thing.corners is None:
        return None
    x0, y0, x1, y1 = thing.corners
    return box_or_none(x0, y0, x1 + 1, y1 + 1, notes)
