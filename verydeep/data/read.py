"""Read a data set from a DATA argument: a name, a folder, a file or a pattern."""

from __future__ import annotations

import itertools
from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any, get_args

import numpy as np
from numpy.typing import NDArray

from verydeep.data.arrays import MEMORY, dataset_of
from verydeep.data.builtin import named
from verydeep.data.dataset import Dataset
from verydeep.data.fold import Fold
from verydeep.data.group_rule import GroupRule
from verydeep.data.grouping import groups_of
from verydeep.data.label_sets import DataTask
from verydeep.data.layouts.hub import is_hub_id, read_id
from verydeep.data.layouts.shards import read_shards
from verydeep.data.registry import BUILT_IN, check_layout, find_layout, one_class_each
from verydeep.data.samples import Samples
from verydeep.data.shards.paths import is_pattern
from verydeep.data.split import cut, deal_folds
from verydeep.errors import DataError, InputError
from verydeep.system.files import expanded
from verydeep.system.object_stores import is_remote
from verydeep.system.option_names import option, setting
from verydeep.system.progress import Progress, ProgressWish, choose_progress

HUB, SHARDS = "hub", "shards"

Data = str | Path | Dataset | tuple[Any, Any]
"""A name, a folder or a file; a data set; or images with their labels."""


@dataclass(frozen=True)
class DataSource:
    """Data as they were given, and the layout and task to read them in; None detects them."""

    data: Data
    layout: str | None = None
    task: DataTask | None = None

    def read(self, **settings: Any) -> Dataset:
        """Read the data set; the settings are those of :func:`read_dataset`."""
        return read_dataset(self.data, layout=self.layout, task=self.task, **settings)

    @property
    def name(self) -> str:
        """The data in words: what was given, or the place of a data set."""
        if isinstance(self.data, Dataset):
            return self.data.place
        return str(self.data) if isinstance(self.data, str | Path) else MEMORY

    @property
    def in_memory(self) -> bool:
        """Whether the data are no name, folder or file."""
        return not isinstance(self.data, str | Path)

    @property
    def is_named(self) -> bool:
        """Whether it is a data set by name."""
        return self.name in named.NAMES and self.layout in (None, BUILT_IN)

    @property
    def is_pattern(self) -> bool:
        """Whether it stands for shards, by a pattern or a URL."""
        asked = self.layout in (None, SHARDS)
        return asked and is_pattern(self.name) and not expanded(self.name).exists()

    @property
    def lasting(self) -> str:
        """The same as can be given anywhere: the name, the URL, or the whole path.

        For a data set, it is what the data set was read from.
        """
        if isinstance(self.data, Dataset) and self.data.source is not None:
            return self.data.source
        if self.is_named or is_remote(self.name) or is_hub_id(self.name) or self.name == MEMORY:
            return self.name
        return str(expanded(self.name).resolve())


