"""Multi-label training and tests in a group of processes: the same as in one."""

from __future__ import annotations

from functools import partial
from pathlib import Path

import pytest
from groups import together
from tiny import recipe

from verydeep import Compute, evaluate, load, read_dataset, train
from verydeep.evaluation.protocol import TestProtocol
from verydeep.evaluation.validation import validate_labels

EXACT = Compute("cpu", "fp32")

pytestmark = pytest.mark.slow


def measured(run: Path, table: Path) -> list[float]:
    """Return measures of a test and of a validation, as each process has them."""
    model = load(run, EXACT)
    result = evaluate(model, table, compute=EXACT, progress=False).to_dict()
    samples = read_dataset(table).split("val")
    figures, _ = validate_labels(model, samples, TestProtocol("center", (38,), flip=False))
    return [
        result["mean_average_precision"],
        result["loss"],
        result["images"],
        figures.loss,
        figures.subset_error,
        figures.mean_average_precision,
    ]


def trained(table: Path, out: Path) -> list[float]:
    """Return the measures of a short run."""
    short = recipe("training.epochs=1", "training.precision=fp32", "net.dropout=0")
    found = train(table, short, out, progress=False)
    return [found["loss"], *found["thresholds"].values()]


def test_processes_measure_what_one_measures(
    multi_label_run: Path, stripes: Path, tmp_path: Path
) -> None:
    expected = measured(multi_label_run, stripes)
    for found in together(partial(measured, multi_label_run, stripes), 2, tmp_path):
        assert found == pytest.approx(expected, rel=1e-5)


def test_processes_train_what_one_trains(stripes: Path, tmp_path: Path) -> None:
    expected = trained(stripes, tmp_path / "one")
    for found in together(partial(trained, stripes, tmp_path / "two"), 2, tmp_path):
        assert found == pytest.approx(expected, rel=1e-3)
