"""Posteriors of images and a distance of their features, from one pass through a net.

N images, n views, K classes, D features; h, w sides of a map.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, replace
from typing import Protocol

import numpy as np
from numpy.typing import NDArray

from verydeep.data.pipeline.rescaled import TestPictures
from verydeep.evaluation.posteriors import (
    ANSWERS,
    Mixture,
    Scorer,
    ViewGroup,
    mix_answers,
    over_positions,
)
from verydeep.evaluation.protocol import Average
from verydeep.evaluation.softmax import softmax
from verydeep.system.progress import ProgressTask

PART_BYTES = 256 * 2**20
"""Largest size of the features in memory, in bytes."""

Rows = NDArray[np.float32]


class FeatureScorer(Scorer, Protocol):
    """A net that is tested and gives the features of its last layer but one."""

    @property
    def classes(self) -> tuple[str, ...]:
        """Names of its K classes."""

    @property
    def feature_size(self) -> int:
        """Number of features, D."""

    def scores_and_features(self, pictures: NDArray[np.uint8]) -> tuple[Rows, Rows]:
        """Return scores (N, K, h, w) and features (N, D, h', w'), from images as for a Scorer."""


@dataclass(frozen=True, slots=True)
class _Both:
    """A net whose answer to a view is its posteriors, or scores, followed by its features."""

    model: FeatureScorer
    average: Average

    @property
    def input_size(self) -> int:
        return self.model.input_size

    @property
    def pixels_at_once(self) -> int:
        return self.model.pixels_at_once

    def score_map(self, pictures: NDArray[np.uint8]) -> Rows:
        """Return K + D numbers a view, float32 (n, K + D)."""
        scores, features = self.model.scores_and_features(pictures)
        return np.concatenate([ANSWERS[self.average](scores), over_positions(features)], 1)


def mix_features(
    model: FeatureScorer,
    pictures: TestPictures,
    mixture: Mixture,
    distance: Callable[[Rows], Rows],
    *,
    average: Average = "paper",
    block: int = 256,
    task: ProgressTask | None = None,
    seconds: dict[ViewGroup, float] | None = None,
) -> tuple[Rows, Rows]:
    """Return the class probabilities of images and a function of their features.

    Features are averaged over positions and views like the posteriors. They are held for a part of
    the images at a time; parts end where blocks end, so they do not change the results.

    Args:
        model: The net.
        pictures: Images at every scale of the mixture. Afterwards it lists the unreadable ones.
        mixture: The test.
        distance: Function from features (N, D) to rows, (N,) or (N, …).
        average: As for :func:`verydeep.evaluation.posteriors.mix_posteriors`, like the other
            arguments.
        block: Images per block.
        task: Receives the number of images done.
        seconds: Receives the time that each part took.

    Returns:
        Posteriors, float32 (N, K), zero for unreadable images; the function's rows.
    """
    classes = len(model.classes)
    outputs = classes + model.feature_size
    at_once = max(1, PART_BYTES // (4 * outputs) // block) * block
    faults: dict[int, str] = {}
    posteriors, rows = [], []
    for start in range(0, max(1, len(pictures)), at_once):
        part = replace(pictures, pictures=pictures.pictures[start : start + at_once], unreadable={})
        done = _Shifted(task, start) if task else None
        both = [_Both(model, average)]
        (mixed,) = mix_answers(
            both,
            outputs,
            part,
            [mixture],
            lambda found: found,
            block=block,
            task=done,
            seconds=seconds,
        )
        likely = mixed[:, :classes]
        if average == "scores":
            likely = softmax(likely, 1)
            likely[list(part.unreadable)] = 0
        faults |= {start + place: reason for place, reason in part.unreadable.items()}
        posteriors.append(np.ascontiguousarray(likely))
        rows.append(distance(mixed[:, classes:]))
    pictures.unreadable.clear()
    pictures.unreadable.update(faults)
    return np.concatenate(posteriors), np.concatenate(rows)


@dataclass(frozen=True, slots=True)
class _Shifted:
    """Reports progress in a part as progress of the whole."""

    task: ProgressTask
    start: int

    def update(self, done: float, note: str = "") -> None:
        """Report the number of images done in the part."""
        self.task.update(self.start + done, note)
