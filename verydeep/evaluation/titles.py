"""The error of a task: its name in files, and what people call it."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

TITLES = {"top1_error": "top-1 error", "localization_error": "localization error"}
"""By the name in results and logs, in percent."""


def has_top5(figures: Mapping[str, Any]) -> bool:
    """Return whether the top-5 error of a test says anything: of five classes or fewer it is 0.

    Results of earlier versions do not say how many classes there are.

    >>> has_top5({"classes": 6}), has_top5({"classes": 3}), has_top5({})
    (True, False, True)
    """
    classes = figures.get("classes")
    return classes is None or int(classes) > 5


def is_optimistic(figures: Mapping[str, Any]) -> str | None:
    """Return why a test shows the net better than it is; None if it does not, as far as is known.

    Args:
        figures: Of a test, or ``metrics.json`` of a run.
    """
    images = int(figures["images"])
    trained, validated = figures.get("trained_on"), figures.get("validated_on")
    if trained:
        return f"trained on {trained:,} of these {images:,} pictures: the error is too low"
    if figures.get("selected_on") == figures.get("split") and figures.get("split"):
        validated = images
    if validated:
        return (
            f"{validated:,} of these {images:,} pictures also chose the epoch: the error is "
            "optimistic"
        )
    return None


def error_of(figures: Mapping[str, Any], prefix: str = "") -> str:
    """Return the name of the error among the figures of a test or (``val_``) of an epoch.

    >>> error_of({"loss": 1.0, "localization_error": 20.0}), error_of({"val_top1_error": 1}, "val_")
    ('localization_error', 'top1_error')
    """
    return next(name for name in TITLES if prefix + name in figures)
