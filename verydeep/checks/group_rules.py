"""Rules for images that belong together: series and groups divided among splits."""

from __future__ import annotations

from collections.abc import Iterator

from verydeep.checks.findings import Evidence, Finding, Flagged
from verydeep.errors import plural, printable
from verydeep.system.summary import listed


def group_findings(evidence: Evidence) -> Iterator[Finding]:
    """Yield the findings about series and groups."""
    if evidence.series is not None:
        yield _series(evidence)
    if evidence.divided:
        yield _divided(evidence)


def _series(evidence: Evidence) -> Finding:
    series = evidence.series
    assert series is not None
    files = []
    for first, second in series.similar:
        one, other = evidence.pictures[first], evidence.pictures[second]
        reason = f"follows {printable(one.name)} ({one.split}), and looks like it"
        files.append(evidence.flag(other, reason, one.name))
    return Finding(
        "series", "warning", series.title, len(series.similar), series.advice, tuple(files)
    )


def _divided(evidence: Evidence) -> Finding:
    divided = evidence.divided
    names = listed([f"{printable(one)} in {', '.join(splits)}" for one, splits in divided.items()])
    return Finding(
        "divided-groups",
        "error",
        f"{plural(len(divided), 'group')} with images in several splits: {names}",
        len(divided),
        "the measured error would be too low: the data have splits of their own, which no rule "
        "changes; move each group into one of them",
        tuple(Flagged("", ", ".join(splits), "", group) for group, splits in divided.items()),
    )
