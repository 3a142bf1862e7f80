"""Folder of a cross-validation: names of its files, known without torch."""

from __future__ import annotations

from pathlib import Path

FOLDS = "folds.json"
"""File with what all folds have in common; it marks the folder of a cross-validation."""

SUMMARY = "cross_validation.json"
"""File with the results; it marks a finished cross-validation."""


def is_cross_validation(folder: str | Path) -> bool:
    """Return whether a folder is that of a cross-validation, finished or not."""
    return (Path(folder).expanduser() / FOLDS).is_file()
