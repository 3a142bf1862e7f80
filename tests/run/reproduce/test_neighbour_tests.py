"""Tests of boxes and features in a study: the same numbers as by other ways."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from tiny import write_boxed, write_class_folders
from transfer.made import classifier, noise

from verydeep.data.pipeline.rescaled import TestPictures
from verydeep.errors import DataError, InputError
from verydeep.run.reproduce.reproduce import reproduce
from verydeep.run.reproduce.transfer_tests import aggregated
from verydeep.study.claims import claims
from verydeep.study.conditions import Condition
from verydeep.study.results import load_results
from verydeep.transfer.describe import describe_pictures
from verydeep.transfer.descriptor import Descriptor
from verydeep.transfer.features import Vectors

SCALES = (64, 72, 96)


def described(scales: tuple[int, ...], aggregate: str) -> Vectors:
    how = Descriptor(scales, flip=True, layer="fc7", aggregate=aggregate)  # type: ignore[arg-type]
    vectors = describe_pictures(classifier(), TestPictures(noise(), scales, 0), how)
    return np.asarray(vectors.numpy())


@pytest.mark.parametrize("count", [2, 3])
@pytest.mark.parametrize("aggregate", ["mean", "stack"])
def test_features_of_few_scales_follow_from_a_stack_of_all(count: int, aggregate: str) -> None:
    stack = described(SCALES, "stack")
    found = aggregated(stack, len(SCALES), count, stacked=aggregate == "stack")
    np.testing.assert_allclose(found, described(SCALES[:count], aggregate), atol=1e-6)


TINY = {
    "budget": "tiny",
    "settings": {"net.width": 0.03, "training.epochs": 1, "training.batch": 8},
    "compute": "cpu",
    "seeds": 1,
    "progress": False,
}


@pytest.mark.slow
def test_a_whole_study_of_boxes_and_features(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("OMP_NUM_THREADS", "1")
    data = write_boxed(tmp_path / "boxed", count=24, without_box=4)
    other = write_class_folders(tmp_path / "other", count=24, seed=5)
    out = tmp_path / "study"
    reproduce(data, out, claims="localization", **TINY)  # type: ignore[arg-type]
    asked = "localization,transfer"
    reproduce(data, out, claims=asked, transfer_data=other, **TINY)  # type: ignore[arg-type]
    found = load_results(out)
    assert found.study["boxed"] == {"train": 20, "val": 12}
    assert {one.claim.group for one in _verdicts(out)} == {"localization", "transfer"}
    for claim in claims(asked.split(",")):
        for need in claim.needs:
            outcome = found.of(*need)[0]
            assert outcome.images == len(found.names_of(outcome.kind)) > 0
            assert outcome.top1_error == pytest.approx(100 * outcome.wrong.mean())
            assert outcome.top5_error == pytest.approx(100 * outcome.wrong_top5.mean())
    _check_against_evaluate(out, data)
    third = write_class_folders(tmp_path / "third", count=24, seed=6)
    with pytest.raises(InputError, match="transfer: data was"):
        reproduce(data, out, claims=asked, transfer_data=third, **TINY)  # type: ignore[arg-type]


def test_other_data_are_checked_before_any_training(stripes: Path, tmp_path: Path) -> None:
    data, out = write_class_folders(tmp_path / "data", count=24), tmp_path / "study"
    few = write_class_folders(tmp_path / "few", count=5)
    for other, message in ((few, "5 folds need 5 training images"), (stripes, "several labels")):
        with pytest.raises(DataError, match=message):
            reproduce(data, out, claims="transfer", transfer_data=other, **TINY)  # type: ignore[arg-type]
    assert not (out / "study.json").exists()


def _verdicts(out: Path) -> list[object]:
    from verydeep.study.verdicts import judge

    return list(judge(load_results(out)))


def _check_against_evaluate(out: Path, data: Path) -> None:
    """Compare each test of boxes with the one that ``verydeep evaluate`` makes."""
    from verydeep import Compute, evaluate_localization
    from verydeep.study.budget import BUDGETS

    found = load_results(out)
    tests = [need for claim in claims(["localization"]) for need in claim.needs]
    for condition, measure in dict.fromkeys(tests):
        protocol = BUDGETS["tiny"].box_protocol(condition, measure)
        runs = [_run(out, one) for one in condition.members]
        sources = [_run(out, one.source) for one in condition.members if one.source]
        result = evaluate_localization(
            *((sources, runs) if protocol.guesses else (runs, ())),
            data,
            protocol,
            split="val",
            compute=Compute("cpu", engine="torch"),
            progress=False,
        )
        error = found.of(condition, measure)[0].top5_error
        assert error == pytest.approx(result.localization_error)


def _run(out: Path, condition: Condition) -> Path:
    return out / "runs" / f"{condition.canonical.slug}-s0"
