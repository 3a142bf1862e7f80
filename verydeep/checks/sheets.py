"""Small pictures for a page: a contact sheet a class, and those that a finding is about."""

from __future__ import annotations

import random
from collections import defaultdict
from collections.abc import Iterable, Sequence
from dataclasses import dataclass

from verydeep.checks.facts import Picture
from verydeep.data.loading import in_parallel
from verydeep.data.members import Source
from verydeep.data.samples import Dataset
from verydeep.data.thumbnails import thumbnail
from verydeep.errors import PictureError

HEIGHT = 96
"""Pixels of a small picture, whose width is at most twice that."""

MOST_ON_A_PAGE = 1000
"""Small pictures on all sheets together, at most; two a class in any case."""

MOST_A_CLASS = 8


@dataclass(frozen=True, slots=True)
class Sheet:
    """A few pictures of one class."""

    title: str
    pictures: tuple[Picture, ...]
    total: int


def choose_sheets(
    dataset: Dataset, pictures: Sequence[Picture], *, seed: int = 0
) -> tuple[Sheet, ...]:
    """Choose a few usable training pictures of every class.

    Args:
        dataset: The data set.
        pictures: All of its files.
        seed: Another seed chooses others.
    """
    by_class: dict[int, list[Picture]] = defaultdict(list)
    for picture in pictures:
        if picture.facts.fault is None and picture.split in ("train", "all"):
            by_class[picture.label].append(picture)
    each = max(2, min(MOST_A_CLASS, MOST_ON_A_PAGE // len(dataset.classes)))
    return tuple(
        Sheet(dataset.title(label), _choose(by_class[label], each, seed), len(by_class[label]))
        for label in range(len(dataset.classes))
    )


def _choose(pictures: list[Picture], count: int, seed: int) -> tuple[Picture, ...]:
    chosen = random.Random(seed).sample(pictures, min(count, len(pictures)))
    return tuple(sorted(chosen, key=lambda picture: picture.name))


def shrink_all(paths: Iterable[Source], *, workers: int | None = None) -> dict[Source, str]:
    """Return small pictures as data URIs, by file; those that cannot be decoded are left out."""
    wanted = sorted(set(paths), key=str)
    small = in_parallel(shrink, wanted, workers=workers)
    return {path: uri for path, uri in zip(wanted, small, strict=True) if uri}


def shrink(path: Source) -> str | None:
    """Return a small picture as a JPEG in a data URI; None if it cannot be decoded."""
    try:
        return thumbnail(path, (2 * HEIGHT, HEIGHT))
    except PictureError:  # what is wrong with it stands among the findings
        return None
