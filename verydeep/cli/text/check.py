"""Report of a data set check as text."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any

from verydeep.cli.text.columns import Cells, align
from verydeep.errors import printable

LISTED = 5
"""Maximum number of files listed per finding."""

_MARKS = {"error": "ERROR", "warning": "warning", "note": "note"}


def check_as_text(report: dict[str, Any], out: Path | None = None) -> str:
    """Return a check report as text.

    Args:
        report: Report from :meth:`verydeep.checks.report.CheckReport.to_dict`.
        out: Folder of page and lists; None if they were not written.
    """
    statistics = report["statistics"]
    lines = [
        f"{printable(report['data'])}: {report['describe']}",
        f"{statistics['files']:,} files, {statistics['bytes'] / 1e6:,.1f} MB, "
        f"{report['seconds']:.1f} s ({report['files_per_second']:,.0f} files a second)",
        "",
    ]
    for finding in report["findings"]:
        lines += [*_finding(finding), ""]
    lines += [*_statistics(statistics), ""]
    if out:
        lines += [f"page    {out / 'check.html'}", f"lists   {out / 'findings.csv'} and .json", ""]
    return "\n".join([*lines, report["verdict"]])


def _finding(finding: dict[str, Any]) -> Iterator[str]:
    yield f"{_MARKS[finding['severity']]}  {printable(finding['title'])}"
    yield f"    {finding['advice']}"
    for file in finding["files"][:LISTED]:
        of_split = f" ({file['split']})" if file["split"] else ""
        named = file["file"] or f"{file['class_name']}{of_split}"
        parts = (named, file["reason"]) if file["reason"] else (named,)
        yield f"      {': '.join(map(printable, parts))}"
    more = len(finding["files"]) - LISTED
    if more > 0:
        yield f"      ... and {more:,} more (all of them with --json or --out)"


def _statistics(statistics: dict[str, Any]) -> Iterator[str]:
    if statistics["sizes"]:
        yield align([*_sizes(statistics["sizes"])])
        yield ""
    yield from align([*_counts(statistics)], left=2).splitlines()


def _sizes(sizes: dict[str, dict[str, float]]) -> Iterator[Cells]:
    first = next(iter(sizes.values()))
    yield ("", *(f"{key[1:].lstrip('0')} %" if key.startswith("q") else key for key in first))
    for name, quantiles in sizes.items():
        places = 2 if name == "aspect_ratio" else 0
        yield (name.replace("_", " "), *(f"{value:.{places}f}" for value in quantiles.values()))


TOGETHER = 5
"""Maximum number of listed pairs of classes."""


def _labels(labels: dict[str, Any]) -> Iterator[Cells]:
    counts = ", ".join(f"{count:,} with {size}" for size, count in labels["per_image"].items())
    yield "labels per image", f"{labels['mean']:.2f} on average: {counts}"
    pairs = (
        f"{' and '.join(map(printable, pair['classes']))} {pair['images']:,}"
        for pair in labels["together"][:TOGETHER]
    )
    yield "most together", ", ".join(pairs) or "none"


def _counts(statistics: dict[str, Any]) -> Iterator[Cells]:
    for key in ("formats", "modes"):
        counted = ", ".join(f"{name} {count:,}" for name, count in statistics[key].items())
        yield key, counted
    classes = statistics["classes"]
    for split in classes[0]["counts"] if classes[0]["name"] else ():
        counts = [row["counts"][split] for row in classes]
        yield f"{split} a class", f"{min(counts):,} to {max(counts):,} files"
    if labels := statistics.get("labels"):
        yield from _labels(labels)
    colours = statistics["colours"]
    if colours:
        yield "mean RGB", ", ".join(f"{value:.2f}" for value in colours["mean"])
        deviations = ", ".join(f"{value:.1f}" for value in colours["deviations"])
        yield "deviation", f"{deviations} along the principal axes of RGB"
