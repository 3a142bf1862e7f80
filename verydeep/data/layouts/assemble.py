"""What the layouts share: safe names, numbers, and the way from entries to a data set.

Files of annotations come from anywhere. A name in them may lead to no place outside the data set,
every fault is a :class:`~verydeep.errors.DataError` that says where it stands.
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
from verydeep.data.images.regular_file import open_regular
from verydeep.data.layouts.line_numbers import LineNumbers
from verydeep.data.layouts.on_disk import may_differ, on_disk, within
from verydeep.data.name_forms import nfc
from verydeep.data.samples import (
    Box,
    Dataset,
    OddBox,
    Samples,
    SamplesBuilder,
    relative_name,
)
from verydeep.data.split_names import EVAL, ORDER, meaning_of_eval
from verydeep.data.string_array import first_repeated
from verydeep.errors import DataError, plural

_STROKES = re.compile(r"[/\\]")
_ODD = frozenset(("", ".", ".."))
_DRIVE = re.compile(r"[A-Za-z]:")
_UTF_16 = (codecs.BOM_UTF16_LE, codecs.BOM_UTF16_BE)


class Entry(NamedTuple):
    """An image as a file of annotations tells of it.

    Attributes:
        path: Where the image is; as text it takes less time.
        name: Its class.
        box: Where on it the object is, if that is told.
        place: The file, and the line if there is one, that says so.
        others: Where further objects of the class are.
        odd: What of its boxes was left out or changed, and why.
    """

    path: Path | str
    name: str
    box: Box | None
    place: str
    others: tuple[Box, ...] = ()
    odd: Sequence[str] = ()


def assemble(
    root: Path,
    layout: str,
    splits: Mapping[str, Iterable[Entry]],
    *,
    titles: Mapping[str, str] | None = None,
    notes: Iterable[str] = (),
) -> Dataset:
    """Return the data set that entries make up.

    Args:
        root: Folder that its images lie in.
        layout: How it lies on disk, in words.
        splits: Entries by name of the split; empty ones are left out. Classes are those of
            ``train`` (of ``all``, if the entries are not divided; of all splits, if there are no
            training images), in order of their names.
        titles: What to show people for a class.
        notes: What else is to be said of it.

    Raises:
        DataError: There are no images or fewer than two classes, a class has no name that can be
            printed, another split has a class that training lacks, or an image stands in a split
            twice. (One that stands in two splits is let pass.)
    """
    assembly = Assembly(root, layout)
    for split, entries in splits.items():
        for entry in entries:
            assembly.add(split, entry)
    return assembly.dataset(titles=titles, notes=notes)


class Assembly:
    """Entries that become a data set one after the other: none is kept as an object.

    Args:
        root: Folder that the images lie in.
        layout: How the data set lies on disk, in words.
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
        if not entry.name.isascii():
            self._spellings.setdefault(nfc(entry.name), set()).add(entry.name)
        self._odd += [OddBox(Path(entry.path), reason) for reason in entry.odd]

    def first_place(self, split: str) -> str | None:
        """Return where the first image of a split is told of; None if there is none."""
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
        return Dataset(
            self.root,
            self.layout,
            classes,
            {name: split.samples(labels) for name, split in filled.items()},
            {nfc(name): title for name, title in (titles or {}).items() if nfc(name) in labels},
            notes=tuple(notes),
            odd_boxes=tuple(self._odd),
            respelled=tuple(name for name, forms in self._spellings.items() if len(forms) > 1),
        )

    def _filled(self) -> dict[str, _Split]:
        """Return the splits in order, with ``eval`` made the split that it means."""
        meaning = meaning_of_eval(self._splits)
        if EVAL in self._splits and meaning in self._splits:
            raise DataError(
                f"{self.first_place(EVAL)}: the split eval could mean val or test, but there are "
                "both: name it after one of them"
            )
        splits = {meaning if name == EVAL else name: one for name, one in self._splits.items()}
        return {name: splits[name] for name in ORDER if name in splits}

    def _classes(self, filled: Mapping[str, _Split]) -> tuple[str, ...]:
        """Return the classes: those of the training images or, where there are none, of all."""
        whole = filled.get("train") or filled.get("all")
        told: dict[str, str] = {}
        for split in [whole] if whole else filled.values():
            told = dict(zip(split.numbers, split.firsts, strict=True)) | told
        return tuple(sorted(check_class_names(told.items(), self.root, least=2 if whole else 1)))


