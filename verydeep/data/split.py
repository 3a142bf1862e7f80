"""Seeded, stratified, repeatable splits and folds for data sets that have none.

The images of each class are sorted by a hash of (seed, name within the data set), and the first
shares become the splits; dealt out in turn, they become folds. The result does not depend on the
file system's listing order. With groups, whole groups are drawn: see
:mod:`verydeep.data.group_split`. Multi-label images are divided by
:mod:`verydeep.data.label_split`.
"""

from __future__ import annotations

import hashlib
import os
from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from verydeep.data.dataset import relative_name
from verydeep.data.group_split import divide_groups, lacking
from verydeep.data.images.member import ImageSource
from verydeep.data.label_sets import LabelSet
from verydeep.data.label_split import deal_sets
from verydeep.data.samples import Sample, Samples
from verydeep.errors import DataError, plural
from verydeep.system.option_names import option
from verydeep.system.summary import listed


def cut(
    samples: Sequence[Sample],
    root: Path,
    shares: Mapping[str, float],
    seed: int,
    *,
    names: Sequence[str] = (),
    groups: Sequence[str] | None = None,
) -> dict[str, Samples]:
    """Divide images into splits, class by class; the rest is ``train``.

    Args:
        samples: All images.
        root: Folder the image names are relative to.
        shares: Share of each class by split name, like ``{"val": 0.1}``; a nonzero share gives
            at least one image of every class.
        seed: Random seed.
        names: Class names, for messages.
        groups: Names of the images' groups, which are not divided; None without groups.

    Raises:
        DataError: A class has too few images, or groups, for every split.
    """
    samples = Samples.of(samples)
    if samples.label_sets is not None:
        return _cut_sets(samples, root, shares, seed, groups, names)
    labels = samples.labels
    if groups is not None:
        return _cut_groups(samples, root, shares, seed, groups, names)
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
            folder = _common_folder(places.values(), root)
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


def _common_folder(places: Iterable[ImageSource], root: Path) -> str:
    try:
        return os.path.commonpath([Path(str(place)).parent for place in places])
    except ValueError:  # absolute and relative paths
        return str(root)


def _cut_sets(
    samples: Samples,
    root: Path,
    shares: Mapping[str, float],
    seed: int,
    groups: Sequence[str] | None,
    names: Sequence[str],
) -> dict[str, Samples]:
    """Divide multi-label images; every class must be in train, but may lack in a small split."""
    kept = {name: share for name, share in shares.items() if share}
    parts = {"train": 1.0 - sum(kept.values()), **kept}
    aim = f"split into {', '.join(parts)}"
    divided = _deal_sets(samples, root, [*parts.values()], seed, groups, aim, names)
    _check_trained(samples, divided == 0, root, aim, names)
    places = dict(enumerate(samples.paths))
    chosen = {
        split: _in_order_of_names(np.flatnonzero(divided == part).tolist(), places)
        for part, split in enumerate(parts)
    }
    return {
        split: samples.take(numbers)
        for split, numbers in chosen.items()
        if numbers or split == "train"
    }


def _deal_sets(
    samples: Samples,
    root: Path,
    shares: Sequence[float],
    seed: int,
    groups: Sequence[str] | None,
    aim: str,
    names: Sequence[str],
) -> NDArray[np.int64]:
    """Return the part of every multi-label image, int64 (N,)."""
    sets = _sets_of(samples)
    if groups is not None:
        # Images of none of the classes count as one of a class of their own.
        none = 1 + max((label for one in sets for label in one), default=-1)
        images, labels = _pairs([one or (none,) for one in sets])
        divided = divide_groups(labels, groups, shares, seed, images)
        _check_groups(*_pairs(sets), divided, groups, aim, len(shares), names)
        return divided
    hashes = [_hash(seed, relative_name(path, root)) for path in samples.paths]
    order = sorted(range(len(samples)), key=hashes.__getitem__)
    dealt = np.empty(len(samples), np.int64)
    dealt[order] = deal_sets([sets[number] for number in order], shares)
    return dealt


def _sets_of(samples: Samples) -> list[LabelSet]:
    """Return the classes of every image."""
    assert samples.label_sets is not None
    return [samples.label_sets[label] for label in samples.labels.tolist()]


def _pairs(sets: Sequence[LabelSet]) -> tuple[NDArray[np.int64], NDArray[np.int64]]:
    """Return image and class of every pair of an image and one of its classes."""
    images = np.repeat(np.arange(len(sets)), [len(one) for one in sets])
    return images, np.array([label for one in sets for label in one], np.int64)


def _check_trained(
    samples: Samples, trained: NDArray[np.bool_], root: Path, aim: str, names: Sequence[str]
) -> None:
    """Raise an error if the multi-label images to train on, bool (N,), lack a class."""
    images, labels = _pairs(_sets_of(samples))
    lost = np.setdiff1d(labels, labels[trained[images]]).tolist()
    if lost:
        raise DataError(
            f"{root}: class {_named(lost[0], names)} has too few images to {aim}; add images, or "
            "make the splits yourself"
        )


