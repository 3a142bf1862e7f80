"""``check.html``, a self-contained page, and the lists of files beside it."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from verydeep.checks.contact_sheets import choose_sheets, shrink_all
from verydeep.checks.facts_table import ImageFacts
from verydeep.checks.findings import Finding, Flagged
from verydeep.errors import printable
from verydeep.system.csv_text import write_csv
from verydeep.system.files import write_json, write_text
from verydeep.system.pages import render
from verydeep.system.progress import Progress

if TYPE_CHECKING:
    from verydeep.checks.report import CheckReport

SHOWN = 12
"""Maximum number of thumbnails per finding."""

LISTED = 200
"""Maximum number of files per finding on the page; the lists have all."""

PAIRED = frozenset(
    {
        *("contradiction", "leakage", "shared", "duplicates"),
        *("near-leakage", "near-shared", "near-contradiction", "near-duplicates", "series"),
    }
)
"""Findings about pairs of files, which are shown side by side."""

WRITTEN = ("check.html", "findings.csv", "findings.json")
"""Files written: the page and the lists."""

COLUMNS = ("severity", "finding", "file", "split", "class", "reason", "other", "what_to_do")


@dataclass(frozen=True, slots=True)
class Example:
    """A file of a finding with its thumbnail, and that of the file it repeats."""

    flagged: Flagged
    small: str
    other: str


def write_page(
    report: CheckReport,
    folder: Path,
    *,
    workers: int | None = None,
    progress: Progress | None = None,
) -> Path:
    """Write the page and the lists of files.

    Args:
        report: The report.
        folder: Output folder, outside of the data set.
        workers: Decoding processes for thumbnails.
        progress: Progress reporting; None is silent.

    Returns:
        The path of ``check.html``, beside ``findings.csv`` and ``findings.json``.
    """
    sheets = choose_sheets(report.dataset, report.pictures)
    paths = {picture.name: picture.path for picture in _concerned(report)}
    on_sheets = [picture.path for sheet in sheets for picture in sheet.pictures]
    small = shrink_all([*on_sheets, *paths.values()], workers=workers, progress=progress)
    by_name = {name: small[path] for name, path in paths.items() if path in small}
    page = render(
        "verydeep.checks",
        "page.html",
        report=report.to_dict(),
        findings=report.findings,
        examples={f.key: list(_examples(f, by_name)) for f in report.findings},
        listed=LISTED,
        printable=printable,
        sheets=sheets,
        classes=len(report.dataset.classes),
        small=small,
        mean_colour=_mean_colour(report),
    )
    html, table, values = (folder / name for name in WRITTEN)
    write_text(html, page)
    write_csv(table, [COLUMNS, *_rows(report.findings)])
    write_json(values, report.to_dict())
    return html


def _concerned(report: CheckReport) -> Iterator[ImageFacts]:
    """Yield the images that the page shows with the findings."""
    names = {
        name
        for finding in report.findings
        for flagged in finding.files[:SHOWN]
        for name in (flagged.file, flagged.other)
    }
    return (picture for picture in report.pictures if picture.name in names)


def _examples(finding: Finding, small: dict[str, str]) -> Iterator[Example]:
    """Yield the first files with thumbnails, each pair only once."""
    seen = set()
    for flagged in finding.files[:SHOWN]:
        other = flagged.other if finding.key in PAIRED else ""
        pair = frozenset((flagged.file, other))
        if flagged.file in small and pair not in seen:
            seen.add(pair)
            yield Example(flagged, small[flagged.file], small.get(other, ""))


def _mean_colour(report: CheckReport) -> str | None:
    """Return the mean colour in CSS."""
    colours = report.summary["colours"]
    if colours is None:
        return None
    return "rgb({:.0f} {:.0f} {:.0f})".format(*colours["mean"])


def _rows(findings: tuple[Finding, ...]) -> Iterator[tuple[str, ...]]:
    for finding in findings:
        for f in finding.files or (Flagged("", reason=finding.title),):
            row = (f.file, f.split, f.class_name, f.reason, f.other, finding.advice)
            yield (finding.severity, finding.key, *row)
