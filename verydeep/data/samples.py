"""What a data set is: pictures with a class and perhaps a box, in splits that share classes."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import NamedTuple

from verydeep.errors import DataError, did_you_mean


class Box(NamedTuple):
    """A rectangle in pixels of the upright picture; x1 and y1 are the first pixels outside."""

    x0: float
    y0: float
    x1: float
    y1: float


@dataclass(frozen=True, slots=True)
class Sample:
    """One picture: where it is, its class and, if known, where on it the object is.

    Attributes:
        path: The file.
        label: Number of its class.
        box: The main object; which that is, each layout says. It is what a net is trained on.
        others: Further objects of the same class; a box that is found is right by any of them.
    """

    path: Path
    label: int
    box: Box | None = None
    others: tuple[Box, ...] = ()

    @property
    def boxes(self) -> tuple[Box, ...]:
        """The objects of the picture's class, the main one first; none if its box is unknown."""
        return (self.box, *self.others) if self.box else ()


@dataclass(frozen=True)
class Dataset:
    """Pictures in splits, with the classes that all splits share.

    Attributes:
        root: The folder that its pictures lie in.
        layout: How it lies on disk, in words.
        classes: Names of the K classes; a sample's label counts into them. They are those of the
            training split, in order of their names.
        splits: Samples by name of the split: ``train``, ``val`` and perhaps ``test``.
        titles: What to show people for a class; the class's name where it is not in here.
        made_by_rule: The split was not found on disk but drawn; see :mod:`verydeep.data.split`.
        layout_name: What ``--layout`` calls the layout.
        notes: What else is to be said of it, like how many pictures were left out.
    """

    root: Path
    layout: str
    classes: tuple[str, ...]
    splits: Mapping[str, tuple[Sample, ...]]
    titles: Mapping[str, str] = field(default_factory=dict)
    made_by_rule: bool = False
    layout_name: str | None = None
    notes: tuple[str, ...] = ()

    def split(self, name: str) -> tuple[Sample, ...]:
        """Return the samples of a split.

        Raises:
            DataError: There is no such split.
        """
        if name not in self.splits:
            raise DataError(
                f"{self.root} has no split {name!r}; it has {', '.join(self.splits)}"
                f"{did_you_mean(name, self.splits)}"
            )
        return self.splits[name]

    @property
    def test_split(self) -> str:
        """Name of the split to test on: ``test`` if there is one, else ``val``, else the last."""
        return next((name for name in ("test", "val") if name in self.splits), [*self.splits][-1])

    def title(self, label: int) -> str:
        """Return what to show people for a class."""
        return self.titles.get(self.classes[label], self.classes[label])

    def count(self, split: str) -> tuple[int, ...]:
        """Return the number of pictures of every class in a split."""
        counts = Counter(sample.label for sample in self.split(split))
        return tuple(counts[label] for label in range(len(self.classes)))

    def describe(self) -> str:
        """Return the data set in one line.

        >>> Dataset(Path("pets"), "a folder a class", ("cat", "dog"), {"train": ()}).describe()
        'a folder a class, 2 classes, 0 train'
        """
        sizes = ", ".join(f"{len(samples):,} {name}" for name, samples in self.splits.items())
        boxes = any(s.box for samples in self.splits.values() for s in samples)
        rule = " (drawn by rule)" if self.made_by_rule else ""
        notes = "".join(f", {note}" for note in ((["boxes"] if boxes else []) + [*self.notes]))
        return f"{self.layout}, {len(self.classes)} classes, {sizes}{rule}{notes}"


def relative_name(path: Path, root: Path) -> str:
    """Return how to name a picture to people: its path within the data set."""
    return path.relative_to(root).as_posix() if path.is_relative_to(root) else str(path)