def _cut_groups(
    samples: Samples,
    root: Path,
    shares: Mapping[str, float],
    seed: int,
    groups: Sequence[str],
    names: Sequence[str],
) -> dict[str, Samples]:
    """Divide images by group, with every class as close to its shares as the groups allow."""
    kept = {name: share for name, share in shares.items() if share}
    parts = {"train": 1 - sum(kept.values()), **kept}
    aim = f"split into {', '.join(parts)}"
    divided = _deal_groups(samples, groups, [*parts.values()], seed, aim, names)
    return {
        name: _sorted_by_class(samples.take(np.flatnonzero(divided == number)), root)
        for number, name in enumerate(parts)
    }


def deal_folds(
    samples: Sequence[Sample],
    root: Path,
    folds: int,
    seed: int,
    *,
    names: Sequence[str] = (),
    groups: Sequence[str] | None = None,
) -> NDArray[np.int64]:
    """Deal images out to folds, class by class.

    Args:
        samples: All images.
        root: Folder the image names are relative to.
        folds: Number of folds.
        seed: Random seed.
        names: Class names, for messages.
        groups: Names of the images' groups, which are not divided; None without groups.

    Returns:
        The fold of every image from 0 on, int64 (N,).

    Raises:
        DataError: A class has fewer images, or groups, than folds. A class of multi-label images
            must be in all folds if there are groups, else in two.
    """
    samples = Samples.of(samples)
    aim = f"make {folds} folds"
    if samples.label_sets is not None:
        dealt = _deal_sets(samples, root, [1 / folds] * folds, seed, groups, aim, names)
        for fold in range(folds):
            _check_trained(samples, dealt != fold, root, aim, names)
        return dealt
    if groups is not None:
        return _deal_groups(samples, groups, [1 / folds] * folds, seed, aim, names)
    labels = samples.labels.astype(np.int64)
    hashes = [_hash(seed, relative_name(path, root)) for path in samples.paths]
    dealt, start = np.empty(len(samples), np.int64), 0
    for label in np.unique(labels).tolist():
        ordered = sorted(np.flatnonzero(labels == label).tolist(), key=hashes.__getitem__)
        if len(ordered) < folds:
            raise DataError(
                f"{root}: class {_named(label, names)} has {plural(len(ordered), 'image')}: too "
                f"few to make {folds} folds; add images, or make fewer folds"
            )
        # The next class begins where this one ends, so that all folds have the same size.
        dealt[ordered] = (start + np.arange(len(ordered))) % folds
        start += len(ordered)
    return dealt


def _deal_groups(
    samples: Samples,
    groups: Sequence[str],
    shares: Sequence[float],
    seed: int,
    aim: str,
    names: Sequence[str],
) -> NDArray[np.int64]:
    """Return the part of every image of one class, int64 (N,); no group is divided."""
    labels = samples.labels.astype(np.int64)
    divided = divide_groups(labels, groups, shares, seed)
    _check_groups(np.arange(len(labels)), labels, divided, groups, aim, len(shares), names)
    return divided


def _check_groups(
    images: NDArray[np.int64],
    labels: NDArray[np.int64],
    divided: NDArray[np.int64],
    groups: Sequence[str],
    aim: str,
    parts: int,
    names: Sequence[str],
) -> None:
    """Raise an error that names the classes with too few groups for every part.

    Args:
        images: Image of each pair of an image and one of its classes.
        labels: Class of each pair.
        divided: Part of each image, (N,).
        groups: Names of the images' groups.
        aim: What cannot be done, for the message.
        parts: Number of parts.
        names: Class names.
    """
    short = lacking(labels, divided[images], parts).tolist()
    if not short:
        return
    found = [
        f"{_named(label, names)} ({plural(len(own), 'group')}, like {min(own)!r})"
        for label in short
        if (own := {groups[number] for number in images[labels == label].tolist()})
    ]
    of_class = "class" if len(short) == 1 else f"{len(short):,} classes:"
    raise DataError(
        f"too few groups to {aim} with every class in each: {of_class} {listed(found)}; a group "
        f"is never divided. Use smaller groups ({option('group_by')}), add data, or make the "
        "splits yourself"
    )


def _named(label: int, names: Sequence[str]) -> str:
    return names[label] if label < len(names) else str(label)


def _sorted_by_class(samples: Samples, root: Path) -> Samples:
    labels, places = samples.labels.tolist(), [relative_name(path, root) for path in samples.paths]
    order = sorted(range(len(labels)), key=lambda one: (labels[one], places[one].split("/")))
    return samples.take(order)


def _in_order_of_names(numbers: Sequence[int], places: Mapping[int, ImageSource]) -> list[int]:
    return sorted(numbers, key=lambda number: str(places[number]).split("/"))


def _hash(seed: int, name: str) -> bytes:
    return hashlib.sha256(f"{seed}:{name}".encode("utf-8", "surrogateescape")).digest()
