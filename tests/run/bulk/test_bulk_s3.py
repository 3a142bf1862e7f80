"""Bulk predictions for images in an S3 store: those of plain prediction for the same files."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from bulk_made import rows_of, write_model, write_photos
from s3_store import s3_bucket, s3_server

import verydeep
from verydeep.run.predict import predict
from verydeep.system.settings import Compute

pytest.importorskip("ray", reason="bulk work needs the extra ray")


@pytest.mark.slow
def test_the_rows_are_those_of_local_files(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    model = write_model(tmp_path / "model")
    photos = write_photos(tmp_path / "photos", 30)
    table = tmp_path / "list.jsonl"
    names = [*sorted(path.name for path in photos.iterdir()), "missing.png"]
    table.write_text("".join(f'{{"image": "s3://pets/photos/{name}"}}\n' for name in names))
    with s3_server() as address, s3_bucket(address, "pets", monkeypatch) as store:
        store.put(str(photos), "pets/photos", recursive=True)
        result = verydeep.bulk_predict(
            model,
            table,
            tmp_path / "out",
            part_size=16,
            cluster=verydeep.Cluster(actors=1, cores_per_actor=1),
            compute=Compute("cpu", "fp32", engine="torch"),
        )
    *rows, missing = rows_of(tmp_path / "out")
    assert missing["path"] == "s3://pets/photos/missing.png"
    assert missing["error"].startswith("cannot be read (")
    assert (result.rows, result.errors) == (34, 4)
    plain = predict(model, [photos], compute=Compute("cpu", "fp32", engine="torch"))
    for row, one in zip(rows, plain, strict=True):
        assert row["path"].rpartition("/")[2] == one.source.name
        assert row["class"] == one.label
        if one.fault is None:
            likely = [probability for _, probability in one.ranking]
            np.testing.assert_allclose(row["probabilities"], likely, rtol=0, atol=1e-6)
    text = "".join(path.read_text("utf-8", "replace") for path in tmp_path.glob("out/*.json"))
    assert "secret" not in text
