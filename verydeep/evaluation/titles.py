"""The error of a task: its name in files, and what people call it."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

TITLES = {"top1_error": "top-1 error", "localization_error": "localization error"}
"""By the name in results and logs, in percent."""


def error_of(figures: Mapping[str, Any], prefix: str = "") -> str:
    """Return the name of the error among the figures of a test or (``val_``) of an epoch.

    >>> error_of({"loss": 1.0, "localization_error": 20.0}), error_of({"val_top1_error": 1}, "val_")
    ('localization_error', 'top1_error')
    """
    return next(name for name in TITLES if prefix + name in figures)
