"""The results of checking a data set."""

from __future__ import annotations

from collections import Counter
from dataclasses import dataclass, field
from typing import Any

from verydeep.checks.facts_table import DatasetFacts
from verydeep.checks.findings import SEVERITIES, Finding
from verydeep.data.dataset import Dataset
from verydeep.errors import plural
from verydeep.system.summary import Rows, Summary

SHOWN = 5
"""Maximum number of findings in a report's short form."""


@dataclass(frozen=True, repr=False)
class CheckReport(Summary):
    """The results of checking a data set.

    Attributes:
        data: Path or name of the data set.
        dataset: The data set, with the splits that training would use.
        findings: Findings, the most severe first.
        summary: Statistics, as plain values.
        seconds: Duration of the check.
        pictures: Every file with its facts.
    """

    data: str
    dataset: Dataset
    findings: tuple[Finding, ...]
    summary: dict[str, Any]
    seconds: float
    pictures: DatasetFacts = field(repr=False)

    @property
    def exit_code(self) -> int:
        """2 if training would fail or its results would be misleading, else 0."""
        return 2 if any(finding.severity == "error" for finding in self.findings) else 0

    @property
    def verdict(self) -> str:
        """The result in one sentence."""
        counts = Counter(finding.severity for finding in self.findings)
        found = ", ".join(plural(counts[severity], severity) for severity in SEVERITIES)
        if self.exit_code:
            return f"Not ready for training ({found}): fix the errors first"
        return f"Ready for training ({found})"

    def facts(self) -> Rows:
        """Yield the facts to show."""
        yield "data", self.data
        yield "images", self.dataset.describe()
        yield "verdict", self.verdict
        for finding in self.findings[:SHOWN]:
            yield finding.severity, finding.title

    def to_dict(self) -> dict[str, Any]:
        """Return the report as plain values."""
        return {
            "data": self.data,
            "describe": self.dataset.describe(),
            "layout": self.dataset.layout,
            "splits": {name: len(samples) for name, samples in self.dataset.splits.items()},
            "drawn_by_rule": self.dataset.made_by_rule,
            "exit_code": self.exit_code,
            "verdict": self.verdict,
            "findings": [finding.to_dict() for finding in self.findings],
            "statistics": self.summary,
            "seconds": self.seconds,
            "files_per_second": len(self.pictures) / self.seconds if self.seconds else 0.0,
        }
