"""Test models by every protocol at once, arranged as Tables 3 to 6 of the paper."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator, Sequence
from dataclasses import asdict, dataclass, replace
from itertools import combinations
from typing import Any, TypeVar, Unpack

from verydeep.data.samples import Sample
from verydeep.errors import plural
from verydeep.evaluation.any_evaluation import AnyEvaluation
from verydeep.evaluation.evaluate import evaluate_tests
from verydeep.evaluation.joint_tests import Circumstances, Model, Test
from verydeep.evaluation.protocol import OWN_SCALES, ProtocolName, TestProtocol
from verydeep.evaluation.protocol_table import ProtocolTable, Row, make_rows
from verydeep.evaluation.result import EvaluationResult
from verydeep.evaluation.significance import Comparison, mcnemar
from verydeep.system.summary import percent

R = TypeVar("R", bound=AnyEvaluation)

SINGLE, MULTI, TOGETHER, FUSION, OTHERS = (
    "one scale, dense (Table 3)",
    "several scales, dense (Table 4)",
    "dense, crops and both, several scales (Table 5)",
    "fusion (Table 6)",
    "other protocols of that time",
)


@dataclass(frozen=True, repr=False)
class EvaluationTable(ProtocolTable[EvaluationResult]):
    """All tests of the given models on one split.

    Attributes:
        rows: In the order of the paper's tables.
        seconds: Total time.
    """

    measure = "top-1 error"

    def measured(self, result: EvaluationResult) -> str:
        """Return the top-1 error with its interval."""
        return percent(result.top1_error, result.top1_interval)

    def comparisons(
        self,
    ) -> Iterator[tuple[Row[EvaluationResult], Row[EvaluationResult], Comparison]]:
        """Yield every pair of rows with McNemar's test of their top-1 errors."""
        wrong = {row.letter: row.result.answers.wrong for row in self.rows}
        for first, second in combinations(self.rows, 2):
            yield first, second, mcnemar(wrong[first.letter], wrong[second.letter])

    def __repr__(self) -> str:
        best = min(row.result.top1_error for row in self.rows)
        return (
            f"EvaluationTable({plural(len(self.rows), 'test')}, top-1 error from {percent(best)})"
        )

    def to_dict(self) -> dict[str, Any]:
        """Return plain values, at the top level those of :attr:`best_known`.

        Protocol, scales and seconds at the top level cover all tests.
        """
        return {
            **super().to_dict(),
            "comparisons": [
                {"first": first.letter, "second": second.letter, **asdict(comparison)}
                for first, second, comparison in self.comparisons()
            ],
        }


def measure_table(
    models: Sequence[Model],
    samples: Sequence[Sample],
    common: TestProtocol,
    **how: Unpack[Circumstances],
) -> EvaluationTable:
    """Test models by every protocol, reading each image and running each view only once.

    Args:
        models: Models with the same classes.
        samples: Test samples.
        common: Mirror images, grid and averages for all tests.
        **how: See :class:`verydeep.evaluation.joint_tests.Circumstances`.

    Raises:
        InputError: The models' classes differ, or no image can be read.
    """
    started = time.monotonic()
    rows = measure_rows(evaluate_tests, models, samples, common, how)
    return EvaluationTable(rows, time.monotonic() - started)


def measure_rows(
    evaluate: Callable[..., list[R]],
    models: Sequence[Model],
    samples: Sequence[Sample],
    common: TestProtocol,
    how: Circumstances,
) -> tuple[Row[R], ...]:
    """Return the rows of a table, by a function that runs several tests at once."""
    parts, tests = zip(*plan_tests(models, common), strict=True)
    return make_rows(parts, evaluate(models, samples, tests, **how))


def plan_tests(models: Sequence[Model], common: TestProtocol) -> Iterator[tuple[str, Test]]:
    """Yield every test of the tables, with the title of its part.

    Args:
        models: Models with the same classes.
        common: Mirror images, grid and averages for all tests.
    """
    each = range(len(models))
    dense = [net for net in each if models[net].any_size]

    def test(name: ProtocolName, scales: str | None, *nets: int) -> Test:
        how = replace(common, name=name, scales=scales)
        return Test(tuple((net, how.for_model(models[net])) for net in nets))

    yield from ((SINGLE, test("dense", "single", net)) for net in dense)
    yield from ((MULTI, test("dense", "multi", net)) for net in dense)
    for net in each:
        # Dense at several scales is already in Table 4.
        yield TOGETHER, test("crops", "multi", net)
        if net in dense:
            yield TOGETHER, test("both", "multi", net)
    if len(models) > 1:
        fused: tuple[ProtocolName, ...] = ("crops",)
        if len(dense) == len(models):
            fused = ("dense", "crops", "both")
        yield from ((FUSION, test(name, "multi", *each)) for name in fused)
    yield from ((OTHERS, test("center", "single", net)) for net in each)
    others = tuple(OWN_SCALES) if models[0].dimensions == 2 else ()  # volumes have no such views
    yield from ((OTHERS, test(name, None, net)) for net in each for name in others)
