"""The paper's tables of errors with those of a study beside them."""

from __future__ import annotations

import statistics
from collections.abc import Iterator, Sequence
from dataclasses import dataclass

from verydeep.study.conditions import Condition, Measure, Need
from verydeep.study.published import (
    BOTH,
    CENTER,
    CROPS,
    MULTI,
    PUBLISHED,
    PUBLISHED_BOXES,
    SINGLE,
    SVM_MEAN,
    SVM_STACK,
    SVM_WIDE,
    Errors,
    published,
)
from verydeep.study.results import Results
from verydeep.study.verdicts import claims_of

INITIALISATION = "Section 3.1"
"""Name of the table that compares two initialisations, and so needs both."""


@dataclass(frozen=True)
class Row:
    """A test in a table.

    Attributes:
        test: What was trained, and how it was tested.
        paper: Published top-1 and top-5 error in percent; None if the paper gives none.
        top1: Measured top-1 errors by seed, in percent; none before the first test.
        top5: Measured top-5 errors.
    """

    test: Need
    paper: Errors | None
    top1: tuple[float, ...]
    top5: tuple[float, ...]


@dataclass(frozen=True)
class Table:
    """A table of errors.

    Attributes:
        name: Number in the paper, or the section whose results have no table.
        title: What it compares.
        rows: Its rows.
    """

    name: str
    title: str
    rows: tuple[Row, ...]


def study_tables(results: Results) -> tuple[Table, ...]:
    """Return the tables of which the study has, or is to have, a row."""
    how = results.study.get("initialise", "staged")
    needs = [need for claim in claims_of(results) for need in claim.needs]
    wanted = {(condition.canonical, measure) for condition, measure in (*needs, *results.outcomes)}

    def is_wanted(test: Need) -> bool:
        return (test[0].canonical, test[1]) in wanted

    return tuple(
        Table(name, title, tuple(_row(test, results, name) for test in tests))
        for name, title, tests in _layout(how)
        if (all if name == INITIALISATION else any)(map(is_wanted, tests))
    )


def mean_and_spread(errors: Sequence[float]) -> tuple[float, float | None]:
    """Return the mean of at least one error, and their standard deviation if there are several.

    >>> mean_and_spread([30.0, 32.0])
    (31.0, 1.4142135623730951)
    """
    return statistics.fmean(errors), statistics.stdev(errors) if len(errors) > 1 else None


def _row(test: Need, results: Results, table: str) -> Row:
    # The paper's nets began in stages; a study without stages stands beside them nevertheless.
    how = "staged" if table == INITIALISATION else results.study.get("initialise", "staged")
    outcomes = [one for _, one in sorted(results.of(*test).items())]
    return Row(
        test,
        published(*test) if test[0].initialise == how else None,
        tuple(one.top1_error for one in outcomes),
        tuple(one.top5_error for one in outcomes),
    )


def _layout(how: str) -> Iterator[tuple[str, str, list[Need]]]:
    """Yield the name, title and tests of every table, in the order of the paper."""

    def of(measures: Sequence[Measure], nets: Sequence[str] = (), train: str = "") -> list[Need]:
        return [
            (Condition(net, trained, how), measure)  # type: ignore[arg-type]
            for net, trained, measure in PUBLISHED
            if measure in measures and (not nets or net in nets) and train in ("", trained)
        ]

    views = (MULTI, CROPS, BOTH)
    both_ways = [(Condition("D", "fixed", way), SINGLE) for way in ("staged", "scaled")]
    filters: list[Need] = [(Condition(net, "fixed", how), CENTER) for net in ("B", "B-5x5")]  # type: ignore[arg-type]
    yield INITIALISATION, "initialisation of net D (dense, one scale)", list(both_ways)
    yield "Section 4.1", "3×3 and 5×5 filters (central crop, one scale)", filters
    yield "Table 3", "one test scale (dense)", of([SINGLE])
    yield "Table 4", "three test scales (dense)", of([MULTI], ("B", "C", "D", "E"))
    yield (
        "Table 5",
        "dense, multi-crop, and both (three scales)",
        sorted(of(views, ("D", "E"), "jitter"), key=lambda test: test[0].net),
    )
    yield "Table 6", "two nets fused (three scales)", of(views, ("D+E",))
    yield (
        "Table 7",
        "one net and two nets (multi-crop and dense, three scales)",
        of([BOTH], ("E", "D+E")),
    )
    yield from _boxes(how)
    yield from _features(how)


def _boxes(how: str) -> Iterator[tuple[str, str, list[Need]]]:
    """Yield the tables of appendix A."""
    tests: list[Need] = [
        (Condition("D", trained, how, head), measure)  # type: ignore[arg-type]
        for head, trained, measure in PUBLISHED_BOXES
    ]
    given, guessed = [t for t in tests if t[1] == CENTER], [t for t in tests if t[1] != CENTER]
    yield "Table 8", "localization error with the true class (central crop)", given
    yield "Table 9", "localization error (whole image)", guessed


def _features(how: str) -> Iterator[tuple[str, str, list[Need]]]:
    """Yield the tables of appendix B."""
    nets = {net: Condition(net, "jitter", how) for net in ("D", "E", "D+E")}  # type: ignore[arg-type]
    yield (
        "Table 11",
        "features of other data (SVM, three scales stacked); the paper's are of Caltech-256",
        [(net, SVM_STACK) for net in nets.values()],
    )
    yield (
        "Appendix B",
        "scales averaged and stacked, features of other data (SVM)",
        [(nets[net], by) for net in "DE" for by in (SVM_MEAN, SVM_STACK, SVM_WIDE)],
    )
