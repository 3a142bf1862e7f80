"""The facts of every file of a data set, in about 50 bytes each.

As objects they would take more than a kilobyte each, so a gigabyte for a million files.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from struct import Struct
from typing import cast, overload

from verydeep.checks.file_facts import Fault, FileFacts
from verydeep.data.dataset import relative_name
from verydeep.data.geometry import Box
from verydeep.data.images.member import ImageSource
from verydeep.data.samples import Samples


@dataclass(frozen=True, slots=True)
class ImageFacts:
    """A file of the data set.

    Attributes:
        samples: Samples of its split.
        number: Index into them.
        root: Folder of the data set.
        split: Name of the split.
        label: Class index.
        facts: Facts of the file.
    """

    samples: Samples = field(compare=False, repr=False)
    number: int
    root: Path = field(compare=False, repr=False)
    split: str
    label: int
    facts: FileFacts

    @property
    def path(self) -> ImageSource:
        """Location of the file."""
        return self.samples[self.number].path

    @property
    def name(self) -> str:
        """Path within the data set."""
        return relative_name(self.path, self.root)

    @property
    def boxes(self) -> tuple[Box, ...]:
        """Boxes of objects of its class, the main one first; empty if unknown."""
        return self.samples[self.number].boxes


class DatasetFacts(Sequence[ImageFacts]):
    """The files of all splits, in order; their facts are added one by one.

    Args:
        splits: The samples of every split.
        root: Folder of the data set.
    """

    def __init__(self, splits: Mapping[str, Samples], root: Path) -> None:
        self._splits = [(name, samples, samples.labels) for name, samples in splits.items()]
        self._root = root
        self._facts = FactsTable()

    def add(self, facts: FileFacts) -> None:
        """Add the facts of the next file."""
        self._facts.append(facts)

    def __len__(self) -> int:
        return len(self._facts)

    @overload
    def __getitem__(self, index: int) -> ImageFacts: ...
    @overload
    def __getitem__(self, index: slice) -> Sequence[ImageFacts]: ...
    def __getitem__(self, index: int | slice) -> ImageFacts | Sequence[ImageFacts]:
        """Return a file, or a list of files."""
        if isinstance(index, slice):
            return [self[number] for number in range(*index.indices(len(self)))]
        facts, number = self._facts[index], index
        for split, samples, labels in self._splits:
            if number < len(samples):
                return ImageFacts(samples, number, self._root, split, int(labels[number]), facts)
            number -= len(samples)
        raise IndexError(index)

    def __iter__(self) -> Iterator[ImageFacts]:
        place = 0
        for split, samples, labels in self._splits:
            for number, label in enumerate(labels.tolist()):
                yield ImageFacts(samples, number, self._root, split, label, self._facts[place])
                place += 1


_ROW = Struct("<q16sQqqBBBB")
"""Length, digest, hash, width, height, indices of format, mode and fault, and flags."""

_FLAGS = ("animated", "turned", "deep", "alpha")
_HASHED, _DIGESTED = 16, 32


class FactsTable:
    """Facts in a block of bytes; rare and repeated texts are kept separately."""

    def __init__(self) -> None:
        self._rows = bytearray()
        self._words: list[str | None] = [None]  # formats, modes, faults
        self._numbers: dict[str | None, int] = {None: 0}
        self._reasons: dict[int, str] = {}

    def __len__(self) -> int:
        return len(self._rows) // _ROW.size

    def append(self, facts: FileFacts) -> None:
        """Add the facts of a file."""
        if facts.reason:
            self._reasons[len(self)] = facts.reason
        flags = sum(1 << bit for bit, name in enumerate(_FLAGS) if getattr(facts, name))
        flags += _HASHED * (facts.hash is not None) + _DIGESTED * bool(facts.digest)
        words = (self._number(word) for word in (facts.format, facts.mode, facts.fault))
        sizes = (facts.width, facts.height)
        self._rows += _ROW.pack(facts.length, facts.digest, facts.hash or 0, *sizes, *words, flags)

    def _number(self, word: str | None) -> int:
        if word not in self._numbers:
            self._numbers[word] = len(self._words)
            self._words.append(word)
        return self._numbers[word]

    def __getitem__(self, index: int) -> FileFacts:
        """Return the facts of a file."""
        if not 0 <= index < len(self):
            raise IndexError(f"index {index} is out of range for {len(self)} facts")
        row = _ROW.unpack_from(self._rows, index * _ROW.size)
        length, digest, hashed, width, height, *words, flags = row
        kind, mode, fault = (self._words[number] for number in words)
        animated, turned, deep, alpha = (bool(flags >> bit & 1) for bit in range(len(_FLAGS)))
        return FileFacts(
            length,
            digest if flags & _DIGESTED else b"",
            cast("Fault | None", fault),
            self._reasons.get(index, ""),
            kind,
            mode or "",
            width,
            height,
            animated,
            turned,
            deep,
            alpha,
            hashed if flags & _HASHED else None,
        )
