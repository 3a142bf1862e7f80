"""Test multi-label models by every protocol at once, arranged as Tables 3 to 6 of the paper."""

from __future__ import annotations

import time
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Unpack

from verydeep.data.samples import Sample
from verydeep.errors import plural
from verydeep.evaluation.all_protocols import measure_rows
from verydeep.evaluation.evaluate import evaluate_label_tests
from verydeep.evaluation.joint_tests import Circumstances
from verydeep.evaluation.multi_label import MultiLabelModel, MultiLabelResult
from verydeep.evaluation.protocol import TestProtocol
from verydeep.evaluation.protocol_table import ProtocolTable
from verydeep.system.summary import percent


@dataclass(frozen=True, repr=False)
class MultiLabelTable(ProtocolTable[MultiLabelResult]):
    """All tests of the given multi-label models on one split.

    Attributes:
        rows: In the order of the paper's tables.
        seconds: Total time.
    """

    measure = "mean average precision"

    def measured(self, result: MultiLabelResult) -> str:
        """Return the mean average precision with its interval."""
        return percent(result.mean_average_precision, result.mean_average_precision_interval)

    def __repr__(self) -> str:
        best = percent(max(row.result.mean_average_precision for row in self.rows))
        return f"MultiLabelTable({plural(len(self.rows), 'test')}, mAP up to {best})"


def measure_label_table(
    models: Sequence[MultiLabelModel],
    samples: Sequence[Sample],
    common: TestProtocol,
    **how: Unpack[Circumstances],
) -> MultiLabelTable:
    """Test multi-label models by every protocol; arguments as for ``measure_table``."""
    started = time.monotonic()
    rows = measure_rows(evaluate_label_tests, models, samples, common, how)
    return MultiLabelTable(rows, time.monotonic() - started)
