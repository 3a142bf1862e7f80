"""Read a data set from a DATA argument: a name, a folder, a file or a pattern."""

from __future__ import annotations

from dataclasses import dataclass, replace
from pathlib import Path

from verydeep.data.builtin import named
from verydeep.data.dataset import Dataset
from verydeep.data.layouts.hub import is_hub_id, read_id
from verydeep.data.layouts.shards import read_shards
from verydeep.data.registry import BUILT_IN, check_layout, find_layout
from verydeep.data.shards.paths import is_pattern, is_remote
from verydeep.data.split import cut
from verydeep.errors import DataError
from verydeep.system.option_names import option, setting
from verydeep.system.progress import Progress, ProgressWish, choose_progress

HUB, SHARDS = "hub", "shards"


@dataclass(frozen=True)
class DataSource:
    """A DATA argument and its layout; None detects the layout."""

    data: str | Path
    layout: str | None = None

    @property
    def is_named(self) -> bool:
        """Whether it is the name of a data set."""
        return str(self.data) in named.NAMES and self.layout in (None, BUILT_IN)

    @property
    def is_pattern(self) -> bool:
        """Whether it is a pattern or URL of shards."""
        allowed = self.layout in (None, SHARDS)
        return allowed and is_pattern(str(self.data)) and not Path(self.data).exists()

    @property
    def lasting(self) -> str:
        """The argument in a form that works in any folder: name, URL or absolute path."""
        if self.is_named or is_remote(str(self.data)) or is_hub_id(str(self.data)):
            return str(self.data)
        return str(Path(self.data).expanduser().resolve())


def read_dataset(
    data: str | Path,
    *,
    validation_share: float = 0.1,
    test_share: float = 0.1,
    seed: int = 0,
    draw: bool = True,
    layout: str | None = None,
    stream: bool | None = None,
    progress: ProgressWish = None,
) -> Dataset:
    """Read a data set: its classes, splits and image locations. No image is opened.

    Args:
        data: A name (``digits``, built in, or one of
            :data:`verydeep.data.builtin.torchvision_sets.SETS`, downloaded once), a Hugging Face
            Hub id (``hf:owner/name``), a pattern of shards, or a file or folder in one of the
            layouts of :mod:`verydeep.data.registry`.
        validation_share: Share of each class to hold out if there is no validation split.
        test_share: Share of each class to hold out for testing if the images have no splits.
        seed: Seed for drawing splits.
        draw: Whether to draw missing splits; if not, images without splits are one split,
            ``all``, and there may be no training images.
        layout: Name of the layout; None detects it.
        stream: Whether to stream the training split of shards; None decides by their location
            and number.
        progress: Progress reporting; None reports in a notebook or terminal, False is silent,
            True always reports.

    Raises:
        DataError: There is no such file or folder, no layout fits, or its classes or splits
            cannot be used.
        MissingExtra: A Parquet file is given and pyarrow is not installed.
    """
    progress = choose_progress(progress)
    check_layout(layout)
    dataset = _read(DataSource(data, layout), stream, progress)
    if dataset.stream is not None and "val" not in dataset.splits:
        raise DataError(
            f"{dataset.place}: cannot draw a validation split from a stream; name shards for it "
            "(val-0000.tar), write the shards with verydeep shard, or read them by index "
            f"({setting('data.stream', False)})"
        )
    if draw and dataset.stream is None and not {"train", "all"} & set(dataset.splits):
        raise _without_training(dataset)
    if draw:
        return draw_splits(dataset, validation_share, test_share, seed)
    return _in_order(dataset)


def draw_splits(dataset: Dataset, validation_share: float, test_share: float, seed: int) -> Dataset:
    """Return a data set with its missing splits drawn by rule.

    Raises:
        DataError: A class has too few images for every split.
    """
    shares = {} if "val" in dataset.splits else {"val": validation_share}
    if set(dataset.splits) == {"all"}:
        shares["test"] = test_share
    if shares:
        whole = dataset.splits.get("train") or dataset.splits["all"]
        drawn = cut(whole, dataset.root, shares, seed, names=dataset.classes)
        kept = {name: samples for name, samples in dataset.splits.items() if name != "all"}
        dataset = replace(dataset, splits=kept | drawn, made_by_rule=True)
    return _in_order(dataset)


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
    path = Path(source.data).expanduser()
    if is_hub_id(str(source.data)) and source.layout in (None, HUB):
        return replace(read_id(str(source.data), progress), layout_name=HUB)
    if source.is_named:
        # A user with a local folder "mnist" should not wait for a download instead.
        if source.layout is None and str(path) != "digits" and path.exists():
            raise DataError(
                f"{path} is both a data set's name and a local file or folder: give "
                f"{path.resolve()} for the latter, {option('layout', BUILT_IN)} for the former"
            )
        return replace(named.read(str(source.data), progress), layout_name=BUILT_IN)
    if source.layout == BUILT_IN:
        raise DataError(f"{path}: not a built-in data set; those are {', '.join(named.NAMES)}")
    try:
        if source.is_pattern:
            pattern = str(source.data if is_remote(str(source.data)) else path)
            shards = read_shards(pattern, stream=stream, progress=progress)
            return replace(shards, layout_name=SHARDS)
        found = find_layout(path, source.layout)
        if found.name == SHARDS:
            shards = read_shards(str(path), stream=stream, progress=progress)
            return replace(shards, layout_name=SHARDS)
        return replace(found.read(path), layout_name=found.name)
    except OSError as error:
        reason = error.strerror or str(error)
        raise DataError(f"{error.filename or path}: {reason}") from error
    except UnicodeError as error:
        raise DataError(f"{path}: cannot be read ({error})") from error
