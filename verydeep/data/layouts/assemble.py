"""Shared code of the layouts: safe names, text files, and assembly of entries to a data set.

Annotation files come from anywhere. Their names may not lead outside the data set, and every fault
is a :class:`~verydeep.errors.DataError` with its location.
"""

from __future__ import annotations

import codecs
import contextlib
import io
import os
import re
from array import array
from collections.abc import Collection, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import NamedTuple, TextIO

from verydeep.data.class_names import check_class_names, check_titles, unknown_class
from verydeep.data.dataset import Dataset, OddBox, relative_name
from verydeep.data.geometry import Box
from verydeep.data.images.regular_file import open_regular
from verydeep.data.label_sets import LabelSetTable
from verydeep.data.layouts.line_numbers import LineNumbers
from verydeep.data.layouts.on_disk import may_differ, on_disk, within
from verydeep.data.name_forms import nfc
from verydeep.data.samples import Samples, SamplesBuilder, share_sets
from verydeep.data.split_names import EVAL, ORDER, meaning_of_eval
from verydeep.data.string_array import first_repeated
from verydeep.errors import DataError, plural

_SLASHES = re.compile(r"[/\\]")
_SPECIAL = frozenset(("", ".", ".."))
_DRIVE = re.compile(r"[A-Za-z]:")
_UTF_16 = (codecs.BOM_UTF16_LE, codecs.BOM_UTF16_BE)


class Entry(NamedTuple):
    """An image in an annotation file.

    Attributes:
        path: Path of the image; faster as text.
        name: Class name.
        box: Box of the main object, if known.
        place: Location of the entry: file and perhaps line.
        others: Boxes of further objects of the class.
        notes: Notes on boxes that were dropped or changed.
        names: All class names of a multi-label image, which has no ``name`` and no boxes; None for
            an image of one class. Either all entries of a data set have them, or none.
    """

    path: Path | str
    name: str
    box: Box | None
    place: str
    others: tuple[Box, ...] = ()
    notes: Sequence[str] = ()
    names: tuple[str, ...] | None = None

    @property
    def class_names(self) -> tuple[str, ...]:
        """Names of the image's classes."""
        return (self.name,) if self.names is None else self.names


def label_entry(path: Path | str, names: Iterable[str], place: str) -> Entry:
    """Return the entry of a multi-label image."""
    return Entry(path, "", None, place, names=tuple(names))


def assemble(
    root: Path,
    layout: str,
    splits: Mapping[str, Iterable[Entry]],
    *,
    titles: Mapping[str, str] | None = None,
    notes: Iterable[str] = (),
) -> Dataset:
    """Return the data set of some entries.

    Args:
        root: Folder of the images.
        layout: Layout on disk, in words.
        splits: Entries by split name; empty splits are dropped. The classes are those of
            ``train`` (of ``all`` for entries without splits; of every split without training
            images), sorted.
        titles: Display names of classes.
        notes: Notes on the data set.

    Raises:
        DataError: There are no images or fewer than two classes, a class name cannot be printed,
            another split has a class that training lacks, or an image is in a split twice.
            (An image may be in two splits.)
    """
    assembly = Assembly(root, layout)
    for split, entries in splits.items():
        for entry in entries:
            assembly.add(split, entry)
    return assembly.dataset(titles=titles, notes=notes)


class Assembly:
    """A data set built from a stream of entries without keeping them as objects.

    Args:
        root: Folder of the images.
        layout: Layout on disk, in words.
    """

    def __init__(self, root: Path, layout: str) -> None:
        self.root = root
        self.layout = layout
        self._splits: dict[str, _Split] = {}
        self._odd: list[OddBox] = []
        self._spellings: dict[str, set[str]] = {}

    def add(self, split: str, entry: Entry) -> None:
        """Add an image to a split."""
        if split not in self._splits:
            self._splits[split] = _Split(SamplesBuilder(self.root))
        self._splits[split].add(entry)
        for name in entry.class_names:
            if not name.isascii():
                self._spellings.setdefault(nfc(name), set()).add(name)
        self._odd += [OddBox(Path(entry.path), reason) for reason in entry.notes]

    def first_place(self, split: str) -> str | None:
        """Return the location of the first entry of a split; None if there is none."""
        return self._splits[split].places[0] if split in self._splits else None

    def dataset(
        self, *, titles: Mapping[str, str] | None = None, notes: Iterable[str] = ()
    ) -> Dataset:
        """Return the data set; see :func:`assemble`."""
        filled = self._filled()
        if not filled:
            raise DataError(f"{self.root}: {self.layout} without training images; found none")
        classes = self._classes(filled)
        labels = {name: label for label, name in enumerate(classes)}
        for name, split in filled.items():
            split.check(name, self.root, labels)
        check_titles(titles or {}, self.root)
        splits = {name: split.samples(labels) for name, split in filled.items()}
        return Dataset(
            self.root,
            self.layout,
            classes,
            share_sets(splits),
            {nfc(name): title for name, title in (titles or {}).items() if nfc(name) in labels},
            notes=tuple(notes),
            odd_boxes=tuple(self._odd),
            respelled=tuple(name for name, forms in self._spellings.items() if len(forms) > 1),
        )

    def _filled(self) -> dict[str, _Split]:
        """Return the splits in order, with ``eval`` resolved."""
        meaning = meaning_of_eval(self._splits)
        if EVAL in self._splits and meaning in self._splits:
            raise DataError(
                f"{self.first_place(EVAL)}: the split eval could mean val or test, and both exist: "
                "rename it"
            )
        splits = {meaning if name == EVAL else name: one for name, one in self._splits.items()}
        return {name: splits[name] for name in ORDER if name in splits}

    def _classes(self, filled: Mapping[str, _Split]) -> tuple[str, ...]:
        """Return the classes of the training images or, if there are none, of all images."""
        whole = filled.get("train") or filled.get("all")
        firsts: dict[str, str] = {}
        for split in [whole] if whole else filled.values():
            firsts = dict(zip(split.numbers, split.firsts, strict=True)) | firsts
        return tuple(sorted(check_class_names(firsts.items(), self.root, least=2 if whole else 1)))


