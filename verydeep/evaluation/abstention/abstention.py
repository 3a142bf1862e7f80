"""When a classifier says "I don't know": what it has learned, and what that means for images.

Three independent parts: a threshold on the confidence that promises an error among the answered, a
limit on the distance from the training images, and sets of classes that promise a coverage.

N images, K classes.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, fields
from typing import Any, ClassVar, TypeVar

import numpy as np
from numpy.typing import ArrayLike, NDArray

from verydeep.evaluation.abstention.conformal import ClassSets
from verydeep.evaluation.abstention.selective import Threshold

T = TypeVar("T")


@dataclass(frozen=True, slots=True)
class Familiar:
    """The distance up to which an image counts as like the training images.

    Attributes:
        limit: Largest distance of a familiar image; see
            :class:`verydeep.evaluation.abstention.familiarity.Familiarity`.
        refused: Share of familiar images beyond it, in percent, at most, on average over the draw
            of the calibration images.
        images: Number of calibration images.
        layer: Layer whose features are compared.
        reference: Number of training images that the features are compared with.
    """

    limit: float
    refused: float
    images: int
    layer: str
    reference: int


@dataclass(frozen=True, slots=True)
class Abstention:
    """What a classifier has learned about its own limits.

    Attributes:
        split: Split of the calibration images.
        protocol: Test protocol that everything holds for.
        threshold: Confidence from which on familiar images are answered; None if no threshold
            keeps the promise.
        threshold_alone: The same if the distance is not known, as to a program that reads only the
            probabilities of an exported file.
        sets: Sets of classes; None if there were too few images.
        familiar: Limit of the distance; None without.
    """

    split: str
    protocol: str
    threshold: Threshold | None = None
    threshold_alone: Threshold | None = None
    sets: ClassSets | None = None
    familiar: Familiar | None = None

    PARTS: ClassVar[Mapping[str, type]] = {
        "threshold": Threshold,
        "threshold_alone": Threshold,
        "sets": ClassSets,
        "familiar": Familiar,
    }

    @property
    def refuses(self) -> bool:
        """True if an image can be refused at all."""
        return bool(self.threshold or self.threshold_alone or self.familiar)

    def decide(self, likely: ArrayLike, distances: ArrayLike | None = None) -> Decisions:
        """Decide which images to answer.

        Args:
            likely: Probabilities, at the model's temperature if it has one, (N, K).
            distances: Distances from the training images, (N,); None if they are not known.
        """
        posteriors = np.asarray(likely)
        far = None if self.familiar is None or distances is None else np.asarray(distances)
        known = far is not None
        threshold = self.threshold if known or not self.familiar else self.threshold_alone
        confidence = posteriors.max(1, initial=0.0)
        unlike = unsure = None
        if far is not None and self.familiar:
            unlike = ~(far <= self.familiar.limit)  # NaN counts as unlike
        if threshold:
            unsure = ~(confidence >= threshold.least)  # NaN counts as unsure
        sets = self.sets.of(posteriors) if self.sets else None
        return Decisions(self, threshold, confidence, far, unlike, unsure, sets)

    @classmethod
    def from_dict(cls, values: Mapping[str, Any]) -> Abstention:
        """Return what :func:`dataclasses.asdict` has made plain values of.

        Raises:
            ValueError: A field is missing, unknown or of another type.
        """
        parts: dict[str, Any] = {
            name: _read(kind, values[name], name)
            for name, kind in cls.PARTS.items()
            if values.get(name) is not None
        }
        return _read(cls, {**values, **parts}, "abstention")


_KINDS = {"float": (float, int), "int": (int,), "str": (str,)}


def _read(kind: type[T], values: Any, name: str) -> T:
    """Return a dataclass from plain values, checking names and types.

    Raises:
        ValueError: A field is missing, unknown or of another type.
    """
    if not isinstance(values, Mapping):
        raise ValueError(f"{name}: no object")
    for one in fields(kind):  # type: ignore[arg-type]
        kinds = _KINDS.get(str(one.type))
        if kinds and one.name in values and type(values[one.name]) not in kinds:
            raise ValueError(f"{name}.{one.name}: must be of type {one.type}")
    try:
        return kind(**values)
    except TypeError as error:
        raise ValueError(f"{name}: {str(error).rpartition('() ')[2]}") from error


@dataclass(frozen=True, slots=True, eq=False)
class Decisions:
    """Decisions about N images.

    Attributes:
        learned: What they follow.
        threshold: Threshold that was used; None if there is none.
        confidence: Probability of the most likely class, (N,).
        distances: Distances from the training images, (N,); None if they are not known.
        unlike: True for images unlike the training images, bool (N,); None if they are not told.
        unsure: True below the threshold, bool (N,); None without one.
        sets: Sets of classes, bool (N, K); None if there are none.
    """

    learned: Abstention
    threshold: Threshold | None
    confidence: NDArray[Any]
    distances: NDArray[Any] | None
    unlike: NDArray[np.bool_] | None
    unsure: NDArray[np.bool_] | None
    sets: NDArray[np.bool_] | None

    @property
    def abstained(self) -> NDArray[np.bool_] | None:
        """True for refused images, bool (N,); None if none can be refused."""
        given = [one for one in (self.unlike, self.unsure) if one is not None]
        return np.logical_or.reduce(given) if given else None

    def reason(self, index: int) -> str | None:
        """Return why an image is refused; None if it is answered."""
        if self.unlike is not None and self.unlike[index]:
            assert self.distances is not None
            assert self.learned.familiar is not None
            distance, limit = float(self.distances[index]), self.learned.familiar.limit
            return f"unlike the training images: distance {distance:.3g}, limit {limit:.3g}"
        if self.unsure is not None and self.unsure[index]:
            assert self.threshold is not None
            likely, least = 100 * float(self.confidence[index]), 100 * self.threshold.least
            return f"uncertain: {likely:.1f} % for the likeliest class, {least:.1f} % needed"
        return None
