"""``dataset.json`` beside shards: what is in them, so that nobody must look through them first."""

from __future__ import annotations

from typing import Literal

from pydantic import BaseModel, ConfigDict, Field, ValidationError

from verydeep.data.statistics import ColourStatistics
from verydeep.errors import DataError

NAME = "dataset.json"

DIGITS = 12
"""Of the number that the key of a sample begins with."""

Triple = tuple[float, float, float]


class _Part(BaseModel):
    model_config = ConfigDict(extra="ignore", frozen=True)


class ShardEntry(_Part):
    """A shard: its name, relative to the manifest, and how many samples it holds."""

    file: str
    samples: int = Field(ge=0)


class SplitEntry(_Part):
    """A split: its shards, in order, and the samples of every class."""

    shards: tuple[ShardEntry, ...]
    counts: tuple[int, ...]


class Colours(_Part):
    """The colours of the training split: mean and covariance as training measures them."""

    mean: Triple
    covariance: tuple[Triple, Triple, Triple]


class Manifest(_Part):
    """What stands in the shards of a data set.

    Attributes:
        format: Tells it from other JSON files.
        classes: Names of the K classes; the classes in the shards are numbers into it.
        titles: What to show people for a class.
        splits: By name.
        colours: Of the training split.
        boxes: Whether samples have boxes.
    """

    format: Literal["verydeep shards 1"] = "verydeep shards 1"
    classes: tuple[str, ...] = Field(min_length=2)
    titles: dict[str, str] = {}
    splits: dict[str, SplitEntry]
    colours: Colours | None = None
    boxes: bool = False

    def statistics(self) -> ColourStatistics | None:
        """Return the colours of the training split, if they were measured."""
        if self.colours is None:
            return None
        return ColourStatistics(self.colours.mean, self.colours.covariance)


def parse_manifest(text: bytes, place: str) -> Manifest:
    """Read a manifest.

    Raises:
        DataError: It is none.
    """
    try:
        return Manifest.model_validate_json(text)
    except ValidationError as error:
        fault = error.errors()[0]
        where = ".".join(map(str, fault["loc"]))
        raise DataError(
            f"{place}: no manifest of shards ({where or 'the whole'}: {fault['msg']}); "
            "write the shards anew with verydeep shard"
        ) from error


def looks_like_manifest(head: bytes) -> bool:
    """Return whether a file begins as a manifest does."""
    return b'"verydeep shards' in head
