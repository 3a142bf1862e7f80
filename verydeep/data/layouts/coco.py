"""COCO's JSON: one file, or a folder with ``annotations/*.json`` beside the images.

The main object of an image is the one with the largest ``area`` (of the box, if no area is given;
the first of equals); it gives the image its class and box. Crowds are ignored; images without any
other object are left out and counted. Categories with the same name are one class. As multi-label
data, an image has the classes of all its objects, crowds included, and one without an object has
none.

In a folder, files named ``instances_…`` are read, or all if there are none; the file name gives
the split (``instances_train2017.json``). Exports with ``_annotations.coco.json`` in ``train/``,
``valid/`` and ``test/`` are read too. A single file has no splits.

Images are searched for in the folder named like the end of the file name (``train2017/``), in one
named after the split, in ``images/`` and in the data set's folder; the first match counts.
"""

from __future__ import annotations

import json
import math
import re
from collections.abc import Collection, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

from verydeep.data.annotations import box_or_none, corners
from verydeep.data.dataset import Dataset
from verydeep.data.folders.system_files import is_system_path
from verydeep.data.geometry import Box
from verydeep.data.images.regular_file import open_regular
from verydeep.data.label_sets import DataTask
from verydeep.data.layouts.assemble import (
    Entry,
    assemble,
    counted,
    inside,
    label_entry,
    name_inside,
    read_text,
)
from verydeep.data.layouts.folder_tree import split_folder
from verydeep.data.layouts.ids import Key, Keys
from verydeep.data.name_forms import nfc
from verydeep.data.split_names import last_split, resolve_eval
from verydeep.errors import DataError

EXPORTED = "_annotations.coco.json"
_KEYS = re.compile(rb'"(info|licenses|images|annotations|categories)"\s*:')


def recognise(path: Path) -> bool:
    """Return whether it is a JSON file, or a folder with files that begin like COCO's."""
    if path.is_file():
        return path.suffix.lower() == ".json"
    return any(map(_begins_like_coco, _files(path)))


def read(path: Path, task: DataTask | None = None) -> Dataset:
    """Read the data set.

    Args:
        path: A file or folder.
        task: ``multi-label`` for all classes of an image; else that of the main object.

    Raises:
        DataError: A file cannot be used, or its images are not found.
    """
    root, files = _root_and_files(path)
    splits, empty = {}, 0
    for split, file in files.items():
        if task == "multi-label":
            splits[split] = _read_labels(file, root, split)
            continue
        entries, without = _read_file(file, root, split)
        splits[split] = entries
        empty += without
    notes = counted(empty, "without an object left out")
    return replace(assemble(root, "COCO layout", splits, notes=notes), coco=path)


@dataclass(frozen=True)
class Numbering:
    """The ids of images and classes in a file.

    Attributes:
        images: Image ``id`` by path.
        categories: Category ``id`` by name, as :func:`~verydeep.data.name_forms.nfc` gives it; the
            first of those with equal names.
    """

    images: Mapping[str, Key]
    categories: Mapping[str, Key]


def numbering(path: Path, pictures: Collection[str], split: str) -> Numbering | None:
    """Return the ids from the file that lists all of some images, which is read again.

    Args:
        path: As for :func:`read`.
        pictures: Paths of the images, as in the samples.
        split: Split whose file is tried first.

    Returns:
        None if no file lists them all.

    Raises:
        DataError: A file cannot be used.
    """
    root, files = _root_and_files(path)
    for name, file in sorted(files.items(), key=lambda each: each[0] != split):
        content = _content(file)
        folder = _folder(content.with_things, file, root, name)
        images = {
            str(inside(folder, content.images[image], f"{file}, image {image}")): image
            for image in content.things
        }
        if images.keys() >= set(pictures):
            categories: dict[str, Key] = {}
            for key, category in content.names.items():
                categories.setdefault(nfc(category), key)
            return Numbering(images, categories)
    return None


def _root_and_files(path: Path) -> tuple[Path, dict[str, Path]]:
    """Return the folder of the data set, and its files by split."""
    if not path.is_file():
        return path, _by_split(path)
    return path.parent.parent if path.parent.name == "annotations" else path.parent, {"all": path}


