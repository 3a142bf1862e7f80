"""Pascal VOC: ``JPEGImages/``, ``Annotations/*.xml``, ``ImageSets/Main/{train,val,test}.txt``.

The main object of an image is the one with the largest box (the first of equals); it gives the
image its class and box. Images without an object are left out and counted. As multi-label data,
an image has the classes of all its objects, and one without an object has none.
``trainval.txt`` is read where ``train.txt`` is missing; lists may be named by any word for a split
(``Training.txt``, ``valid.txt``); without lists, all annotated images are one split. A line has
the name of an image, which may contain blanks, and perhaps a flag. Corners in the files count from
1 and are inclusive; boxes count from 0 and their end is exclusive.
"""

from __future__ import annotations

from collections.abc import Collection, Mapping
from pathlib import Path

from verydeep.data.annotations import box_or_none, span
from verydeep.data.dataset import Dataset
from verydeep.data.folders.system_files import is_system_path
from verydeep.data.geometry import Box
from verydeep.data.images.image_files import pictures_in
from verydeep.data.label_sets import DataTask
from verydeep.data.layouts.assemble import Entry, assemble, counted, label_entry, lines
from verydeep.data.layouts.on_disk import on_disk
from verydeep.data.layouts.pascal_xml import Object, read_objects
from verydeep.data.name_forms import nfc
from verydeep.data.split_names import ORDER, SPLITS, resolve_eval
from verydeep.errors import DataError


def recognise(path: Path) -> bool:
    """Return whether there are folders with Pascal's names."""
    return (path / "JPEGImages").is_dir() and (path / "Annotations").is_dir()


def read(path: Path, task: DataTask | None = None) -> Dataset:
    """Read the data set.

    Args:
        path: Its folder.
        task: ``multi-label`` for all classes of an image; else that of the main object.

    Raises:
        DataError: A list, annotation or image is missing or invalid, or two images have one name.
    """
    pictures = _pictures(path / "JPEGImages")
    splits, empty = {}, 0
    for split, listed in _lists(path, pictures).items():
        if split == "test" and not any(_annotation(path, name).is_file() for name in listed):
            continue  # as in the years without public test annotations
        entry = _label_entry if task == "multi-label" else _entry
        found = [entry(path, name, pictures, place) for name, place in listed.items()]
        splits[split] = [entry for entry in found if entry]
        empty += found.count(None)
    notes = counted(empty, "without an object left out")
    return assemble(path, "Pascal VOC layout", splits, notes=notes)


def _pictures(folder: Path) -> dict[str, Path]:
    """Return the images by name; one in the folder itself comes before any in a subfolder.

    Raises:
        DataError: Two images have one name, and annotations do not tell which is meant.
    """
    found: dict[str, Path] = {}
    for picture in sorted(pictures_in(folder), key=lambda one: one.parent != folder):
        first = found.setdefault(nfc(picture.stem), picture)
        if first is not picture and (first.parent != folder or picture.parent == folder):
            raise DataError(
                f"{folder}: {first.relative_to(folder)} and {picture.relative_to(folder)} are both "
                f"called {first.stem!r} in lists and annotations: keep one of them"
            )
    return found


def _lists(root: Path, pictures: Collection[str]) -> dict[str, dict[str, str]]:
    """Return the image names by split, each with its location."""
    files = _files(root / "ImageSets" / "Main")
    if not files:
        every = sorted((root / "Annotations").glob("*.xml"))
        return {"all": {nfc(p.stem): str(p) for p in every if not is_system_path(p.name)}}
    return {split: _read_list(files[split], pictures) for split in ORDER if split in files}


def _files(folder: Path) -> dict[str, Path]:
    """Return the list file of each split; ``trainval.txt`` only if train has none.

    Lists of one class, like ``cat_train.txt`` and ``train_val.txt``, are ignored.
    """
    every = sorted(folder.glob("*.txt"), key=lambda path: (path.stem not in ORDER, path.name))
    words = {path: path.stem.lower() for path in every if path.stem.lower() in SPLITS}
    both = [path for path, word in words.items() if word == "trainval"]
    found: dict[str, Path] = {}
    splits = {str(path): SPLITS[word] for path, word in words.items() if path not in both}
    for name, split in resolve_eval(splits).items():
        found.setdefault(split, Path(name))
    if "train" not in found and both:
        found = {"train": both[0]} | {name: path for name, path in found.items() if name == "test"}
    return found


def _read_list(path: Path, pictures: Collection[str]) -> dict[str, str]:
    """Return the images of a list."""
    listed: dict[str, str] = {}
    for place, line in lines(path):
        name = _listed_name(nfc(line), pictures)
        if is_system_path(name):
            continue
        if name in listed:
            raise DataError(f"{place}: {name} occurs twice, first in {listed[name]}")
        listed[name] = place
    return listed


def _listed_name(line: str, pictures: Collection[str]) -> str:
    """Return the image name in a line: the whole line, or the part before a flag.

    Lists of one class have such a flag, -1, 0 or 1, in a second column.
    """
    before, _, flag = line.rpartition(" ")
    flagged = before.rstrip() if flag in ("-1", "0", "1") else line
    names = (line, flagged, line.split(maxsplit=1)[0])
    return next((name for name in names if name in pictures), flagged)


def _annotation(root: Path, name: str) -> Path:
    return Path(on_disk(str(root / "Annotations"), f"{name}.xml"))


def _objects(
    root: Path, name: str, pictures: Mapping[str, Path], place: str
) -> tuple[Path, list[Object]]:
    """Return the annotation file of an image, and its objects."""
    # A name of one of the images cannot lead elsewhere.
    if name not in pictures:
        raise DataError(f"{place}: there is no image {name!r} in JPEGImages/")
    path = _annotation(root, name)
    if not path.exists():
        raise DataError(f"{place}: there is no {path}")
    return path, read_objects(path)


def _label_entry(root: Path, name: str, pictures: Mapping[str, Path], place: str) -> Entry | None:
    path, objects = _objects(root, name, pictures, place)
    return label_entry(pictures[name], (thing.name for thing in objects), str(path))


def _entry(root: Path, name: str, pictures: Mapping[str, Path], place: str) -> Entry | None:
    path, objects = _objects(root, name, pictures, place)
    if not objects:
        return None
    largest = max(objects, key=_area)
    notes: list[str] = []
    main = _box(largest, notes)
    others = [_box(o, notes) for o in objects if o.name == largest.name and o is not largest]
    found = tuple(box for box in others if box)
    return Entry(pictures[name], largest.name, main, str(path), found, notes)


def _box(thing: Object, notes: list[str] | None = None) -> Box | None:
    if thing.corners is None:
        return None
    x0, y0, x1, y1 = thing.corners
    # Programs that count from 0 write a 0 here, which is harmless.
    if notes is not None and min(x0, y0) < 0:
        notes.append(f"box {span(x0, y0, x1, y1)} begins outside the image: cut at its edge")
    return box_or_none(max(0.0, x0 - 1), max(0.0, y0 - 1), x1, y1, notes)


def _area(thing: Object) -> float:
    box = _box(thing)
    return (box.x1 - box.x0) * (box.y1 - box.y0) if box else 0.0
