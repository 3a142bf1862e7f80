"""Folder of a cross-validation: names of its files, known without torch."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from contextlib import contextmanager, suppress
from pathlib import Path

from verydeep.system.files import expanded

FOLDS = "folds.json"
"""File with what all folds have in common; it marks the folder of a cross-validation."""

SUMMARY = "cross_validation.json"
"""File with the results; it marks a finished cross-validation."""


def is_cross_validation(folder: str | Path) -> bool:
    """Return whether a folder is that of a cross-validation, finished or not."""
    return (expanded(folder) / FOLDS).is_file()


@contextmanager
def forgotten_unless_begun(folder: Path, runs: Sequence[Path]) -> Iterator[None]:
    """Remove the plan if no fold could be begun, so that another plan can be given.

    Args:
        folder: Folder of the cross-validation.
        runs: Run folders of its folds.
    """
    try:
        yield
    except BaseException:
        if not any(run.is_dir() and any(run.iterdir()) for run in runs):
            (folder / FOLDS).unlink(missing_ok=True)
            for run in runs:
                with suppress(OSError):
                    run.rmdir()
        raise
