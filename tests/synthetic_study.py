"""A study whose numbers are drawn from a stated model, so that the truth is known.

An image is hard by a normal number, which all nets share; a net finds it hard by another, the same
for all of its seeds; a training by a third; and a test by a fourth. It is wrong where their sum
exceeds a threshold, which a training also shifts as a whole. Hence images and seeds are crossed
random effects of every difference, and all tests share images and seeds.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from dataclasses import replace
from typing import Any

import numpy as np
from numpy.typing import NDArray
from scipy import stats

from verydeep.study.claims import GROUPS, claims
from verydeep.study.conditions import Condition, Kind, Measure, Need, kind_of
from verydeep.study.published import compared_error
from verydeep.study.results import Outcome, Results, TrainingRecord

SHARED, OWN, TRAINING, TESTING = 1.0, 0.3, 0.6, 0.2
"""Standard deviations of what makes an image hard: for all, a net, a training, a test."""

SPREAD = float(np.sqrt(SHARED**2 + OWN**2 + TRAINING**2 + TESTING**2))


class SyntheticStudy:
    """Draws outcomes.

    Args:
        images: N.
        shift: Standard deviation of a training's threshold.
        seed: Seed of the images and the nets; trainings are drawn from it as well.
    """

    def __init__(self, images: int, shift: float = 0.03, seed: int = 0) -> None:
        self.rng = np.random.default_rng(seed)
        self.images, self.shift = images, shift
        self.shared: dict[Kind, NDArray[np.float64]] = {}
        self.own: dict[object, NDArray[np.float64]] = {}
        self.trained: dict[object, NDArray[np.float64]] = {}

    def outcome(self, need: Need, seed: int, error: float) -> Outcome:
        """Draw the outcome of a test whose error is ``error`` percent on average."""
        condition, measure = need
        kind = kind_of(need)
        hard = np.mean([self._hard(one, seed, kind) for one in condition.members], axis=0)
        hard = hard + TESTING * self.rng.standard_normal(self.images)
        # A claim about boxes is about the top-5 error.
        top1, top5 = (1.2 * error, error) if kind == "boxes" else (error, 0.35 * error)
        wrong, wrong5 = (hard > SPREAD * stats.norm.isf(rate / 100) for rate in (top1, top5))
        rates = 100 * float(wrong.mean()), 100 * float(wrong5.mean())
        return Outcome(condition, measure, seed, *rates, self.images, 1.5, wrong, wrong5)

    def _hard(self, condition: Condition, seed: int, kind: Kind) -> NDArray[np.float64]:
        """Return how hard the images of a kind of test are for a training."""
        if kind not in self.shared:
            self.shared[kind] = SHARED * self.rng.standard_normal(self.images)
        own = self.own.setdefault((condition, kind), OWN * self.rng.standard_normal(self.images))
        if (condition, kind, seed) not in self.trained:
            noise = TRAINING * self.rng.standard_normal(self.images)
            self.trained[condition, kind, seed] = noise + self.shift * self.rng.standard_normal()
        return np.asarray(self.shared[kind] + own + self.trained[condition, kind, seed])


def study(
    errors: Mapping[Need, float], seeds: Iterable[int], images: int, **settings: Any
) -> Results:
    """Return results whose tests have these errors on average."""
    drawn = SyntheticStudy(images, **settings)
    return Results.from_outcomes(
        (drawn.outcome(need, seed, error) for seed in seeds for need, error in errors.items()),
        (f"val/{number}.jpg" for number in range(images)),
        other_names={
            "boxes": tuple(f"val/{number}.jpg" for number in range(images)),
            "transfer": tuple(f"test/{number}.jpg" for number in range(images)),
        },
    )


def as_published(groups: Iterable[str] = GROUPS) -> dict[Need, float]:
    """Return the paper's top-1 errors of all tests that claims need, or likely ones."""
    needs = dict.fromkeys(need for claim in claims(groups) for need in claim.needs)
    return {need: _error(*need) for need in needs}


def _error(condition: Condition, measure: Measure) -> float:
    found = compared_error(condition, measure)
    if found is not None:
        return found
    if measure.protocol == "svm-mean":
        return 16.0 if measure.scales == "multi" else 15.7
    return {"B": 29.0, "B-5x5": 36.0, "D": 27.1}[condition.net]


def trainings(results: Results, hours: float = 0.4) -> dict[tuple[Condition, int], TrainingRecord]:
    """Return a record of every training behind some results."""
    found = {}
    for (condition, _), seeds in results.outcomes.items():
        for one in (net for member in condition.members for net in _chain(member)):
            for seed in seeds:
                seconds = 3600 * hours * (1 + len(one.net) / 3)
                record = TrainingRecord(
                    one, seed, f"runs/{one.slug}-s{seed}", 24, seconds, "the plateau rule"
                )
                found[one, seed] = record
    return found


def _chain(condition: Condition) -> Iterator[Condition]:
    """Yield a training and those that it begins with."""
    yield condition
    if condition.source is not None:
        yield from _chain(condition.source)


def facts(
    seeds: Iterable[int] = range(3), groups: Iterable[str] = GROUPS, **more: Any
) -> dict[str, Any]:
    """Return the content of ``study.json``, made up."""
    return {
        "data": "pets",
        "layout": None,
        "fingerprint": "ab" * 32,
        "classes": 40,
        "images": {"train": 20000, "val": 400},
        "test_split": "val",
        "budget": {"name": "small", "scale": 0.25, "width": 0.1875, "epochs": 24},
        "settings": {"data.cache": "device"},
        "initialise": "staged",
        "claims": list(groups),
        "seeds": list(seeds),
        **more,
        "hours_estimated": 10.7,
        "plan": ["train A", "train B"],
        "begun": "2026-01-01 12:00:00",
        "command": ["verydeep", "reproduce", "pets"],
        "environment": {"processor": "a processor", "accelerator": None, "versions": {}},
    }


def with_runs(results: Results, **more: Any) -> Results:
    """Return results with facts, and records of their trainings with curves.

    Other arguments are those of :func:`facts`.
    """
    rng = np.random.default_rng(0)
    records = {
        key: replace(record, errors=_curve(record.epochs, rng))
        for key, record in trainings(results).items()
    }
    return replace(results, trainings=records, study=facts(**more))


def _curve(epochs: int, rng: np.random.Generator) -> tuple[float, ...]:
    epoch = np.arange(1, epochs + 1)
    return tuple(40 + 55 * np.exp(-epoch / 7) + rng.normal(0, 0.7, epochs))
