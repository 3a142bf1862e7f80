"""Thumbnails for the page: a contact sheet per class, and the images of findings."""

from __future__ import annotations

import random
from array import array
from collections import defaultdict
from collections.abc import Iterable, Sequence
from contextlib import closing
from dataclasses import dataclass

from verydeep.checks.facts_table import ImageFacts
from verydeep.data.dataset import Dataset
from verydeep.data.images.member import ImageSource
from verydeep.data.images.thumbnails import thumbnail
from verydeep.data.pipeline.workers import in_parallel
from verydeep.errors import PictureError
from verydeep.system.progress import Progress

HEIGHT = 96
"""Height of a thumbnail in pixels; its width is at most twice that."""

MOST_ON_A_PAGE = 1000
"""Maximum thumbnails on all sheets together."""

FEWEST_A_CLASS = 2
"""Thumbnails of a class; with too many classes, not every one has a sheet."""

MOST_A_CLASS = 8


@dataclass(frozen=True, slots=True)
class Sheet:
    """A few images of one class."""

    title: str
    pictures: tuple[ImageFacts, ...]
    total: int


def choose_sheets(
    dataset: Dataset, pictures: Sequence[ImageFacts], *, seed: int = 0
) -> tuple[Sheet, ...]:
    """Choose some usable images of every class, or of as many classes as fit on the page.

    They are training images; without a training split, those of all splits.

    Args:
        dataset: The data set.
        pictures: All of its files.
        seed: Random seed.
    """
    splits = {"train", "all"} & {*dataset.splits} or {*dataset.splits}
    by_class: dict[int, array[int]] = defaultdict(lambda: array("q"))
    for number, picture in enumerate(pictures):
        if picture.facts.fault is None and picture.split in splits:
            for label in dataset.classes_of(picture.label):
                by_class[label].append(number)
    count = len(dataset.classes)
    each = max(FEWEST_A_CLASS, min(MOST_A_CLASS, MOST_ON_A_PAGE // count))
    shown = sorted(random.Random(seed).sample(range(count), min(count, MOST_ON_A_PAGE // each)))
    return tuple(
        Sheet(
            dataset.title(label),
            _choose(pictures, by_class[label], each, seed),
            len(by_class[label]),
        )
        for label in shown
    )


def _choose(
    pictures: Sequence[ImageFacts], numbers: Sequence[int], count: int, seed: int
) -> tuple[ImageFacts, ...]:
    chosen = random.Random(seed).sample(numbers, min(count, len(numbers)))
    return tuple(sorted((pictures[number] for number in chosen), key=lambda one: one.name))


def shrink_all(
    paths: Iterable[ImageSource], *, workers: int | None = None, progress: Progress | None = None
) -> dict[ImageSource, str]:
    """Return thumbnails as data URIs by file, without those that cannot be decoded."""
    wanted = sorted(set(paths), key=str)
    found = {}
    with (
        (progress or Progress()).task("thumbnails", len(wanted)) as bar,
        closing(in_parallel(shrink, wanted, workers=workers)) as small,
    ):
        for done, (path, uri) in enumerate(zip(wanted, small, strict=True), start=1):
            if uri:
                found[path] = uri
            bar.update(done)
    return found


def shrink(path: ImageSource) -> str | None:
    """Return a thumbnail as a data URI; None if the image cannot be decoded."""
    try:
        return thumbnail(path, (2 * HEIGHT, HEIGHT))
    except PictureError:  # reported among the findings
        return None
