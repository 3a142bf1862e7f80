"""Hugging Face data sets: by Hub id, ``hf:owner/name``, or saved on disk.

An id may name a configuration and the columns: ``hf:owner/name:config?image=img&label=fine_label``.
By default, the image is the only image column; the class is the column label, labels, fine_label,
class or target, or else the only column of class labels. Classes keep the order of the training
split; each split may number them differently. Rows without a class (label -1, as in hidden test
sets) are left out, and splits other than train, validation and test are ignored.

The ``datasets`` package downloads and caches the files under ``HF_HOME``; no code of a data set is
run.
"""

from __future__ import annotations

import logging
from collections.abc import Collection, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any
from urllib.parse import parse_qsl

import numpy as np
from numpy.typing import NDArray

from verydeep.data.class_names import check_class_names, unknown_class
from verydeep.data.dataset import Dataset
from verydeep.data.images.limits import open_metered
from verydeep.data.images.member import Member
from verydeep.data.images.regular_file import check_regular
from verydeep.data.name_forms import nfc
from verydeep.data.samples import Samples
from verydeep.data.split_names import resolve_eval, whole_split
from verydeep.errors import DataError, MissingExtra, PictureError, did_you_mean, printable
from verydeep.system.progress import Progress

SCHEME = "hf:"
PATIENCE = 10
"""Seconds to wait for an answer from the Hub; the same as in its own package."""

LABELS = ("label", "labels", "fine_label", "class", "target")


def is_hub_id(data: str) -> bool:
    """Return whether a text is a Hub id.

    >>> is_hub_id("hf:zalando-datasets/fashion_mnist"), is_hub_id("pets")
    (True, False)

    Files in a repository of the Hub have another address:

    >>> is_hub_id("hf://datasets/owner/name/train-{00..99}.tar")
    False
    """
    return data.startswith(SCHEME) and not data.startswith(f"{SCHEME}//")


def recognise(path: Path) -> bool:
    """Return whether a folder holds a saved data set, with or without splits."""
    saved = (path / "state.json").is_file() and (path / "dataset_info.json").is_file()
    return saved or (path / "dataset_dict.json").is_file()


def read(path: Path) -> Dataset:
    """Read a data set saved on disk.

    Raises:
        DataError: It cannot be read, or has no images with classes.
        MissingExtra: ``datasets`` is not installed.
    """
    hub = _package(str(path))
    try:
        for file in path.rglob("*"):
            if not file.is_dir():
                check_regular(file)
        saved = hub.load_from_disk(str(path))
    except Exception as error:  # depends on the files
        raise DataError(f"{path}: cannot be read as a saved data set ({error})") from error
    return _dataset(saved, str(path), path, {})


def read_id(data: str, progress: Progress | None = None) -> Dataset:
    """Read a data set by its id; download it on first use.

    Raises:
        DataError: It cannot be downloaded, or has no images with classes.
        MissingExtra: ``datasets`` is not installed.
    """
    hub = _package(data)
    place, _, query = data.removeprefix(SCHEME).partition("?")
    name, _, config = place.partition(":")
    columns = dict(parse_qsl(query))
    unknown = next((key for key in columns if key not in ("image", "label")), None)
    if unknown or not name:
        raise DataError(f"{data}: must be like hf:owner/name or hf:owner/name:config?label=column")
    (progress or Progress()).log(f"{name}: from the Hugging Face Hub, or its cache on this machine")
    try:
        with _without_retries(hub):
            fetched = hub.load_dataset(name, config or None)
    except Exception as error:  # network, Hub or data
        reason = " ".join(str(error).split())
        raise DataError(
            f"{data}: not available from the Hugging Face Hub ({reason}) or its cache in "
            f"{_cache()} (set by HF_HOME). Check name and network; or download it on another "
            "machine, save it with save_to_disk, and give that folder"
        ) from error
    return _dataset(fetched, data, Path(name), columns)