@dataclass
class _Split:
    """The images of a split, with classes numbered in order of appearance."""

    builder: SamplesBuilder
    places: LineNumbers = field(default_factory=LineNumbers)
    numbers: dict[str, int] = field(default_factory=dict)
    firsts: list[str] = field(default_factory=list)
    hashes: array[int] = field(default_factory=lambda: array("q"))
    table: LabelSetTable | None = None

    def add(self, entry: Entry) -> None:
        numbers = [self._number(name, entry.place) for name in entry.class_names]
        if entry.names is None:
            (label,) = numbers
        else:
            self.table = self.table or LabelSetTable()
            label = self.table.number(numbers)
        path = str(entry.path)
        self.builder.add(path, label, entry.box, entry.others if entry.box else ())
        self.hashes.append(hash(path))
        self.places.append(entry.place)

    def _number(self, name: str, place: str) -> int:
        number = self.numbers.setdefault(nfc(name), len(self.numbers))
        if number == len(self.firsts):
            self.firsts.append(place)
        return number

    def check(self, split: str, root: Path, labels: Mapping[str, int]) -> None:
        for name, place in zip(self.numbers, self.firsts, strict=True):
            if name not in labels:
                raise unknown_class(name, labels, place)
        twice = first_repeated(self.hashes, self.builder.samples().paths)
        if twice:
            path = self.builder.samples()[twice[0]].path
            raise DataError(
                f"{self.places[twice[1]]}: {relative_name(path, root)} is in {split} twice, "
                f"first in {self.places[twice[0]]}: keep one of them"
            )

    def samples(self, labels: Mapping[str, int]) -> Samples:
        samples = self.builder.samples()
        if self.table is not None:
            samples = samples.with_sets(self.table.sets(), samples.labels)
        return samples.relabelled([labels[name] for name in self.numbers])


def inside(folder: Path, name: str, place: str) -> Path:
    """Return the path of a file that is named relative to a folder.

    An absolute name must lead into the folder. If no file has the name, the forms of
    :mod:`verydeep.data.layouts.on_disk` are tried.

    Raises:
        DataError: The name leads outside the folder, or is invalid.
    """
    return Path(name_inside(folder, name, place))


def name_inside(folder: Path, name: str, place: str) -> str:
    """Return the same path as text, in a fifth of the time."""
    if name[:1] == "/":
        name = within(str(folder), name)
    parts = _SLASHES.split(name)
    special = not _SPECIAL.isdisjoint(parts)
    if (special and _leads_elsewhere(parts)) or _DRIVE.match(name) or "\0" in name:
        raise DataError(
            f"{place}: {name!r} is not in {folder}: name images relative to it, without '..'"
        )
    try:
        os.fsencode(name)
    except UnicodeEncodeError as error:
        raise DataError(f"{place}: {name!r} is not a valid file name") from error
    if special:  # one name per file, to detect repetitions
        name = str(Path(name))
    if may_differ(name):
        return on_disk(str(folder), name)
    return os.path.join(folder, name)  # noqa: PTH118


def _leads_elsewhere(parts: Sequence[str]) -> bool:
    nowhere = all(part in ("", ".") for part in parts)
    return nowhere or not parts[0] or ".." in parts


@contextlib.contextmanager
def opened_text(path: Path, newline: str | None = None) -> Iterator[TextIO]:
    """Open a text file in UTF-8, with or without a byte order mark, or in UTF-16 with one.

    Raises:
        DataError: The file cannot be read, now or later.
    """
    encoding = "utf-8-sig"
    try:
        buffer = io.BufferedReader(open_regular(path))
        encoding = "utf-16" if buffer.peek(2)[:2] in _UTF_16 else encoding
        with io.TextIOWrapper(buffer, encoding=encoding, newline=newline) as stream:
            yield stream
    except UnicodeError as error:
        if encoding == "utf-16" or not isinstance(error, UnicodeDecodeError):
            raise DataError(f"{path}: broken UTF-16 ({error}): save it as UTF-8") from error
        raise DataError(
            f"{path}: not UTF-8 (byte {_first_fault(path)}: {error.reason}): save it as UTF-8"
        ) from error
    except OSError as error:
        raise DataError(f"{path}: cannot be read ({error.strerror})") from error


def _first_fault(path: Path) -> int:
    """Return the offset of the first invalid byte; a stream's error has that within its buffer."""
    try:
        with open_regular(path) as file:
            file.readall().decode()
    except UnicodeDecodeError as error:
        return error.start
    return 0


def read_text(path: Path) -> str:
    """Return the text of a file; see :func:`opened_text`."""
    with opened_text(path) as stream:
        return stream.read()


def lines(path: Path) -> Iterator[tuple[str, str]]:
    """Yield the location, ``file, line 3``, and text of each line that is not blank."""
    with opened_text(path) as stream:
        for number, line in enumerate(stream, start=1):
            if line.strip():
                yield f"{path}, line {number}", line.strip()


def counted(count: int, what: str) -> Collection[str]:
    """Return a note on a number of images, empty for 0."""
    return (f"{plural(count, 'image')} {what}",) if count else ()
