"""Findings of a check: severity, files and advice."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any, Literal

from verydeep.checks.duplicates import Duplicates
from verydeep.checks.facts_table import ImageFacts
from verydeep.checks.series import SeriesInSplits
from verydeep.checks.unlisted_files import Stray
from verydeep.data.dataset import Dataset

Severity = Literal["error", "warning", "note"]
"""``error``: training would fail or its results would mislead; ``warning``: inspect; ``note``."""

SEVERITIES: tuple[Severity, ...] = ("error", "warning", "note")


@dataclass(frozen=True, slots=True)
class Flagged:
    """One file of a finding.

    Attributes:
        file: Path within the data set.
        split: Split, if any.
        class_name: Class, if any.
        reason: What is wrong with it.
        other: File that it repeats or resembles, if any.
    """

    file: str
    split: str = ""
    class_name: str = ""
    reason: str = ""
    other: str = ""


@dataclass(frozen=True, slots=True)
class Finding:
    """One finding.

    Attributes:
        key: Name for programs, stable between versions.
        severity: Severity.
        title: The finding in a sentence.
        count: Number of files, pairs, groups or classes.
        advice: Recommended action.
        files: Files concerned, if any in particular.
    """

    key: str
    severity: Severity
    title: str
    count: int
    advice: str
    files: tuple[Flagged, ...] = ()

    def to_dict(self) -> dict[str, Any]:
        """Return the finding as plain values."""
        return {**asdict(self), "files": [asdict(file) for file in self.files]}


@dataclass(frozen=True)
class Evidence:
    """The input of the rules.

    Attributes:
        dataset: The data set.
        pictures: Every file of every split, with its facts.
        duplicates: Duplicates among them.
        strays: Files that are not samples.
        limit: Maximum share of broken files per split.
        undrawable: Why splits cannot be drawn; empty if they can.
        empty_folders: Folders without images beside those of the classes.
        series: Series that drawn splits divide; None if there is no evidence.
        divided: Groups that the data's own splits divide, with these splits.
    """

    dataset: Dataset
    pictures: Sequence[ImageFacts]
    duplicates: Duplicates
    strays: Sequence[Stray]
    limit: float
    undrawable: str = ""
    empty_folders: Sequence[Path] = ()
    series: SeriesInSplits | None = None
    divided: Mapping[str, tuple[str, ...]] = field(default_factory=dict)

    @property
    def classless(self) -> bool:
        """Whether the images have no classes."""
        return not any(self.dataset.classes)

    def flag(self, picture: ImageFacts, reason: str = "", other: str = "") -> Flagged:
        """Return an image as a file of a finding."""
        class_name = self.dataset.label_words(picture.label)
        return Flagged(picture.name, picture.split, class_name, reason, other)
