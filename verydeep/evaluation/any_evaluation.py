"""What the results of all tests of classifiers have in common, and results as plain values."""

from __future__ import annotations

import dataclasses
from abc import abstractmethod
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np

from verydeep.system.summary import Rows, Summary


@dataclass(frozen=True, repr=False, kw_only=True)
class AnyEvaluation(Summary):
    """Circumstances of a test.

    Attributes:
        classes: K, the net's number of classes.
        images: Number of images tested.
        unreadable: Names of images that could not be read; they are not counted.
        protocol: Name of the protocol.
        scales: Test scales Q of all nets, in pixels.
        flip: Whether mirror images were averaged in; None if only some of the nets had them.
        average: Averaging rule: ``paper``, ``scores`` or ``posteriors``.
        views: Number of views per image, over all nets.
        steps: The test in words, from images to posteriors.
        split: Name of the split.
        models: Names of the nets whose posteriors were averaged.
        seconds: Time of the test. For tests run together, only the time of its views in the nets,
            without reading the images.
        trained_on: Number of test images that one of the nets was trained on, which makes the
            measures too good; None if unknown.
        validated_on: Number of test images that chose the epoch of one of the nets; None if
            unknown.
        engine: Engine that computed the scores, such as ``torch``; None if unknown.
        precision: Its precision, such as ``fp32``; None if unknown.
    """

    classes: int
    images: int
    unreadable: tuple[str, ...]
    protocol: str
    scales: tuple[int, ...]
    flip: bool | None
    average: str
    views: int
    steps: tuple[str, ...]
    split: str
    models: tuple[str, ...]
    seconds: float
    trained_on: int | None = None
    validated_on: int | None = None
    engine: str | None = None
    precision: str | None = None

    @abstractmethod
    def main_measures(self) -> Rows:
        """Yield the measures to show."""

    def facts(self) -> Rows:
        """Yield the facts to show."""
        yield from self.main_measures()
        yield "images", f"{self.images:,} of {self.split}"
        if self.unreadable:
            yield "unreadable", len(self.unreadable)
        yield "protocol", f"{self.protocol}, Q = {', '.join(map(str, self.scales))}"
        yield "net", " + ".join(self.models)

    def to_dict(self) -> dict[str, Any]:
        """Return plain values for JSON, measures first; None for those that are undefined."""
        return plain_attributes(self, AnyEvaluation)


def plain_attributes(result: Any, base: type) -> dict[str, Any]:
    """Return the attributes of a result for JSON: its own, then those of its base.

    Fields that are left out of comparisons, such as the answers for every image, are left out here.
    """
    shared = [part.name for part in dataclasses.fields(base)]
    own = [part.name for part in dataclasses.fields(result) if part.compare]
    names = [*(name for name in own if name not in shared), *shared]
    return {name: plain(getattr(result, name)) for name in names}


def plain(value: Any) -> Any:
    """Return a value for JSON; None for numbers that are undefined.

    >>> plain({"scales": (256, 384), "macro_f1": float("nan")})
    {'scales': [256, 384], 'macro_f1': None}
    """
    if isinstance(value, tuple):
        return [plain(one) for one in value]
    if isinstance(value, Mapping):
        return {key: plain(one) for key, one in value.items()}
    return None if isinstance(value, float) and not np.isfinite(value) else value
