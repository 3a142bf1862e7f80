"""Files that lie in a data set's folder and are none of its samples."""

from __future__ import annotations

import os
from collections.abc import Container, Iterator
from dataclasses import dataclass
from pathlib import Path

from verydeep.checks.sniff import HEAD, PICTURES, sniff
from verydeep.data.decode import SUFFIXES
from verydeep.data.members import Member, Source
from verydeep.data.regular import open_regular
from verydeep.data.samples import Dataset, relative_name

ANNOTATIONS = frozenset({"wnids.txt", "words.txt", "val_annotations.txt", "boxes.csv"})
"""Files that a layout has beside its pictures."""


@dataclass(frozen=True, slots=True)
class Stray:
    """A file that training passes over.

    Attributes:
        name: Its path within the data set.
        suffix: Its ending in lower case; empty if it has none.
        content: What it holds, if its first bytes tell.
        picture: Whether its ending is that of a picture: it lies where no class is.
    """

    name: str
    suffix: str
    content: str | None
    picture: bool

    @property
    def hidden(self) -> bool:
        """Whether it is a picture that its ending hides."""
        return not self.picture and self.content in PICTURES


def find_strays(dataset: Dataset) -> tuple[Stray, ...]:
    """Find the files in a data set's folder that are none of its samples, hidden ones aside."""
    if any(isinstance(path, Member) for s in dataset.splits.values() for path in s.paths[:1]):
        return ()  # what lies there are the archives that hold the pictures
    known = {path for samples in dataset.splits.values() for path in samples.paths}
    return tuple(_strays(dataset, known))


def _strays(dataset: Dataset, known: Container[Source]) -> Iterator[Stray]:
    for path in _files(dataset.root):
        annotation = path.name in ANNOTATIONS or path.name == f"{path.parent.name}_boxes.txt"
        if path in known or annotation:
            continue
        suffix = path.suffix.lower()
        yield Stray(relative_name(path, dataset.root), suffix, _content(path), suffix in SUFFIXES)


def _files(root: Path) -> Iterator[Path]:
    for parent, folders, files in os.walk(root):
        folders[:] = sorted(name for name in folders if not name.startswith("."))
        yield from (Path(parent, name) for name in sorted(files) if not name.startswith("."))


def _content(path: Path) -> str | None:
    try:
        with open_regular(path) as stream:
            return sniff(stream.read(HEAD))
    except OSError:
        return None
