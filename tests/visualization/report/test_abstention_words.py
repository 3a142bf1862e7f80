"""What the report says about abstention."""

from __future__ import annotations

import numpy as np
import pytest

from verydeep.evaluation.abstention.selective import RiskCoverage
from verydeep.visualization.report.abstention import _falls


@pytest.mark.parametrize(
    ("answered", "part"), [([10, 50, 100], "half"), ([90, 100], "90 %"), ([100], "100 %")]
)
def test_the_share_of_the_more_confident_is_the_real_one(answered: list[int], part: str) -> None:
    counts = np.array(answered)
    curve = RiskCoverage(np.linspace(1, 0, len(counts)), counts, counts // 10, 100)
    assert f"of the more confident {part}, 10.00 %" in _falls(curve)
