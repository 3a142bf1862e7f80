"""Table of runs."""

from __future__ import annotations

from collections.abc import Sequence

from verydeep.cli.text.columns import align
from verydeep.training.run_list import RunSummary


def runs_as_text(runs: Sequence[RunSummary]) -> str:
    """Return a table with one line per run."""
    head = ("run", "net", "data", "state", "error", "of", "date", "epochs")
    return align([head, *map(_row, runs)], left=7)


def _row(one: RunSummary) -> tuple[str, ...]:
    return (
        _shown(one.run),
        one.net or "",
        _shown(one.data or ""),
        one.state,
        _shown(one.fault or "")[:40] if one.state == "broken" else _error(one),
        f"{one.images:,} {one.split}" if one.images is not None else one.split or "",
        one.date[:16].replace("T", " "),
        f"{one.epochs:,}",
    )


def _error(one: RunSummary) -> str:
    if one.error is None:
        return "none yet"
    interval = "" if one.interval is None else " ({:.1f} to {:.1f})".format(*one.interval)
    kind = {"localization": " of boxes", "mAP": " (100 − mAP)"}.get(one.measure, "")
    return f"{one.error:.2f} %{kind}{interval}"


def _shown(text: str, most: int = 60) -> str:
    r"""Return text as one line, control characters escaped and a long beginning cut.

    >>> _shown("a\x1b[2J"), len(_shown("x" * 100))
    ('a\\x1b[2J', 60)
    """
    plain = "".join(c if c.isprintable() else repr(c)[1:-1] for c in text)
    return plain if len(plain) <= most else "…" + plain[1 - most :]