@contextmanager
def _without_retries(hub: Any) -> Iterator[None]:
    """Use only the cache, silently, if the Hub cannot be reached.

    By itself the package would retry for half a minute and print two lines each time. Its offline
    mode can only be set for the whole process.
    """
    from huggingface_hub import constants

    switches: list[Any] = [m for m in (constants, hub.config) if hasattr(m, "HF_HUB_OFFLINE")]
    before = [module.HF_HUB_OFFLINE for module in switches]
    logger = logging.getLogger("huggingface_hub")
    level = logger.level
    logger.setLevel(logging.ERROR)
    try:
        if not _reachable():
            for module in switches:
                module.HF_HUB_OFFLINE = True
        yield
    finally:
        logger.setLevel(level)
        for module, was in zip(switches, before, strict=True):
            module.HF_HUB_OFFLINE = was


def _reachable() -> bool:
    """Return whether the Hub answers at all."""
    from huggingface_hub import constants, get_session

    try:
        get_session().head(constants.ENDPOINT, timeout=PATIENCE)
    except Exception:  # depends on the version
        return False
    return True


def _cache() -> str:
    from huggingface_hub import constants

    return printable(str(constants.HF_HOME))


def _package(data: str) -> Any:
    try:
        import datasets
    except ImportError as error:
        raise MissingExtra(f"{data}: a Hugging Face data set", "hub") from error
    return datasets


@dataclass(frozen=True, eq=False)
class HubRows:
    """The images of a split.

    Attributes:
        split: Name of the split.
        rows: The split, with only the image column, undecoded.
        column: Name of that column.
        numbers: Indices of the rows.
        folders: Folders in which a row may name an image file, resolved.
    """

    split: str
    rows: Any = field(repr=False)
    column: str
    numbers: NDArray[np.int64] = field(repr=False)
    folders: tuple[Path, ...]

    def __len__(self) -> int:
        return len(self.numbers)

    def __getitem__(self, index: int) -> HubRow:
        return HubRow(self, int(self.numbers[index]))


@dataclass(frozen=True, slots=True)
class HubRow(Member):
    """One row of a split."""

    table: HubRows
    number: int

    def __str__(self) -> str:
        return f"{self.table.split}/{self.number}"

    def read(self) -> bytes:
        """Return the bytes of the image file."""
        stored = self.table.rows[self.number][self.table.column] or {}
        if stored.get("bytes") is not None:
            return bytes(stored["bytes"])
        if not stored.get("path"):
            raise PictureError("the row has no image")
        path = Path(stored["path"])
        if not any(map(path.resolve().is_relative_to, self.table.folders)):
            raise PictureError("the row names a file outside of the data set")
        with open_metered(path) as stream:
            stream.end_of_header()
            return stream.read()


def _dataset(found: Any, name: str, root: Path, columns: Mapping[str, str]) -> Dataset:
    by_split = dict(found) if isinstance(found, dict) else {"all": found}
    meanings = _meanings(by_split, name)
    known = {split: rows for split, rows in by_split.items() if split in meanings}
    notes = [f"split {split} ignored" for split in by_split if split not in known]
    if not known:
        raise DataError(f"{name}: has only splits with unknown names: {', '.join(by_split)}")
    first = next(split for meaning in _WHOLE for split in known if meanings[split] == meaning)
    whole = known[first]
    image = _image_column(whole.features, name, columns.get("image"))
    label = _label_column(whole.features, name, columns.get("label"))
    labels = {split: _labels(rows, label, name) for split, rows in known.items()}
    classes = _classes(labels[first], _class_names(whole.features[label]), name)
    called = check_class_names(((str(one), name) for one in classes), name)
    splits: dict[str, Samples] = {}
    folders = _folders(root, name)
    for split, rows in known.items():
        samples = _samples(split, rows, image, labels[split], classes, folders)
        if len(samples) < len(rows):
            notes.append(f"{len(rows) - len(samples):,} of {split} without a class left out")
        if len(samples):
            splits[meanings[split]] = samples
    return Dataset(root, "Hugging Face data set", called, splits, notes=tuple(notes))


def _folders(root: Path, name: str) -> tuple[Path, ...]:
    """Return the folders in which rows may name files: the data set's and the Hub's caches."""
    from huggingface_hub import constants

    config = _package(name).config
    caches = (
        *(constants.HF_HOME, constants.HF_HUB_CACHE, config.HF_DATASETS_CACHE),
        *(config.DOWNLOADED_DATASETS_PATH, config.EXTRACTED_DATASETS_PATH),
    )
    return tuple(Path(folder).resolve() for folder in (root, *caches))


