"""What the report says about abstention."""

from __future__ import annotations

import numpy as np
import pytest

from verydeep.evaluation.abstention.selective import RiskCoverage
from verydeep.evaluation.predictions_log import Decided, Record
from verydeep.visualization.report.abstention import _falls, abstention


@pytest.mark.parametrize(
    ("answered", "part"), [([10, 50, 100], "half"), ([90, 100], "90 %"), ([100], "100 %")]
)
def test_the_share_of_the_more_confident_is_the_real_one(answered: list[int], part: str) -> None:
    counts = np.array(answered)
    curve = RiskCoverage(np.linspace(1, 0, len(counts)), counts, counts // 10, 100)
    assert f"of the more confident {part}, 10.00 %" in _falls(curve)


@pytest.mark.parametrize(
    ("learned", "words"),
    [
        (
            {"threshold": 0.8, "unlike": 1.0},
            "It abstains from images below its threshold and from images unlike the training "
            "images.",
        ),
        ({"threshold": None, "unlike": 0.0}, "It abstains from images unlike the training images."),
        ({"threshold": 0.8, "unlike": None}, "It abstains from images below its threshold."),
        (None, "(95 % interval 0.0 to 65.8)."),
    ],
)
def test_only_what_was_learned_is_said_to_refuse_images(
    learned: dict[str, float | None] | None, words: str
) -> None:
    confidence = np.array([0.9, 0.8, 0.6])
    decided = Decided(confidence, np.array([True, True, False]), None, None)
    record = Record(
        names=("a", "b", "c"),
        labels=np.array([0, 1, 0]),
        probabilities=confidence,
        guesses=np.array([[0, 1], [1, 0], [0, 1]]),
        confidences=np.stack([confidence, 1 - confidence], 1),
        classes=("cat", "dog"),
        decided=decided,
    )
    assert abstention(record, record.classes, learned).summary.endswith(words)