def read_dataset(
    data: Data,
    *,
    validation_share: float = 0.1,
    test_share: float = 0.1,
    seed: int = 0,
    draw: bool = True,
    layout: str | None = None,
    stream: bool | None = None,
    group_by: str | None = None,
    fold: Fold | str | None = None,
    task: DataTask | None = None,
    progress: ProgressWish = None,
) -> Dataset:
    """Read a data set: its classes, splits and image locations. No image is opened.

    Args:
        data: A name (``digits``, the built-in set, or one of
            :data:`verydeep.data.builtin.torchvision_sets.SETS`, which is fetched once), an id of
            the Hugging Face Hub (``hf:owner/name``), a pattern of shards, or a file or folder in
            one of the layouts of :mod:`verydeep.data.registry`; a data set; or images, uint8
            (N, H, W, 3) or a list of PIL images or arrays, with their labels, numbers or names (or
            lists of them: several labels per image).
        validation_share: Share of each class that is cut off where there is no validation split.
        test_share: Likewise for the test, where nothing divides the images.
        seed: Of the rule that cuts.
        draw: Whether to cut at all; if not, images that nothing divides are one split, ``all``,
            and there may be no training images.
        layout: Name of the layout; None looks which it is.
        stream: Whether the training split of shards is to be a stream; None decides by where and
            how many they are.
        group_by: Rule for groups that no split divides, such as the images of one patient:
            ``column:NAME`` of a table, ``name:REGEX`` or ``folder``; see
            :mod:`verydeep.data.group_rule`. It does not change splits that the data have.
        fold: A fold of a cross-validation, like ``2/5``, that is drawn as the test split.
        task: ``classification`` for one class per image; ``multi-label`` for any number of them,
            which tables, the layouts of COCO and Pascal VOC and ``digits-multi`` can give; None
            lets the data decide.
        progress: Where to report to; None reports in a notebook and to a terminal, False is
            silent, True reports anyway.

    Raises:
        DataError: There is no such file or folder, no layout fits, or its classes or splits
            cannot be used, or there are too few images or groups to draw splits.
        InputError: The rule for groups or the fold cannot be understood, or the shares leave
            nothing to train on.
        MissingExtra: A Parquet file is given and pyarrow is not installed.
    """
    progress = choose_progress(progress)
    check_layout(layout)
    check_task(task)
    _check_shares(validation_share, test_share)
    rule = None if group_by is None else GroupRule.parse(group_by)
    one = Fold.parse(fold) if isinstance(fold, str) else fold
    dataset = _read(DataSource(data, layout, task), stream, progress)
    if task is not None and dataset.multi_label != (task == "multi-label"):
        raise _of_another_task(dataset)
    if dataset.stream is not None and "val" not in dataset.splits:
        raise DataError(
            f"{dataset.place}: cannot draw a validation split from a stream; name shards for it "
            "(val-0000.tar), write the shards with verydeep shard, or read them by index "
            f"({setting('data.stream', False)})"
        )
    if draw and dataset.stream is None and not {"train", "all"} & set(dataset.splits):
        raise _without_training(dataset)
    if draw:
        return draw_splits(dataset, validation_share, test_share, seed, rule, one)
    return _in_order(dataset)


def check_task(task: str | None) -> None:
    """Refuse an unknown task.

    Raises:
        DataError: The task is unknown.
    """
    known = get_args(DataTask)
    if task is not None and task not in known:
        raise DataError(f"task must be {' or '.join(known)}, got {task!r} instead")


def _check_shares(validation: float, test: float) -> None:
    for name, share in (("validation_share", validation), ("test_share", test)):
        if not 0 <= share < 1:
            raise InputError(f"{name} must be from 0 to below 1, got {share} instead")
    if validation + test >= 1:
        raise InputError(
            "validation_share and test_share must leave images to train on (sum below 1), got "
            f"{validation} + {test} instead"
        )


def _of_another_task(dataset: Dataset) -> DataError:
    if dataset.multi_label:
        wanted = option("task", "classification")
        return DataError(f"{dataset.place}: images have several labels: leave out {wanted}")
    return one_class_each(dataset.place, dataset.layout_name or dataset.layout)


def draw_splits(
    dataset: Dataset,
    validation_share: float,
    test_share: float,
    seed: int,
    rule: GroupRule | None = None,
    fold: Fold | None = None,
) -> Dataset:
    """Return a data set with its missing splits drawn by rule.

    Args:
        dataset: The data set.
        validation_share: Share of the validation split, if it is missing.
        test_share: Share of the test split, if nothing divides the images.
        seed: Random seed.
        rule: Rule for groups that are not divided; None without groups.
        fold: Fold that becomes the test split; None for an ordinary split.

    Raises:
        DataError: A class has too few images or groups for every split, or a fold is to be drawn
            from data with a test split or from a stream.
    """
    if dataset.stream is not None:
        if fold or rule:
            what = option("fold") if fold else option("group_by")
            raise DataError(
                f"{dataset.place}: {what} is for images by index; read the shards so "
                f"({setting('data.stream', False)})"
            )
        return _in_order(dataset)
    shares = {} if "val" in dataset.splits else {"val": validation_share}
    if set(dataset.splits) == {"all"} and fold is None:
        shares["test"] = test_share
    whole = dataset.splits.get("train") or dataset.splits["all"]
    if not shares and fold is None:
        return _in_order(dataset)
    groups = None if rule is None else groups_of(rule, dataset, whole)
    count = None if groups is None else len(set(groups))
    drawn: dict[str, Samples] = {}
    if fold is not None:
        held = _held_out(dataset, whole, seed, groups, fold)
        drawn["test"], whole = (whole.take(np.flatnonzero(own)) for own in (held, ~held))
        groups = groups and tuple(itertools.compress(groups, ~held))
    if shares:
        rest = cut(whole, dataset.root, shares, seed, names=dataset.classes, groups=groups)
        drawn = {**rest, **drawn}
    else:
        drawn["train"] = whole
    kept = {name: samples for name, samples in dataset.splits.items() if name != "all"}
    return _in_order(replace(dataset, splits=kept | drawn, made_by_rule=True, groups=count))