_WHOLE = ("train", "all", "val", "test")
"""Splits in the order in which they determine the classes."""


def _meanings(names: Collection[str], data: str) -> dict[str, str]:
    """Return the split that each name means, without other names."""
    known = {name: split for name in names if (split := whole_split(name)) is not None}
    found = resolve_eval(known) | ({"all": "all"} if "all" in names else {})
    for split in _WHOLE:
        same = [name for name in found if found[name] == split]
        if len(same) > 1:
            raise DataError(f"{data}: has the splits {' and '.join(same)}, which both mean {split}")
    return found


def _image_column(features: Mapping[str, Any], name: str, asked: str | None) -> str:
    found = [key for key, kind in features.items() if type(kind).__name__ == "Image"]
    column = _one_of(found, features, name, "image", asked, "images")
    if column not in found:
        raise DataError(
            f"{name}: the column {column!r} holds no images; those that do: "
            f"{', '.join(found) or 'none'}"
        )
    return column


def _label_column(features: Mapping[str, Any], name: str, asked: str | None) -> str:
    if asked is None:
        usual = next((key for key in LABELS if key in features), None)
        if usual is not None:
            return usual
    found = [key for key, kind in features.items() if type(kind).__name__ == "ClassLabel"]
    return _one_of(found, features, name, "label", asked, "class labels")


def _one_of(
    found: Sequence[str],
    features: Mapping[str, Any],
    name: str,
    role: str,
    asked: str | None,
    what: str,
) -> str:
    if asked is not None:
        if asked not in features:
            raise DataError(
                f"{name}: has no column {asked!r}; it has {', '.join(features)}"
                f"{did_you_mean(asked, features)}"
            )
        return asked
    if len(found) != 1:
        raise DataError(
            f"{name}: has {len(found) or 'no'} columns of {what} among {', '.join(features)}; "
            f"name one: hf:owner/name?{role}=COLUMN"
        )
    return found[0]


def _class_names(feature: Any) -> tuple[str, ...] | None:
    """Return the names of a column of class labels, by number; None for another column."""
    names = getattr(feature, "names", None)
    return None if names is None else tuple(map(nfc, names))


def _labels(rows: Any, column: str, name: str) -> list[int | str | None]:
    """Return the class of every row: its name, or a number without one; None for no class."""
    if column not in rows.features:
        raise DataError(f"{name}: a split lacks the column {column!r}")
    labels = list(rows.with_format(None)[column])
    bad = next((label for label in labels if not isinstance(label, int | str | None)), None)
    if bad is not None:
        raise DataError(f"{name}: a class must be text or an integer, got {bad!r} instead")
    names = _class_names(rows.features[column])
    of = {-1: None, "": None} | dict(enumerate(names or ()))
    forms = (nfc(label) if isinstance(label, str) else label for label in labels)
    return [of.get(label, label) for label in forms]


def _classes(
    labels: Sequence[int | str | None], names: Sequence[str] | None, name: str
) -> list[Any]:
    """Return the classes that occur: in the order of their names' numbers, or else sorted."""
    found = {label for label in labels if label is not None}
    if len({type(label) for label in found}) > 1:
        raise DataError(f"{name}: its classes mix numbers and text")
    return sorted(found) if names is None else [one for one in names if one in found]


def _samples(
    split: str,
    rows: Any,
    image: str,
    labels: Sequence[int | str | None],
    classes: Sequence[int | str],
    folders: tuple[Path, ...],
) -> Samples:
    numbers: dict[int | str | None, int] = {label: n for n, label in enumerate(classes)}
    kept = [n for n, label in enumerate(labels) if label is not None]
    unknown = next((labels[n] for n in kept if labels[n] not in numbers), None)
    if unknown is not None:
        raise unknown_class(str(unknown), map(str, classes), split)
    column = rows.select_columns([image])
    stored = column.cast_column(image, type(column.features[image])(decode=False))
    table = HubRows(split, stored, image, np.array(kept, np.int64), folders)
    return Samples(table, np.array([numbers[labels[n]] for n in kept], np.int32))