@dataclass
class _Split:
    """The images of a split, with classes numbered as they come."""

    builder: SamplesBuilder
    places: LineNumbers = field(default_factory=LineNumbers)
    numbers: dict[str, int] = field(default_factory=dict)
    firsts: list[str] = field(default_factory=list)
    hashes: array[int] = field(default_factory=lambda: array("q"))

    def add(self, entry: Entry) -> None:
        number = self.numbers.setdefault(nfc(entry.name), len(self.numbers))
        if number == len(self.firsts):
            self.firsts.append(entry.place)
        path = str(entry.path)
        self.builder.add(path, number, entry.box, entry.others if entry.box else ())
        self.hashes.append(hash(path))
        self.places.append(entry.place)

    def check(self, split: str, root: Path, labels: Mapping[str, int]) -> None:
        for name, place in zip(self.numbers, self.firsts, strict=True):
            if name not in labels:
                raise unknown_class(name, labels, place)
        twice = first_repeated(self.hashes, self.builder.samples().paths)
        if twice:
            path = self.builder.samples()[twice[0]].path
            raise DataError(
                f"{self.places[twice[1]]}: {relative_name(path, root)} stands in {split} twice, "
                f"first in {self.places[twice[0]]}: keep one of them"
            )

    def samples(self, labels: Mapping[str, int]) -> Samples:
        return self.builder.samples().relabelled([labels[name] for name in self.numbers])


def inside(folder: Path, name: str, place: str) -> Path:
    """Return the path of a file that is named in a folder, and is in it or below.

    A name may be absolute if it leads into the folder. One that no file has as it stands is looked
    for in the forms of :mod:`verydeep.data.layouts.on_disk`.

    Raises:
        DataError: The name leads elsewhere, or no file can have it.
    """
    return Path(name_inside(folder, name, place))


def name_inside(folder: Path, name: str, place: str) -> str:
    """Return the same as text, which takes a fifth of the time."""
    if name[:1] == "/":
        name = within(str(folder), name)
    parts = _STROKES.split(name)
    odd = not _ODD.isdisjoint(parts)
    if (odd and _leads_elsewhere(parts)) or _DRIVE.match(name) or "\0" in name:
        raise DataError(
            f"{place}: {name!r} is no file in {folder}: name images relative to it, without '..'"
        )
    try:
        os.fsencode(name)
    except UnicodeEncodeError as error:
        raise DataError(f"{place}: no file can be called {name!r}") from error
    if odd:  # one name for one file, which may not stand there twice
        name = str(Path(name))
    if may_differ(name):
        return on_disk(str(folder), name)
    return os.path.join(folder, name)  # noqa: PTH118


def _leads_elsewhere(parts: Sequence[str]) -> bool:
    nowhere = all(part in ("", ".") for part in parts)
    return nowhere or not parts[0] or ".." in parts


@contextlib.contextmanager
def opened_text(path: Path, newline: str | None = None) -> Iterator[TextIO]:
    """Open a text in UTF-8, with or without a byte order mark, or in UTF-16 with one.

    Raises:
        DataError: It cannot be read, now or later.
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
            f"{path}: not in UTF-8 (byte {_first_fault(path)}: {error.reason}): save it as UTF-8"
        ) from error
    except OSError as error:
        raise DataError(f"{path}: cannot be read ({error.strerror})") from error


def _first_fault(path: Path) -> int:
    """Return the first byte that is no UTF-8; the error of a stream counts within its buffer."""
    try:
        with open_regular(path) as file:
            file.readall().decode()
    except UnicodeDecodeError as error:
        return error.start
    return 0


def read_text(path: Path) -> str:
    """Return a text in UTF-8, with or without a byte order mark.

    Raises:
        DataError: It cannot be read.
    """
    with opened_text(path) as stream:
        return stream.read()


def lines(path: Path) -> Iterator[tuple[str, str]]:
    """Yield the lines of a text that are not blank, each after its place, ``file, line 3``."""
    with opened_text(path) as stream:
        for number, line in enumerate(stream, start=1):
            if line.strip():
                yield f"{path}, line {number}", line.strip()


def counted(count: int, what: str) -> Collection[str]:
    """Return a note on some images, or none if there are none of them."""
    return (f"{plural(count, 'image')} {what}",) if count else ()
