"""Samples: images with a class and perhaps boxes, kept compactly."""

from __future__ import annotations

import math
import os
from array import array
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Protocol, overload

import numpy as np
from numpy.typing import NDArray

from verydeep.data.geometry import Box
from verydeep.data.images.member import ImageSource, Member
from verydeep.data.label_sets import LabelSets, LabelSetTable
from verydeep.data.string_array import Names


@dataclass(frozen=True, slots=True)
class Sample:
    """One image: its location, its class and, if known, the boxes of its objects.

    Attributes:
        path: File, or member of an archive or table.
        label: Class index; in a multi-label data set the index of its label set, see
            :attr:`Samples.label_sets`.
        box: The main object, as defined by the layout; nets are trained on it.
        others: Further objects of the same class; a predicted box may match any of them.
    """

    path: ImageSource
    label: int
    box: Box | None = None
    others: tuple[Box, ...] = ()

    @property
    def boxes(self) -> tuple[Box, ...]:
        """Boxes of the image's class, the main one first; empty if the main box is unknown."""
        return (self.box, *self.others) if self.box else ()


class Provenance(Protocol):
    """Locations of many images, by index."""

    def __len__(self) -> int: ...
    def __getitem__(self, index: int, /) -> ImageSource: ...


class Samples(Sequence[Sample]):
    """Many samples in arrays: a million take about 100 MiB.

    Python objects would take ten times as much, and every reading process would soon hold its own
    copy, as reference counting writes to their memory.

    Args:
        places: Locations of the images.
        labels: Class indices, (N,).
        boxes: Main boxes, (N, 4), NaN for none; None if no image has one.
        others: Further boxes by image index, for the few images that have some.
        order: Indices into the above, (M,), that make up these samples; None for all.
        label_sets: Sets of classes that ``labels`` are indices of; None where an image has one
            class.
    """

    def __init__(
        self,
        places: Provenance,
        labels: NDArray[np.int32],
        boxes: NDArray[np.float64] | None = None,
        others: Mapping[int, tuple[Box, ...]] | None = None,
        order: NDArray[np.int64] | None = None,
        label_sets: LabelSets | None = None,
    ) -> None:
        self._places = places
        self._labels = labels
        self._boxes = boxes
        self._others = others or {}
        self._order = np.arange(len(labels)) if order is None else order
        self.label_sets = label_sets

    @staticmethod
    def of(samples: Iterable[Sample]) -> Samples:
        """Return the samples as :class:`Samples`."""
        if isinstance(samples, Samples):
            return samples
        builder = SamplesBuilder()
        for sample in samples:
            builder.add(sample.path, sample.label, sample.box, sample.others)
        return builder.samples()

    def __len__(self) -> int:
        return len(self._order)

    @overload
    def __getitem__(self, index: int) -> Sample: ...
    @overload
    def __getitem__(self, index: slice) -> Samples: ...
    def __getitem__(self, index: int | slice) -> Sample | Samples:
        """Return one sample, or a slice of them."""
        if isinstance(index, slice):
            return self._with_order(self._order[index])
        place = int(self._order[index])
        others = self._others.get(place, ())
        return Sample(self._places[place], int(self._labels[place]), self._box(place), others)

    def __iter__(self) -> Iterator[Sample]:
        return map(self.__getitem__, range(len(self)))

    def __eq__(self, other: object) -> bool:
        if not isinstance(other, Sequence):
            return NotImplemented
        return len(self) == len(other) and all(
            one == its for one, its in zip(self, other, strict=True)
        )

    __hash__ = None  # type: ignore[assignment]

    def __repr__(self) -> str:
        return f"<{len(self):,} samples>"

    @property
    def labels(self) -> NDArray[np.int32]:
        """Class indices, or in a multi-label data set those of :attr:`label_sets`, int32 (N,)."""
        return self._labels[self._order]

    @property
    def paths(self) -> Sequence[ImageSource]:
        """Locations of the images."""
        return _Paths(self)

    @property
    def has_boxes(self) -> bool:
        """Whether any sample has a box."""
        return bool(self._boxed.any())

    @property
    def _boxed(self) -> NDArray[np.bool_]:
        if self._boxes is None:
            return np.zeros(len(self), np.bool_)
        return np.asarray(np.isfinite(self._boxes[self._order, 0]))

    def with_box(self) -> Samples:
        """Return the samples that have a box."""
        return self.take(np.flatnonzero(self._boxed))

    def take(self, numbers: Sequence[int] | NDArray[np.int64]) -> Samples:
        """Return the samples with these indices, in this order."""
        return self._with_order(self._order[np.asarray(numbers, dtype=np.int64)])

    def relabelled(self, labels: Sequence[int]) -> Samples:
        """Return the samples with class ``labels[k]`` instead of k."""
        if self.label_sets is not None:
            return self.with_sets(self.label_sets.renumbered(labels), self._labels)
        new = np.asarray(labels, np.int32)[self._labels]
        return Samples(self._places, new, self._boxes, self._others, self._order)

    def with_sets(self, sets: LabelSets, labels: NDArray[np.int32]) -> Samples:
        """Return the samples with label sets, and the index of each image's set before ordering."""
        return Samples(self._places, labels, self._boxes, self._others, self._order, sets)

    def _with_order(self, order: NDArray[np.int64]) -> Samples:
        return Samples(
            self._places, self._labels, self._boxes, self._others, order, self.label_sets
        )

    def _box(self, place: int) -> Box | None:
        if self._boxes is None or np.isnan(self._boxes[place, 0]):
            return None
        return Box(*self._boxes[place].tolist())


