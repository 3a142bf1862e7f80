"""Data sets: images in splits that share classes."""

from __future__ import annotations

import json
import re
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np

from verydeep.data.folders.passed_over import PassedOver
from verydeep.data.images.member import ImageSource
from verydeep.data.label_sets import LabelSets
from verydeep.data.name_forms import alike, alike_in_words
from verydeep.data.samples import Samples
from verydeep.errors import DataError, did_you_mean, plural
from verydeep.nets.dimensions import INPUT_WORDS
from verydeep.system.option_names import setting
from verydeep.system.summary import Rows, Summary, listed

if TYPE_CHECKING:
    from verydeep.data.shards.stream import ShardStream

_SCHEME = re.compile(r"^([a-z][a-z0-9+.:]+):/(?!/)")


@dataclass(frozen=True, slots=True)
class OddBox:
    """An annotated box that was dropped as empty, or cut.

    Attributes:
        path: The image.
        reason: The fault, and what was done about it.
    """

    path: ImageSource
    reason: str


@dataclass(frozen=True, repr=False)
class Dataset(Summary):
    """Images in splits that share classes.

    Attributes:
        root: Folder of the images.
        layout: Layout on disk, in words.
        classes: Names of the K classes of the training split, sorted; labels are indices into it.
        splits: Samples by split name: ``train``, ``val`` and perhaps ``test``. Any sequences are
            converted to :class:`Samples`.
        titles: Display names by class; a class without one shows its name.
        made_by_rule: Whether splits were drawn; see :mod:`verydeep.data.split`.
        groups: Number of groups that were not divided in this; None without a rule for groups.
        layout_name: Value of the option ``layout``.
        notes: Further notes, such as the number of images left out.
        passed_over: Files and folders skipped, and links followed.
        stream: The training split if it is streamed from shards; ``splits`` then lacks it.
        odd_boxes: Annotated boxes that were dropped or cut.
        folders: Folders whose every image, at any depth, should be a sample; None where lists
            name the images.
        respelled: Classes whose name occurs in several of Unicode's normal forms.
        coco: The COCO file or folder it was read from, if any; see
            :func:`verydeep.data.layouts.coco.numbering`.
        dimensions: 2 for images, 3 for volumes.
        table: The table it was read from, if any.
        generated: Whether this package has drawn the images, each by itself from originals of its
            split. Images that are nearly equal are then so by chance.
        source: The name, id, pattern, URL or whole path it was read from; None if made in memory.
    """

    root: Path
    layout: str
    classes: tuple[str, ...]
    splits: Mapping[str, Samples]
    titles: Mapping[str, str] = field(default_factory=dict)
    made_by_rule: bool = False
    groups: int | None = None
    layout_name: str | None = None
    notes: tuple[str, ...] = ()
    passed_over: PassedOver = field(default_factory=PassedOver)
    stream: ShardStream | None = None
    odd_boxes: tuple[OddBox, ...] = ()
    folders: tuple[Path, ...] | None = None
    coco: Path | None = None
    respelled: tuple[str, ...] = ()
    dimensions: int = 2
    table: Path | None = None
    generated: bool = False
    source: str | None = None

    def __post_init__(self) -> None:
        compact = {name: Samples.of(samples) for name, samples in self.splits.items()}
        object.__setattr__(self, "splits", compact)

    def facts(self) -> Rows:
        """Yield the facts to show."""
        yield "data", self.place
        yield "layout", self.layout
        yield "classes", f"{len(self.classes):,} ({listed(self.classes)})"
        if self.multi_label:
            yield "labels", "several per image (multi-label)"
        for name, size in self.sizes.items():
            yield name, plural(size, self.thing)

    def split(self, name: str) -> Samples:
        """Return the samples of a split.

        Raises:
            DataError: There is no such split.
        """
        if name == "train" and self.stream is not None:
            raise DataError(
                f"{self.place}: the training images are a stream, which has no fixed order; "
                f"read them by index instead ({setting('data.stream', False)})"
            )
        if name not in self.splits:
            raise DataError(
                f"{self.place} has no split {name!r}; it has {', '.join(self.splits)}"
                f"{did_you_mean(name, self.splits)}"
            )
        return self.splits[name]

    @property
    def thing(self) -> str:
        """What one sample is called: image or volume."""
        return INPUT_WORDS[self.dimensions].thing

    @property
    def place(self) -> str:
        """Printable location of the images: a folder or URL, or a table in the current folder.

        >>> Dataset(Path("s3://bucket/pets"), "tar shards", ("cat", "dog"), {}).place
        's3://bucket/pets'
        """
        if self.table is not None and self.root == Path():
            return str(self.table)
        return _SCHEME.sub(r"\1://", str(self.root))  # Path merges two slashes into one

    @property
    def test_split(self) -> str:
        """Name of the split to test on: ``test`` if there is one, else ``val``, else the last."""
        return next((name for name in ("test", "val") if name in self.splits), [*self.splits][-1])

    @property
    def sizes(self) -> dict[str, int]:
        """Number of images of every split."""
        streamed = {} if self.stream is None else {"train": len(self.stream)}
        return streamed | {name: len(samples) for name, samples in self.splits.items()}

    @property
    def label_sets(self) -> LabelSets | None:
        """Sets of classes that the labels of all splits are indices of; None for one class each."""
        return next((samples.label_sets for samples in self.splits.values()), None)

    @property
    def multi_label(self) -> bool:
        """Whether an image may have several classes, or none."""
        return self.label_sets is not None

    def check_single_label(self, what: str) -> None:
        """Refuse a multi-label data set.

        Args:
            what: What needs one class per image, for the message.

        Raises:
            DataError: An image may have several classes.
        """
        if self.multi_label:
            raise DataError(
                f"{self.place}: images have several labels (multi-label), and {what} needs one "
                "class per image"
            )

    def check_images(self, what: str) -> None:
        """Refuse a data set of volumes.

        Args:
            what: What needs images, for the message.

        Raises:
            DataError: The data are volumes.
        """
        if self.dimensions == 3:
            raise DataError(f"{self.place}: volumes, and {what} is of images")

    def classes_of(self, label: int) -> tuple[int, ...]:
        """Return the class indices of a label: itself, or those of a label set."""
        return (label,) if self.label_sets is None else self.label_sets[label]

    def label_words(self, label: int) -> str:
        """Return the class names of a label, for messages."""
        names = [self.classes[k] for k in self.classes_of(label)]
        return ", ".join(names) or "no label" if self.multi_label else names[0]

    def label_text(self, label: int) -> str:
        """Return the class name of a label or, of a label set, its names as a JSON list.

        >>> from verydeep.data.samples import Sample
        >>> pets = Dataset(Path("pets"), "", ("cat", "dog"), {"train": [Sample(Path("a"), 1)]})
        >>> pets.label_text(1)
        'dog'
        """
        if self.label_sets is None:
            return self.classes[label]
        names = [self.classes[k] for k in self.label_sets[label]]
        return json.dumps(names, ensure_ascii=False)

    @property
    def label_texts(self) -> tuple[str, ...]:
        """The text of every label; see :meth:`label_text`."""
        count = len(self.classes if self.label_sets is None else self.label_sets)
        return tuple(map(self.label_text, range(count)))

    def title(self, label: int) -> str:
        """Return the display name of a class."""
        return self.titles.get(self.classes[label], self.classes[label])

    def count(self, split: str) -> tuple[int, ...]:
        """Return the number of images per class in a split; one with two classes counts twice."""
        if split == "train" and self.stream is not None:
            return self.stream.counts
        labels = self.split(split).labels
        if self.label_sets is not None:
            return tuple(self.label_sets.images_of_classes(labels, len(self.classes)).tolist())
        return tuple(np.bincount(labels, minlength=len(self.classes)).tolist())

    def describe(self) -> str:
        """Describe the data set in one line.

        >>> Dataset(Path("pets"), "one folder per class", ("cat", "dog"), {"train": ()}).describe()
        'one folder per class, 2 classes, 0 train'
        """
        sizes = ", ".join(f"{size:,} {name}" for name, size in self.sizes.items())
        boxes = any(samples.has_boxes for samples in self.splits.values())
        grouped = "" if self.groups is None else f", {plural(self.groups, 'group')}"
        rule = f" (drawn by rule{grouped})" if self.made_by_rule else ""
        streamed = ["training images as a stream"] if self.stream is not None else []
        boxed = ["boxes"] if boxes else []
        several = ["several labels per image"] if self.multi_label else []
        too_similar = alike(self.classes)
        similar = [alike_in_words(too_similar)] if too_similar else []
        every = (*several, *streamed, *boxed, *self.notes, *self.passed_over.notes, *similar)
        notes = "".join(f", {note}" for note in every)
        count = plural(len(self.classes), "class", "classes")
        classes = f", {count}" if any(self.classes) else ""
        return f"{self.layout}{classes}, {sizes}{rule}{notes}"


def relative_name(place: ImageSource, root: Path) -> str:
    """Return the printable name of an image: its path within the data set."""
    if isinstance(place, Path) and place.is_relative_to(root):
        return place.relative_to(root).as_posix()
    return str(place)
