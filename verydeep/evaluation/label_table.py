"""Test multi-label models by every protocol at once, arranged as Tables 3 to 6 of the paper."""

from __future__ import annotations

import time
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from verydeep.data.samples import Sample
from verydeep.errors import plural
from verydeep.evaluation.all_protocols import letter_of, plan_tests, strength
from verydeep.evaluation.multi_label import (
    MultiLabelModel,
    MultiLabelResult,
    evaluate_label_tests,
)
from verydeep.evaluation.protocol import TestProtocol
from verydeep.system.progress import Progress
from verydeep.system.summary import html_table, percent


@dataclass(frozen=True)
class LabelTableRow:
    """One test in the table.

    Attributes:
        letter: Label of the row.
        table: Part of the table that it belongs to.
        result: Result of the test.
    """

    letter: str
    table: str
    result: MultiLabelResult


@dataclass(frozen=True, repr=False)
class MultiLabelTable:
    """All tests of the given multi-label models on one split.

    Attributes:
        rows: In the order of the paper's tables.
        seconds: Total time.
    """

    rows: tuple[LabelTableRow, ...]
    seconds: float

    @property
    def best_known(self) -> LabelTableRow:
        """Row with the paper's strongest protocol: dense and crops, the most nets fused."""
        return max(self.rows, key=lambda row: strength(row.result.models, row.result.protocol))

    def __repr__(self) -> str:
        best = percent(max(row.result.mean_average_precision for row in self.rows))
        return f"MultiLabelTable({plural(len(self.rows), 'test')}, mAP up to {best})"

    def _repr_html_(self) -> str:
        head = ("", "net", "protocol", "scales", "mean average precision")
        return html_table((self._cells(row) for row in self.rows), head)

    @staticmethod
    def _cells(row: LabelTableRow) -> tuple[str, ...]:
        one = row.result
        interval = one.mean_average_precision_interval
        precision = percent(one.mean_average_precision, interval)
        scales = ", ".join(map(str, one.scales))
        return (row.letter, " + ".join(one.models), one.protocol, scales, precision)

    def to_dict(self) -> dict[str, Any]:
        """Return plain values, at the top level those of :attr:`best_known`.

        Protocol, scales and seconds at the top level cover all tests.
        """
        results = [row.result for row in self.rows]
        return {
            **self.best_known.result.to_dict(),
            "protocol": "all",
            "scales": sorted({scale for result in results for scale in result.scales}),
            "seconds": self.seconds,
            "top_row": self.best_known.letter,
            "tests": [
                {"row": row.letter, "table": row.table, **row.result.to_dict()} for row in self.rows
            ],
        }


def measure_label_table(
    models: Sequence[MultiLabelModel],
    samples: Sequence[Sample],
    common: TestProtocol,
    *,
    split: str = "",
    root: Path | None = None,
    workers: int | None = None,
    progress: Progress | None = None,
) -> MultiLabelTable:
    """Test multi-label models by every protocol; arguments as for ``measure_table``."""
    started = time.monotonic()
    plan = list(plan_tests(models, common))
    results = evaluate_label_tests(
        models,
        samples,
        [test for _, test in plan],
        split=split,
        root=root,
        workers=workers,
        progress=progress,
    )
    rows = (
        LabelTableRow(letter_of(place), table, result)
        for place, ((table, _), result) in enumerate(zip(plan, results, strict=True))
    )
    return MultiLabelTable(tuple(rows), time.monotonic() - started)
