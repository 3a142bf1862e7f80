"""The whole look-over: every file once, repetitions, rules, figures."""

from __future__ import annotations

import time
from collections import Counter
from collections.abc import Sequence
from contextlib import closing
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, overload

from verydeep.checks.dataset_rules import set_findings
from verydeep.checks.duplicates import find_duplicates
from verydeep.checks.facts_table import DatasetFacts
from verydeep.checks.file_facts import FileTask, examine
from verydeep.checks.file_rules import file_findings
from verydeep.checks.findings import SEVERITIES, Evidence, Finding
from verydeep.checks.open_dataset import place_of, read
from verydeep.checks.summary import summarize
from verydeep.checks.unlisted_files import find_empty_folders, find_strays
from verydeep.data.pipeline.colour_statistics import ColourStatistics, ColourSum
from verydeep.data.pipeline.workers import in_parallel
from verydeep.data.samples import Dataset
from verydeep.errors import InputError, plural
from verydeep.system.files import lies_within, make_folder
from verydeep.system.locks import hold
from verydeep.system.progress import Progress, ProgressWish, choose_progress
from verydeep.system.summary import Rows, Summary

SHOWN = 5
"""Findings that a report shows of itself at the prompt, at most."""


@dataclass(frozen=True, repr=False)
class CheckReport(Summary):
    """What a look-over of a data set found.

    Attributes:
        data: What was looked over, as a path or name.
        dataset: The data set, with its splits as training would have them.
        findings: The worst first.
        summary: Its figures, as plain values.
        seconds: That it took.
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
        """2 if training would fail or its figures would lie, else 0."""
        return 2 if any(finding.severity == "error" for finding in self.findings) else 0

    @property
    def verdict(self) -> str:
        """The outcome in a sentence."""
        counts = Counter(finding.severity for finding in self.findings)
        found = ", ".join(plural(counts[severity], severity) for severity in SEVERITIES)
        if self.exit_code:
            return f"Not fit for training yet ({found}): mend the errors first"
        return f"Fit for training ({found})"

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


def check(
    data: str | Path,
    *,
    out: str | Path | None = None,
    limit: float = 0.01,
    layout: str | None = None,
    colours: bool = True,
    workers: int | None = None,
    progress: ProgressWish = None,
) -> CheckReport:
    """Look a data set over before it is trained on. Nothing of it is changed.

    Args:
        data: ``digits`` or a folder; see :func:`verydeep.data.read.read_dataset`.
        out: Folder for a page to look at and lists of the files; None writes nothing.
        limit: Share of broken files of a split above which training would refuse the set
            (``data.unreadable_limit`` in the recipe).
        layout: How the data lie on disk; None looks.
        colours: Whether to measure mean and principal axes of the training pixels, equal to what
            a training measures. Without, large JPEGs are decoded at a reduced size, which is
            several times as quick; they are still read to their end.
        workers: Decoding processes; None decides.
        progress: Where to report to; None reports in a notebook and to a terminal, False is
            silent, True reports anyway.

    Returns:
        The report; its ``exit_code`` is 2 if training would fail or its figures would lie.

    Raises:
        DataError: There is no such folder, or it has no layout that training can use.
        InputError: The limit is no share, or ``out`` lies within the data or cannot be written to.
    """
    progress = choose_progress(progress)
    if not 0 <= limit <= 1:
        raise InputError(f"limit must be a share between 0 and 1, got {limit:g} instead")
    start = time.perf_counter()
    dataset, undrawable = read(data, layout, progress)
    target = None if out is None else target_folder(Path(out), dataset.root)
    pictures, measured = _examine(dataset, colours, workers, progress)
    duplicates = find_duplicates(pictures, workers=workers, progress=progress)
    strays, empty = find_strays(dataset, progress), find_empty_folders(dataset)
    evidence = Evidence(dataset, pictures, duplicates, strays, limit, undrawable, empty)
    findings = [*set_findings(evidence), *file_findings(evidence)]
    findings.sort(key=lambda finding: SEVERITIES.index(finding.severity))
    summary = summarize(dataset, pictures, measured)
    seconds = time.perf_counter() - start
    report = CheckReport(
        place_of(data, dataset), dataset, tuple(findings), summary, seconds, pictures
    )
    if target is not None:
        from verydeep.checks.page import write_page

        with hold(target):
            write_page(report, target, workers=workers, progress=progress)
    return report


def target_folder(out: Path, root: Path) -> Path:
    """Return the folder to write to, which must not lie among the images.

    Raises:
        InputError: It does, or cannot be made.
    """
    out = out.expanduser()
    if lies_within(out, root):
        raise InputError(f"{out} lies within the data, which are not to be changed: choose another")
    make_folder(out)
    return out


def _examine(
    dataset: Dataset, colours: bool, workers: int | None, progress: Progress
) -> tuple[DatasetFacts, ColourStatistics | None]:
    tasks = _Tasks(dataset, colours)
    pictures = DatasetFacts(dataset.splits, dataset.root)
    sums = ColourSum()
    with (
        progress.task("check", len(tasks)) as bar,
        closing(in_parallel(examine, tasks, workers=workers, chunk=32)) as examined,
    ):
        for facts, moments in examined:
            pictures.add(facts)
            if moments is not None:
                sums.add(moments)
            bar.update(len(pictures))
    return pictures, sums.statistics() if sums.count else None


class _Tasks(Sequence[FileTask]):
    """All files of a data set, each made a task when its turn comes."""

    def __init__(self, dataset: Dataset, colours: bool) -> None:
        self._splits = list(dataset.splits.items())
        self._colours = colours

    def __len__(self) -> int:
        return sum(len(samples) for _, samples in self._splits)

    @overload
    def __getitem__(self, index: int) -> FileTask: ...
    @overload
    def __getitem__(self, index: slice) -> Sequence[FileTask]: ...
    def __getitem__(self, index: int | slice) -> FileTask | Sequence[FileTask]:
        if isinstance(index, slice):
            return [self[number] for number in range(*index.indices(len(self)))]
        for split, samples in self._splits:
            if index < len(samples):
                return FileTask(samples[index].path, self._colours and split in ("train", "all"))
            index -= len(samples)
        raise IndexError(index)
