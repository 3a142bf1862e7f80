"""Fit of a temperature, thresholds and sets on calibration images, so that promises hold.

Everything that the answers depend on must be fixed before a promise is tested, or the images of the
test would have helped to choose it. So the images are divided at random: on the first third, the
temperature, the limit of the distance and the order of the thresholds are chosen; on the rest, the
threshold and the sets are tested.

N images, K classes.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, replace

import numpy as np
from numpy.typing import ArrayLike, NDArray

from verydeep.errors import plural
from verydeep.evaluation.abstention.abstention import Abstention, Familiar
from verydeep.evaluation.abstention.conformal import conformal_limit, fewest_images, fit_class_sets
from verydeep.evaluation.abstention.promises import Promises
from verydeep.evaluation.abstention.selective import (
    RiskCoverage,
    Threshold,
    attainable_error,
    fit_threshold,
    images_needed,
    order_of_tests,
    risk_coverage,
)
from verydeep.evaluation.calibration import Calibration, fit_calibration, temper
from verydeep.evaluation.metrics import likeliest

FIRST_PART = 1 / 3
"""Share of the calibration images that choose the temperature, the limit and the order."""

SEED = 0
"""Seed of the division, which thus depends on the number of images only."""


@dataclass(frozen=True)
class LearnedAbstention:
    """What was learned on calibration images.

    Attributes:
        calibration: Temperature; None if the first part has no wrong answer to fit it to.
        abstention: Thresholds and sets at this temperature, if it is kept.
        images: Number of calibration images.
        first: Number of these that chose the temperature, the limit and the order.
        notes: What could not be promised, and what would help.
    """

    calibration: Calibration | None
    abstention: Abstention
    images: int
    first: int
    notes: tuple[str, ...]


def fit_abstention(
    posteriors: ArrayLike,
    labels: ArrayLike,
    distances: ArrayLike | None,
    promises: Promises,
    *,
    split: str,
    protocol: str,
    layer: str = "",
    reference: int = 0,
) -> LearnedAbstention:
    """Learn when to abstain.

    Args:
        posteriors: Of the calibration images, before any temperature, (N, K), N ≥ 3.
        labels: True classes, int64 (N,).
        distances: From the training images, (N,); None without.
        promises: What to promise.
        split: Name of the split.
        protocol: Test protocol of the posteriors.
        layer: Layer of the features behind the distances.
        reference: Number of training images behind the distances.
    """
    images = _Images.of(posteriors, labels, distances)
    first, rest = images.divided()
    calibration = None
    if first.wrong.any():
        calibration = fit_calibration(first.likely, first.labels, split=split, protocol=protocol)
    if calibration and calibration.kept:
        first, rest = (one.tempered(calibration.temperature) for one in (first, rest))
    familiar = _familiar(first, promises, layer, reference)
    alone = _threshold(first, rest, promises, None)
    sets = fit_class_sets(rest.likely, rest.labels, promises.coverage)
    abstention = Abstention(
        split,
        protocol,
        threshold=_threshold(first, rest, promises, familiar) if familiar else alone,
        threshold_alone=alone,
        sets=sets,
        familiar=familiar,
    )
    notes = tuple(_notes(abstention, first, rest, promises, has_distance=distances is not None))
    return LearnedAbstention(calibration, abstention, len(images), len(first), notes)


@dataclass(frozen=True, slots=True, eq=False)
class _Images:
    """Posteriors (N, K), labels (N,) and distances (N,) of images."""

    likely: NDArray[np.floating]
    labels: NDArray[np.int64]
    distances: NDArray[np.floating] | None

    @classmethod
    def of(cls, posteriors: ArrayLike, labels: ArrayLike, distances: ArrayLike | None) -> _Images:
        far = None if distances is None else np.asarray(distances)
        return cls(np.asarray(posteriors), np.asarray(labels), far)

    def __len__(self) -> int:
        return len(self.labels)

    def take(self, which: NDArray[np.int64]) -> _Images:
        far = None if self.distances is None else self.distances[which]
        return _Images(self.likely[which], self.labels[which], far)

    def divided(self) -> tuple[_Images, _Images]:
        order = np.random.default_rng(SEED).permutation(len(self))
        count = max(1, round(FIRST_PART * len(self)))
        return self.take(order[:count]), self.take(order[count:])

    def tempered(self, temperature: float) -> _Images:
        return replace(self, likely=temper(self.likely, temperature))

    @property
    def wrong(self) -> NDArray[np.bool_]:
        return np.not_equal(likeliest(self.likely, 1)[:, 0], self.labels)

    def curve(self, familiar: Familiar | None) -> RiskCoverage:
        """Return the risk–coverage curve, with the images beyond the limit refused."""
        known = None
        if familiar:
            assert self.distances is not None
            known = self.distances <= familiar.limit
        return risk_coverage(self.likely.max(1), self.wrong, known)


def _familiar(first: _Images, promises: Promises, layer: str, reference: int) -> Familiar | None:
    if first.distances is None:
        return None
    limit = conformal_limit(first.distances, promises.refuse)
    if limit is None:
        return None
    return Familiar(limit, promises.refuse, len(first), layer, reference)


def _threshold(
    first: _Images, rest: _Images, promises: Promises, familiar: Familiar | None
) -> Threshold | None:
    promise = {"error": promises.promise_error, "confidence": promises.confidence}
    order = order_of_tests(first.curve(familiar), len(rest), **promise)
    return fit_threshold(rest.curve(familiar), order, **promise)


def _notes(
    learned: Abstention,
    first: _Images,
    rest: _Images,
    promises: Promises,
    *,
    has_distance: bool,
) -> Iterator[str]:
    if learned.threshold is None:
        yield _unkept(rest.curve(learned.familiar), len(first), promises)
    if learned.sets is None:
        fewest = fewest_images(100 - promises.coverage)
        yield (
            f"no sets of classes: {promises.coverage:g} % coverage needs at least {fewest:,} "
            f"images besides the {len(first):,} that chose the temperature, and there are "
            f"{len(rest):,}"
        )
    if learned.familiar is None and has_distance:
        fewest = fewest_images(promises.refuse)
        yield (
            f"unlike images are not told: refusing {promises.refuse:g} % of familiar ones needs "
            f"at least {3 * fewest - 1:,} calibration images, and there are "
            f"{len(first) + len(rest):,}"
        )


def _unkept(curve: RiskCoverage, first: int, promises: Promises) -> str:
    """Return why no threshold keeps the promise, and what would."""
    error, confidence = promises.promise_error, promises.confidence
    best = attainable_error(curve, confidence)
    needed = images_needed(curve, error, confidence)
    total = curve.images + first
    more = (
        f"{error:g} % needs about {plural(round(needed * total / curve.images), 'image')}, if the "
        "net stays as it is"
        if needed
        else f"{error:g} % needs a better net, since this one errs more even where it is surest"
    )
    return (
        f"no threshold: {error:g} % error among the answered cannot be promised with "
        f"{confidence:g} % confidence on {plural(total, 'image')}; about {best:.1f} % could, and "
        f"{more}"
    )