def _held_out(
    dataset: Dataset, whole: Samples, seed: int, groups: Sequence[str] | None, fold: Fold
) -> NDArray[np.bool_]:
    """Return whether each image is in the fold, bool (N,)."""
    if "test" in dataset.splits:
        raise DataError(
            f"{dataset.place}: has a test split of its own, which would take no part in a "
            "cross-validation; give the training images alone, for example the folder train"
        )
    names = dataset.classes
    folds = deal_folds(whole, dataset.root, fold.count, seed, names=names, groups=groups)
    return np.asarray(folds == fold.number - 1)


def _in_order(dataset: Dataset) -> Dataset:
    order = [name for name in ("train", "val", "test", "all") if name in dataset.splits]
    return replace(dataset, splits={name: dataset.splits[name] for name in order})


def _without_training(dataset: Dataset) -> DataError:
    """Return the error for a data set without training images."""
    found = ", ".join(f"{size:,} {name}" for name, size in dataset.sizes.items())
    notes = "".join(f", {note}" for note in dataset.notes)
    return DataError(
        f"{dataset.place}: {dataset.layout} without training images; found {found or 'none'}"
        f"{notes}. You can test a model on it (verydeep evaluate), but training needs a split "
        "train"
    )


def _read(source: DataSource, stream: bool | None, progress: Progress | None) -> Dataset:
    if source.in_memory:
        if source.layout is not None:
            raise DataError("a layout is for data on disk: leave it out")
        assert not isinstance(source.data, str | Path)
        return source.data if isinstance(source.data, Dataset) else dataset_of(*source.data)
    return replace(_read_place(source, stream, progress), source=source.lasting)


def _read_place(source: DataSource, stream: bool | None, progress: Progress | None) -> Dataset:
    path = expanded(source.name)
    if is_hub_id(source.name) and source.layout in (None, HUB):
        return replace(read_id(source.name, progress), layout_name=HUB)
    if source.is_named:
        # A user with a local folder "mnist" should not wait for a download instead.
        if source.layout is None and str(path) != "digits" and path.exists():
            raise DataError(
                f"{path} is both a data set's name and a local file or folder: give "
                f"{path.resolve()} for the latter, {option('layout', BUILT_IN)} for the former"
            )
        return replace(named.read(source.name, progress), layout_name=BUILT_IN)
    if source.layout == BUILT_IN:
        raise DataError(f"{path}: not a built-in data set; those are {', '.join(named.NAMES)}")
    try:
        if source.is_pattern:
            pattern = str(source.name if is_remote(source.name) else path)
            shards = read_shards(pattern, stream=stream, progress=progress)
            return replace(shards, layout_name=SHARDS)
        found = find_layout(path, source.layout)
        if found.name == SHARDS:
            shards = read_shards(str(path), stream=stream, progress=progress)
            return replace(shards, layout_name=SHARDS)
        return replace(found.read_as(path, source.task), layout_name=found.name)
    except OSError as error:
        reason = error.strerror or str(error)
        raise DataError(f"{error.filename or path}: {reason}") from error
    except UnicodeError as error:
        raise DataError(f"{path}: cannot be read ({error})") from error
