"""Bulk predictions of multi-label models: a column with the labels of predict."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import pytest
from bulk_made import FAULTS, rows_of, write_photos
from random_nets import random_classifier

import verydeep
from verydeep.evaluation.thresholds import Thresholds
from verydeep.run.bulk.predictions import PredictWork
from verydeep.run.predict import predict
from verydeep.system.settings import Compute

pytest.importorskip("pyarrow", reason="results are Parquet files")

FP32 = Compute("cpu", "fp32", engine="torch")


@pytest.fixture(scope="module")
def photos(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return write_photos(tmp_path_factory.mktemp("data") / "photos", 12)


@pytest.fixture(scope="module")
def model(photos: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A multi-label net whose thresholds divide the photos: some have a class, others do not."""
    made = replace(random_classifier(name="A"), multi_label=True)
    likely = made.predict_proba(sorted(photos.glob("0*.png")))
    limits = tuple(((likely.min(0) + likely.max(0)) / 2).astype(float).tolist())
    fitted = Thresholds(limits, (True,) * 4, "val", "", 12)
    folder = tmp_path_factory.mktemp("models") / "labels"
    replace(made, thresholds=fitted).save(folder)
    return folder


def test_labels_are_those_of_predict(model: Path, photos: Path) -> None:
    paths = sorted(photos.iterdir())
    work = PredictWork(str(model), str(model), FP32, 2, None, None)
    loaded = work.load(len(paths))
    rows = loaded.table(0, [path.name for path in paths], paths).to_pylist()
    expected = predict(model, paths, top=2, compute=FP32)
    assert [row["labels"] for row in rows] == [
        None if one.fault else list(one.labels or ()) for one in expected
    ]
    assert sum(row["labels"] is None for row in rows) == len(FAULTS)
    assert len({tuple(row["labels"] or ()) for row in rows}) > 2
    assert [*rows[0]][-3:] == ["labels", "error", "model"]


@pytest.mark.slow
def test_bulk_work_has_a_column_of_labels(model: Path, photos: Path, tmp_path: Path) -> None:
    pytest.importorskip("ray", reason="bulk work needs the extra ray")
    one = verydeep.Cluster(actors=1, cores_per_actor=1)
    verydeep.bulk_predict(model, photos, tmp_path / "out", top=2, cluster=one, compute=FP32)
    expected = predict(model, [photos], top=2, compute=FP32)
    assert [row["labels"] for row in rows_of(tmp_path / "out")] == [
        None if found.fault else list(found.labels or ()) for found in expected
    ]
