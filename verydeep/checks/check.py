"""The whole check of a data set: every file once, duplicates, rules, statistics."""

from __future__ import annotations

import time
from contextlib import closing
from dataclasses import dataclass
from pathlib import Path

from verydeep.checks.dataset_rules import set_findings
from verydeep.checks.duplicates import find_duplicates
from verydeep.checks.facts_table import DatasetFacts
from verydeep.checks.file_facts import FileFacts, examine
from verydeep.checks.file_rules import file_findings
from verydeep.checks.findings import SEVERITIES, Evidence
from verydeep.checks.group_rules import group_findings
from verydeep.checks.open_dataset import place_of, read
from verydeep.checks.report import CheckReport
from verydeep.checks.series import find_series
from verydeep.checks.summary import summarize
from verydeep.checks.unlisted_files import find_empty_folders, find_strays
from verydeep.data.dataset import Dataset
from verydeep.data.group_rule import GroupRule
from verydeep.data.grouping import divided_groups
from verydeep.data.label_sets import DataTask
from verydeep.data.pipeline.colour_statistics import ColourStatistics, ColourSum, Moments
from verydeep.data.pipeline.workers import in_parallel
from verydeep.data.read import Data
from verydeep.data.samples import Samples
from verydeep.errors import InputError
from verydeep.system.files import make_output_folder
from verydeep.system.locks import hold
from verydeep.system.progress import Progress, ProgressWish, choose_progress
from verydeep.system.settings import Compute


def check(
    data: Data,
    *,
    out: str | Path | None = None,
    limit: float = 0.01,
    layout: str | None = None,
    group_by: str | None = None,
    task: DataTask | None = None,
    colours: bool = True,
    compute: Compute | str | None = None,
    progress: ProgressWish = None,
) -> CheckReport:
    """Check a data set before training, without changing it.

    Args:
        data: A name, folder or file, a data set, or images with their labels; see
            :func:`verydeep.read_dataset`.
        out: Folder for an HTML page and lists of the files; None writes nothing.
        limit: Maximum share of broken files per split (``data.unreadable_limit`` in the recipe).
        layout: Folder layout; None detects it.
        group_by: Rule for groups that no split divides; see :func:`verydeep.read_dataset`. Splits
            that the data have are checked for groups in several of them.
        task: ``multi-label`` for several labels per image, ``classification`` for one; None lets
            the data decide.
        colours: Whether to measure mean and principal axes of the training pixels, as training
            does. If not, large JPEGs are decoded at a reduced size, several times as fast, but
            still read to the end.
        compute: Decoding processes, as ``Compute(workers=2)``.
        progress: Progress reporting; None reports in a notebook or terminal, False is silent,
            True always reports.

    Returns:
        The report; its ``exit_code`` is 2 if training would fail or its results would mislead.

    Raises:
        DataError: There is no such folder, or no layout fits.
        InputError: The limit is not in 0 to 1, ``out`` is inside the data or not writable, or the
            rule for groups cannot be used.
    """
    progress, workers = choose_progress(progress), Compute.of(compute).workers
    if not 0 <= limit <= 1:
        raise InputError(f"limit must be between 0 and 1, got {limit:g} instead")
    start = time.perf_counter()
    dataset, undrawable = read(data, layout, progress, group_by, task)
    divided = divided_groups(dataset, GroupRule.parse(group_by)) if group_by else {}
    target = None if out is None else make_output_folder(Path(out), dataset.root)
    pictures, measured = _examine(dataset, colours, workers, progress)
    duplicates = find_duplicates(pictures, workers=workers, progress=progress)
    strays, empty = find_strays(dataset, progress), find_empty_folders(dataset)
    series = find_series(dataset, lambda some: [pictures[index].facts.hash for index in some])
    evidence = Evidence(
        dataset, pictures, duplicates, strays, limit, undrawable, empty, series, divided
    )
    findings = [*set_findings(evidence), *group_findings(evidence), *file_findings(evidence)]
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


def _examine(
    dataset: Dataset, colours: bool, workers: int | None, progress: Progress
) -> tuple[DatasetFacts, ColourStatistics | None]:
    work = _Examine([*dataset.splits.items()], colours)
    total = sum(map(len, dataset.splits.values()))
    pictures = DatasetFacts(dataset.splits, dataset.root)
    sums = ColourSum()
    with (
        progress.task("check", total) as bar,
        closing(in_parallel(work, range(total), workers=workers, chunk=32)) as examined,
    ):
        for facts, moments in examined:
            pictures.add(facts)
            if moments is not None:
                sums.add(moments)
            bar.update(len(pictures))
    return pictures, sums.statistics() if sums.count else None


@dataclass(frozen=True)
class _Examine:
    """Examines a file by its index over all splits."""

    splits: list[tuple[str, Samples]]
    colours: bool

    def __call__(self, index: int) -> tuple[FileFacts, Moments | None]:
        for split, samples in self.splits:
            if index < len(samples):
                measured = self.colours and split in ("train", "all")
                return examine(samples[index].path, measured)
            index -= len(samples)
        raise IndexError(index)
