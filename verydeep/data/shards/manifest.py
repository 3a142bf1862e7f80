"""``dataset.json``, which describes shards so that they need not be scanned."""

from __future__ import annotations

import os.path
from collections import Counter
from collections.abc import Collection
from typing import Annotated, Literal

from pydantic import BaseModel, ConfigDict, Field, ValidationError, field_validator, model_validator

from verydeep.data.class_names import check_class_names, check_titles
from verydeep.data.pipeline.colour_statistics import ColourStatistics
from verydeep.data.split_names import ORDER
from verydeep.errors import DataError, did_you_mean, printable

NAME = "dataset.json"
UNFINISHED = f".{NAME}.part"
"""File beside shards that are still being written, or whose writing was interrupted."""

LONGEST = 2**28
"""Maximum bytes of a manifest; that of a million shards has a quarter of it."""

MOST_SAMPLES = 2**40
"""Maximum samples in a shard; a manifest with more is broken."""

DIGITS = 12
"""Digits of the number at the start of a sample's key."""

Intensity = Annotated[float, Field(ge=0, le=255)]
Share = Annotated[float, Field(ge=-1, le=1)]


class _Part(BaseModel):
    model_config = ConfigDict(extra="ignore", frozen=True)


class ShardEntry(_Part):
    """A shard: its name, relative to the manifest, and its number of samples."""

    file: str
    samples: int = Field(ge=1, le=MOST_SAMPLES)

    @field_validator("file")
    @classmethod
    def _printable(cls, file: str) -> str:
        if not file.isprintable():
            raise ValueError(f"a shard's name must have printable characters, got {file!r}")
        return file


class SplitEntry(_Part):
    """A split: its shards, in order, and the number of samples per class."""

    shards: tuple[ShardEntry, ...] = Field(min_length=1)
    counts: tuple[Annotated[int, Field(ge=0)], ...]

    @property
    def samples(self) -> int:
        """Number of samples in all shards."""
        return sum(shard.samples for shard in self.shards)

    @model_validator(mode="after")
    def _counts_add_up(self) -> SplitEntry:
        if sum(self.counts) != self.samples:
            raise ValueError(
                f"the classes have {sum(self.counts):,} samples, the shards {self.samples:,}"
            )
        return self


class Colours(_Part):
    """Mean and covariance of the colours of the training split, as training measures them."""

    mean: tuple[Intensity, Intensity, Intensity]
    covariance: tuple[
        tuple[Share, Share, Share], tuple[Share, Share, Share], tuple[Share, Share, Share]
    ]


class Manifest(_Part):
    """The content of the shards of a data set.

    Attributes:
        format: Identifies the file.
        classes: Names of the K classes; labels in the shards are indices into it.
        titles: Display names of classes.
        splits: Splits by name.
        colours: Colours of the training split.
        boxes: Whether samples have boxes.
    """

    format: Literal["verydeep shards 1"] = "verydeep shards 1"
    classes: tuple[str, ...]
    titles: dict[str, str] = {}
    splits: dict[str, SplitEntry]
    colours: Colours | None = None
    boxes: bool = False

    @field_validator("classes")
    @classmethod
    def _have_names(cls, classes: tuple[str, ...]) -> tuple[str, ...]:
        return check_class_names(((name, "classes") for name in classes), "classes")

    @field_validator("titles")
    @classmethod
    def _can_be_shown(cls, titles: dict[str, str]) -> dict[str, str]:
        check_titles(titles, "titles")
        return titles

    @model_validator(mode="after")
    def _fits_together(self) -> Manifest:
        for name in self.splits:
            if name not in ORDER:
                raise ValueError(
                    f"splits: must be among {', '.join(ORDER)}, got {name!r} instead"
                    f"{did_you_mean(name, ORDER)}"
                )
        if fault := fault_of_splits(self.splits):
            raise ValueError(f"splits: {fault}")
        for name, entry in self.splits.items():
            if len(entry.counts) != len(self.classes):
                raise ValueError(
                    f"splits.{name}.counts: {len(entry.counts)} counts for "
                    f"{len(self.classes)} classes"
                )
        files = (shard.file for entry in self.splits.values() for shard in entry.shards)
        for file, times in Counter(map(os.path.normpath, files)).items():
            if times > 1:
                raise ValueError(f"splits: the shard {file} is listed {times} times")
        return self

    def statistics(self) -> ColourStatistics | None:
        """Return the colours of the training split, if they were measured."""
        if self.colours is None:
            return None
        return ColourStatistics(self.colours.mean, self.colours.covariance)


def fault_of_splits(splits: Collection[str]) -> str:
    """Return why a manifest cannot have these splits; empty if it can."""
    if "train" in splits or [*splits] == ["all"]:
        return ""
    return f"no training images; found {', '.join(splits) or 'none'}"


def parse_manifest(text: bytes, place: str) -> Manifest:
    """Parse a manifest.

    Raises:
        DataError: The text is not a valid manifest.
    """
    try:
        return Manifest.model_validate_json(text)
    except ValidationError as error:
        fault = error.errors()[0]
        where = ".".join(map(str, fault["loc"]))
        reason = fault["msg"].removeprefix("Value error, ")
        raise DataError(
            f"{place}: not a valid manifest ({printable(where) or 'document'}: {reason}); "
            "write the shards again with verydeep shard"
        ) from error


def looks_like_manifest(head: bytes) -> bool:
    """Return whether a file begins like a manifest."""
    return b'"verydeep shards' in head
