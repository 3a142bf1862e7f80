"""Measures that a cross-validation gives for all images, for each fold, and over the folds."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from verydeep.evaluation.metrics import has_top5


@dataclass(frozen=True, slots=True)
class Measure:
    """A measure.

    Attributes:
        key: Its key in metrics.
        title: Its name.
        unit: Its unit.
        digits: Decimals to show.
    """

    key: str
    title: str
    unit: str = "%"
    digits: int = 2

    def text(self, value: float | None) -> str:
        """Return a value with the usual decimals; a dash if it is undefined.

        >>> Measure("loss", "loss", "nats", 3).text(0.25)
        '0.250'
        """
        return "–" if value is None else f"{value:.{self.digits}f}"


_LOSS = Measure("loss", "loss", "nats", 3)


@dataclass(frozen=True, slots=True)
class FoldMeasures:
    """Measures of one kind of classifier.

    Attributes:
        shown: Measures to show, the main one first.
        spread: Keys of the measures whose mean and standard deviation over the folds are given.
        interval: Key of the interval of the main measure.
    """

    shown: tuple[Measure, ...]
    spread: tuple[str, ...]
    interval: str

    @property
    def main(self) -> Measure:
        """The main measure."""
        return self.shown[0]

    @property
    def of_a_fold(self) -> tuple[str, ...]:
        """Keys of the facts about each fold."""
        more = ("images", "epochs", "kept_epoch", "training_seconds")
        return (*self.spread, self.interval, *more)

    def shown_of(self, metrics: Mapping[str, Any]) -> tuple[Measure, ...]:
        """Return the measures to show; without the top-5 error if there are few classes."""
        return tuple(one for one in self.shown if one.key != "top5_error" or has_top5(metrics))


CLASSES = FoldMeasures(
    (
        Measure("top1_error", "top-1 error"),
        Measure("top5_error", "top-5 error"),
        Measure("macro_f1", "macro F1"),
        _LOSS,
    ),
    ("top1_error", "top5_error", "macro_f1", "loss", "calibration_error"),
    "top1_interval",
)
"""Measures of classifiers of one class per image."""

LABELS = FoldMeasures(
    (
        Measure("mean_average_precision", "mean average precision"),
        Measure("micro_f1", "micro F1"),
        Measure("subset_accuracy", "subset accuracy"),
        _LOSS,
    ),
    (
        "mean_average_precision",
        "micro_average_precision",
        "micro_f1",
        "macro_f1",
        "subset_accuracy",
        "hamming_loss",
        "loss",
    ),
    "mean_average_precision_interval",
)
"""Measures of multi-label classifiers."""


def fold_measures(metrics: Mapping[str, Any]) -> FoldMeasures:
    """Return the measures that metrics have."""
    return LABELS if LABELS.main.key in metrics else CLASSES