def _begins_like_coco(path: Path) -> bool:
    if not path.is_file():
        return False
    with open_regular(path) as file:
        return bool(_KEYS.search(file.read(4096)))


def _files(root: Path) -> list[Path]:
    found = sorted((root / "annotations").glob("*.json"))
    every = [path for path in found if not is_system_path(path.name)]
    instances = [path for path in every if path.name.startswith("instances")]
    return instances or every or sorted(root.glob(f"*/{EXPORTED}"))


def _by_split(root: Path) -> dict[str, Path]:
    """Return the annotation files of a folder by split."""
    found: dict[str, Path] = {}
    files = _files(root)
    words = {str(f): f.parent.name if f.name == EXPORTED else f.stem for f in files}
    splits = resolve_eval({file: last_split(word) or "all" for file, word in words.items()})
    for name, split in splits.items():
        file = Path(name)
        if split in found or (split == "all" and len(files) > 1):
            raise DataError(
                f"{root}: {file.name} is "
                + (f"{split} like {found[split].name}" if split in found else "not named by split")
                + "; give one file as DATA, or keep one per split, like instances_train.json"
            )
        found[split] = file
    if not found:
        raise DataError(f"{root}: contains no annotations/*.json")
    return found


@dataclass
class _Thing:
    """An object in an image."""

    area: float
    name: str
    box: Box | None
    notes: Sequence[str] = ()


@dataclass(frozen=True)
class _Content:
    """The content of a file.

    Attributes:
        names: Category names by ``id``.
        images: Image names by ``id``.
        things: Objects by image ``id``, for images that have some.
    """

    names: dict[Key, str]
    images: dict[Key, str]
    things: dict[Key, list[_Thing]]

    @property
    def with_things(self) -> list[str]:
        """Names of the images with objects."""
        return [self.images[image] for image in self.things]


def _read_file(file: Path, root: Path, split: str) -> tuple[list[Entry], int]:
    """Return the images with objects, and the number of those without."""
    content = _content(file)
    images = content.images
    things = {key: its for key, its in content.things.items() if not is_system_path(images[key])}
    kept = sorted(((images[image], image) for image in things), key=lambda one: one[0])
    folder = _folder(content.with_things, file, root, split)
    entries = [
        _entry(folder, name, f"{file}, image {image}", things[image]) for name, image in kept
    ]
    return entries, sum(1 for key in images if key not in things)


def _read_labels(file: Path, root: Path, split: str) -> list[Entry]:
    """Return all images with the classes of their objects."""
    content = _content(file, crowds=True)
    images = [(name, key) for key, name in content.images.items() if not is_system_path(name)]
    folder = _folder([name for name, _ in images], file, root, split)
    return [
        label_entry(
            name_inside(folder, name, place),
            (thing.name for thing in content.things.get(key, ())),
            place,
        )
        for name, key in sorted(images, key=lambda one: one[0])
        for place in [f"{file}, image {key}"]
    ]


def _content(file: Path, *, crowds: bool = False) -> _Content:
    content = _load(file)
    names = dict(_categories(content, file))
    images = dict(_images(content, file))
    known_images, known_categories = Keys(images), Keys(names)
    things: dict[Key, list[_Thing]] = {}
    for place, annotation in _records(content, "annotations", file):
        if annotation.get("iscrowd") and not crowds:
            continue
        image = _id(annotation, "image_id", place)
        category = _id(annotation, "category_id", place)
        image = known_images.key_of(image, "image", place)
        category = known_categories.key_of(category, "category", place)
        area = _area(annotation, place)
        notes: list[str] = []
        thing = _Thing(area, names[category], _box(annotation, place, notes), notes)
        things.setdefault(image, []).append(thing)
    return _Content(names, images, things)


