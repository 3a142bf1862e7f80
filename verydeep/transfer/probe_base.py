"""What the results of all linear probes have in common, and the choice of C."""

from __future__ import annotations

import time
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from verydeep.evaluation.any_evaluation import plain_attributes
from verydeep.system.summary import Summary
from verydeep.transfer.features import Features
from verydeep.transfer.svm import Trial, repeated


@dataclass(frozen=True, repr=False, kw_only=True)
class AnyProbe(Summary):
    """Circumstances of a linear probe.

    Attributes:
        images: Number of test images.
        unreadable: Names of the data set's images without features.
        also_in_training: Test images with a vector that also occurs in the training split, usually
            duplicates. They make the measures too good.
        split: Tested split.
        train_images: Number of training images of the SVM.
        classes: Number of classes K.
        C: Chosen or given C.
        grid: Cross-validation results of all C; empty if a single C was given.
        folds: Number of folds; None without cross-validation.
        converged: Whether the SVMs converged.
        seed: Random seed of folds and solver.
        features: Metadata of the features.
        seconds: Duration, in seconds.
    """

    images: int
    unreadable: tuple[str, ...]
    also_in_training: int
    split: str
    train_images: int
    classes: int
    C: float
    grid: tuple[Trial, ...]
    folds: int | None
    converged: bool
    seed: int
    features: dict[str, Any]
    seconds: float

    def to_dict(self) -> dict[str, Any]:
        """Return plain values for JSON, measures first; None for those that are undefined."""
        values = plain_attributes(self, AnyProbe)
        return values | {"grid": [trial._asdict() for trial in self.grid]}


def circumstances(
    train: Features, tested: Features, grid: tuple[Trial, ...], folds: int, started: float
) -> dict[str, Any]:
    """Return what a probe's result says of its features and duration, by attribute.

    Args:
        train: Features of the training split.
        tested: Features of the tested split.
        grid: Cross-validation of all C.
        folds: Number of folds.
        started: Time of :func:`time.perf_counter` at the beginning.
    """
    about = train.about.to_dict()
    return {
        "images": len(tested),
        "unreadable": train.about.unreadable,
        "also_in_training": repeated(train.vectors, tested.vectors),
        "split": str(tested.splits[0]),
        "train_images": len(train),
        "grid": grid,
        "folds": folds if grid else None,
        "features": {k: v for k, v in about.items() if k not in ("classes", "unreadable")},
        "seconds": time.perf_counter() - started,
    }


def chosen_cost(grid: Sequence[Trial], costs: Sequence[float]) -> float:
    """Return the C of the smallest error, the smallest in a tie; without a grid, the only one."""
    return min(grid, key=lambda trial: (trial.error, trial.C)).C if grid else costs[0]
