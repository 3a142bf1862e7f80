"""What a look-over may find: how bad it is, in which files, and what to do about it."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any, Literal

from verydeep.checks.duplicates import Duplicates
from verydeep.checks.facts_table import ImageFacts
from verydeep.checks.unlisted_files import Stray
from verydeep.data.samples import Dataset

Severity = Literal["error", "warning", "note"]
"""``error``: training would fail, or its figures would lie; ``warning``: look at it; ``note``."""

SEVERITIES: tuple[Severity, ...] = ("error", "warning", "note")


@dataclass(frozen=True, slots=True)
class Flagged:
    """One file of a finding.

    Attributes:
        file: Its path within the data set.
        split: Where it is; empty if nowhere.
        class_name: Likewise.
        reason: What is the matter with it.
        other: The file that it repeats or resembles; empty if none.
    """

    file: str
    split: str = ""
    class_name: str = ""
    reason: str = ""
    other: str = ""


@dataclass(frozen=True, slots=True)
class Finding:
    """One thing that was found.

    Attributes:
        key: Its name for programs; stays the same between versions.
        severity: How bad it is.
        title: What was found, in a sentence.
        count: How many files, pairs, groups or classes.
        advice: What to do about it.
        files: Those concerned; empty where none in particular are.
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
    """All that the rules judge by.

    Attributes:
        dataset: The data set.
        pictures: Every file of every split, with its facts.
        duplicates: The repetitions among them.
        strays: Files that are no samples.
        limit: Share of broken files of a split above which training refuses.
        undrawable: Why no splits can be cut from it, if so.
        empty_folders: Folders without an image among those of the classes.
    """

    dataset: Dataset
    pictures: Sequence[ImageFacts]
    duplicates: Duplicates
    strays: Sequence[Stray]
    limit: float
    undrawable: str = ""
    empty_folders: Sequence[Path] = ()

    @property
    def classless(self) -> bool:
        """Whether the images have no classes."""
        return not any(self.dataset.classes)

    def flag(self, picture: ImageFacts, reason: str = "", other: str = "") -> Flagged:
        """Return an image as one of a finding's files."""
        class_name = self.dataset.classes[picture.label]
        return Flagged(picture.name, picture.split, class_name, reason, other)
