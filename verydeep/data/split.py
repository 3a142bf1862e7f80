"""Seeded, stratified, repeatable splits for data sets that have none.

The images of each class are sorted by a hash of (seed, name within the data set), and the first
shares become the splits. The result does not depend on the file system's listing order.

Multi-label images are divided by :mod:`verydeep.data.label_split`.
"""

from __future__ import annotations

import hashlib
import os
from collections.abc import Mapping, Sequence
from pathlib import Path

import numpy as np

from verydeep.data.dataset import relative_name
from verydeep.data.images.member import ImageSource
from verydeep.data.label_split import stratify
from verydeep.data.samples import Sample, Samples
from verydeep.errors import DataError, plural


def cut(
    samples: Sequence[Sample],
    root: Path,
    shares: Mapping[str, float],
    seed: int,
    *,
    names: Sequence[str] = (),
) -> dict[str, Samples]:
    """Divide images into splits, class by class; the rest is ``train``.

    Args:
        samples: All images.
        root: Folder the image names are relative to.
        shares: Share of each class by split name, like ``{"val": 0.1}``; a nonzero share gives
            at least one image of every class.
        seed: Random seed.
        names: Class names, for messages.

    Raises:
        DataError: A class has too few images for every split.
    """
    samples = Samples.of(samples)
    if samples.label_sets is not None:
        return _cut_sets(samples, root, shares, seed, names)
    labels = samples.labels
    splits: dict[str, list[int]] = {"train": [], **{name: [] for name in shares}}
    for label in np.unique(labels).tolist():
        numbers = np.flatnonzero(labels == label).tolist()
        places = {number: samples[number].path for number in numbers}
        hashes = {n: _hash(seed, relative_name(place, root)) for n, place in places.items()}
        ordered = sorted(numbers, key=hashes.__getitem__)
        start = 0
        for name, share in shares.items():
            end = start + (max(1, round(share * len(ordered))) if share else 0)
            splits[name] += _in_order_of_names(ordered[start:end], places)
            start = end
        if start >= len(ordered):
            folder = os.path.commonpath([Path(str(place)).parent for place in places.values()])
            known = label < len(names) and Path(folder).name != names[label]
            whose = f"{folder}: class {names[label]}" if known else folder
            raise DataError(
                f"{whose} has {plural(len(ordered), 'image')}: too few to split into "
                f"{', '.join(splits)}; add images, or make the splits yourself"
            )
        splits["train"] += _in_order_of_names(ordered[start:], places)
    return {
        name: samples.take(chosen) for name, chosen in splits.items() if chosen or name == "train"
    }


def _cut_sets(
    samples: Samples, root: Path, shares: Mapping[str, float], seed: int, names: Sequence[str]
) -> dict[str, Samples]:
    assert samples.label_sets is not None
    places = dict(enumerate(samples.paths))
    hashes = {n: _hash(seed, relative_name(place, root)) for n, place in places.items()}
    order = sorted(places, key=hashes.__getitem__)
    sets = [samples.label_sets[label] for label in samples.labels.tolist()]
    found = dict(zip(order, stratify([sets[n] for n in order], shares), strict=True))
    chosen = {
        split: _in_order_of_names([n for n in places if found[n] == split], places)
        for split in ("train", *(name for name, share in shares.items() if share))
    }
    trained = {label for number in chosen["train"] for label in sets[number]}
    for label in sorted({label for one in sets for label in one} - trained):
        name = names[label] if label < len(names) else label
        raise DataError(
            f"{root}: class {name} has too few images to split into {', '.join(chosen)}; add "
            "images, or make the splits yourself"
        )
    return {
        split: samples.take(numbers)
        for split, numbers in chosen.items()
        if numbers or split == "train"
    }


def _in_order_of_names(numbers: Sequence[int], places: Mapping[int, ImageSource]) -> list[int]:
    return sorted(numbers, key=lambda number: str(places[number]).split("/"))


def _hash(seed: int, name: str) -> bytes:
    return hashlib.sha256(f"{seed}:{name}".encode("utf-8", "surrogateescape")).digest()