def _entry(folder: Path, name: str, place: str, things: Sequence[_Thing]) -> Entry:
    path = name_inside(folder, name, place)
    main = max(things, key=lambda thing: thing.area)  # the first of equals
    others = (o.box for o in things if o.name == main.name and o is not main)
    notes = [reason for thing in things for reason in thing.notes]
    return Entry(path, main.name, main.box, place, tuple(box for box in others if box), notes)


def _load(file: Path) -> dict[str, Any]:
    try:
        content = json.loads(read_text(file))
    except DataError:
        raise
    except (ValueError, RecursionError) as error:
        raise DataError(f"{file}: not valid JSON ({error})") from error
    if not isinstance(content, dict):
        raise DataError(f"{file}: must be an object with images, annotations and categories")
    return content


def _records(content: dict[str, Any], key: str, file: Path) -> Iterator[tuple[str, dict[str, Any]]]:
    records = content.get(key)
    if not isinstance(records, list):
        raise DataError(f"{file}: needs a list {key!r}, like COCO's detection files")
    for number, record in enumerate(records):
        place = f"{file}, {key}[{number}]"
        if not isinstance(record, dict):
            raise DataError(f"{place}: must be an object, got {type(record).__name__} instead")
        yield place, record


def _field(record: dict[str, Any], key: str, kind: Any, place: str) -> Any:
    value = record.get(key)
    if not isinstance(value, kind) or isinstance(value, bool):
        raise DataError(f"{place}: needs {key!r}, got {value!r} instead")
    return value


def _id(record: dict[str, Any], key: str, place: str) -> Key:
    """Return an id; an integer may be written as ``7.0``."""
    value = record.get(key)
    if isinstance(value, float) and value.is_integer():
        return int(value)
    found: Key = _field(record, key, int | str, place)
    return found


def _categories(content: dict[str, Any], file: Path) -> Iterator[tuple[Key, str]]:
    for place, key, record in _with_ids(content, "categories", file, "category"):
        name: str = _field(record, "name", str, place)
        yield key, name.strip()


def _images(content: dict[str, Any], file: Path) -> Iterator[tuple[Key, str]]:
    for place, key, record in _with_ids(content, "images", file, "image"):
        yield key, _field(record, "file_name", str, place)


def _with_ids(
    content: dict[str, Any], records: str, file: Path, one: str
) -> Iterator[tuple[str, Key, dict[str, Any]]]:
    """Yield the location, the id and the record of each of several records."""
    seen = set()
    for place, record in _records(content, records, file):
        key = _id(record, "id", place)
        if key in seen:
            raise DataError(f"{place}: another {one} also has id {key!r}")
        seen.add(key)
        yield place, key, record


def _area(annotation: dict[str, Any], place: str) -> float:
    area = annotation.get("area")
    if isinstance(area, int | float) and -math.inf < area < math.inf:
        return area
    _, _, width, height = _sides(annotation, place) or (0.0, 0.0, 0.0, 0.0)
    return width * height


def _sides(annotation: dict[str, Any], place: str) -> tuple[float, float, float, float] | None:
    """Return the left, top, width and height of an object's box."""
    given = annotation.get("bbox")
    if given is None:
        return None
    if not isinstance(given, list):
        raise DataError(f"{place}: a box must be a list of four numbers, got {given!r}")
    return corners(given, place)


def _box(annotation: dict[str, Any], place: str, notes: list[str]) -> Box | None:
    sides = _sides(annotation, place)
    if sides is None:
        return None
    x, y, width, height = sides
    return box_or_none(x, y, x + width, y + height, notes)


def _folder(names: list[str], file: Path, root: Path, split: str) -> Path:
    """Return the folder of a file's images."""
    tail = file.stem.rpartition("_")[2]
    images = root / "images"
    places = [file.parent] if file.name == EXPORTED else []
    places += [root / tail, images / tail, split_folder(root, split), split_folder(images, split)]
    places += [images, root, file.parent]
    for place in places:
        if any(inside(place, name, str(file)).exists() for name in names[:10]):
            return place
    if not names:
        return root
    tried = ", ".join(dict.fromkeys(str(place) for place in places))
    raise DataError(f"{file}: its images, like {names[0]!r}, are in none of {tried}")
