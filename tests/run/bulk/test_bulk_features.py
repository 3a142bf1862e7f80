"""Bulk features on Ray in this machine: the vectors of plain extraction, each once."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from bulk_made import FAULTS, rows_of, write_model
from bulk_made import write_photos as write

import verydeep
from verydeep.data.images.inputs import list_pictures
from verydeep.data.pipeline.rescaled import TestPictures
from verydeep.models.classifier import load_classifier
from verydeep.system.settings import Compute
from verydeep.transfer.describe import describe_pictures

pytest.importorskip("ray", reason="bulk work needs the extra ray")
pytest.importorskip("pyarrow", reason="results are Parquet files")


@pytest.mark.slow
def test_the_rows_are_the_vectors_of_features(tmp_path: Path) -> None:
    photos = write(tmp_path / "photos", 20)
    model, out = write_model(tmp_path / "model"), tmp_path / "out"
    compute = Compute("cpu", "fp32", engine="torch")
    how = verydeep.Descriptor(layer="pool5", scales=(40,), flip=True)
    result = verydeep.bulk_features(
        model,
        photos,
        out,
        how,
        part_size=16,
        cluster=verydeep.Cluster(actors=2, cores_per_actor=1),
        compute=compute,
    )
    assert (result.rows, result.errors) == (20 + len(FAULTS), len(FAULTS))
    loaded = load_classifier(model, compute)
    pictures = TestPictures(list_pictures(photos), (40,))
    plain = describe_pictures(loaded, pictures, how.for_model(loaded)).numpy()
    rows = rows_of(out)
    for number, row in enumerate(rows):
        if number in pictures.unreadable:
            assert row["vector"] is None
            assert pictures.unreadable[number] == f"{row['path']}: {row['error']}"
        else:
            np.testing.assert_allclose(row["vector"], plain[number], rtol=0, atol=1e-6)
    assert result.settings["dimension"] == plain.shape[1]