def share_sets(splits: Mapping[str, Samples]) -> dict[str, Samples]:
    """Return splits whose label sets are numbered alike; splits without sets are unchanged."""
    table = LabelSetTable()
    numbers = {
        name: np.array([table.number(one) for one in samples.label_sets], np.int32)
        for name, samples in splits.items()
        if samples.label_sets is not None
    }
    sets = table.sets()
    return {
        name: samples.with_sets(sets, numbers[name][samples._labels])
        if name in numbers
        else samples
        for name, samples in splits.items()
    }


class SamplesBuilder:
    """Collect samples one by one.

    Args:
        root: Folder of most files; their names are kept relative to it.
    """

    def __init__(self, root: Path | None = None) -> None:
        self.root = "" if root is None else os.path.join(root, "")  # noqa: PTH118
        self._names = Names()
        self._members: list[Member] = []
        self._labels = array("i")
        self._boxes = array("d")  # up to the last box so far
        self._others: dict[int, tuple[Box, ...]] = {}

    def __len__(self) -> int:
        return len(self._labels)

    def add(
        self,
        place: ImageSource | str,
        label: int,
        box: Box | None = None,
        others: tuple[Box, ...] = (),
    ) -> None:
        """Add an image: a path, its text, or a member."""
        if isinstance(place, Member):
            self._members.append(place)
        else:
            name = self._within_root(str(place))
            self._names.append(name)
        if box is not None:
            self._boxes.extend([math.nan] * (4 * len(self) - len(self._boxes)))
            self._boxes.extend(box)
        if others:
            self._others[len(self)] = others
        self._labels.append(label)

    def _within_root(self, name: str) -> str:
        if not name.startswith(self.root):  # from now on, keep whole names
            self._names = Names(self.root + known for known in self._names)
            self.root = ""
        return name.removeprefix(self.root)

    def samples(self) -> Samples:
        """Return the collected samples, with class indices as labels."""
        assert not (self._members and len(self._names)), "files or members, not both"
        places: Provenance = self._members or Files(self.root, self._names)
        boxes = None
        if self._boxes:
            boxes = np.full((len(self), 4), np.nan)
            boxes.ravel()[: len(self._boxes)] = self._boxes
        return Samples(places, np.array(self._labels, dtype=np.int32), boxes, self._others)


@dataclass(frozen=True, slots=True)
class Files:
    """Files by name, relative to ``root`` unless absolute."""

    root: str
    names: Names

    def __len__(self) -> int:
        return len(self.names)

    def __getitem__(self, index: int) -> Path:
        return Path(self.root, self.names[index])


class _Paths(Sequence[ImageSource]):
    def __init__(self, samples: Samples) -> None:
        self._samples = samples

    def __len__(self) -> int:
        return len(self._samples)

    @overload
    def __getitem__(self, index: int) -> ImageSource: ...
    @overload
    def __getitem__(self, index: slice) -> Sequence[ImageSource]: ...
    def __getitem__(self, index: int | slice) -> ImageSource | Sequence[ImageSource]:
        if isinstance(index, slice):
            return self._samples[index].paths
        return self._samples[index].path
