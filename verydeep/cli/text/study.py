"""Verdicts of a study."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator, Sequence
from textwrap import fill

from verydeep.study.verdicts import Judged, Verdict
from verydeep.study.wording import ONE_SEED, claimed, counts, found, remarks, signed

WIDTH, INDENT = 100, 8 * " "
"""Width of a line, and blanks before the notes on a comparison."""

DECISIONS = ("holds", "does not hold", "not decided")


def verdicts_as_text(verdicts: Sequence[Verdict]) -> str:
    """Return each claim with its verdict and what it rests on, then how many hold."""
    lines = [line for verdict in verdicts for line in _claim(verdict)]
    tally = Counter[str](verdict.decision for verdict in verdicts)
    lines += [", ".join(f"{tally[decision]} {decision}" for decision in DECISIONS)]
    if any(verdict.seeds == 1 for verdict in verdicts):
        lines += [ONE_SEED]
    return "\n".join(lines)


def _claim(verdict: Verdict) -> Iterator[str]:
    yield f"{verdict.decision.upper():<14} {verdict.claim.sentence}"
    for one in verdict.judged:
        yield f"    {claimed(one.comparison)}: {one.decision}"
        for note in filter(None, _notes(one)):
            yield fill(note, WIDTH, initial_indent=INDENT, subsequent_indent=INDENT)
    yield ""


def _notes(one: Judged) -> Iterator[str]:
    expected = one.comparison.expected
    yield found(one)
    paper = "" if expected is None else f"the paper: {signed(expected)} points; "
    yield f"{paper}here: {counts(one.measured)}" if one.measured else paper.removesuffix("; ")
    yield from remarks(one)
