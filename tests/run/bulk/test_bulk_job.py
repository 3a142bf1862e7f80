"""A job goes on only as it was begun."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import pytest

from verydeep.errors import InputError
from verydeep.run.bulk.job import NAME, Job, read_job
from verydeep.run.bulk.settings import Cluster, shape_of

BEGUN = Job(
    "predict", "photos", 10, "aaaaaaaaaaaa", 4, "runs/a", "cccccccccccc",
    {"top": 5, "scales": [64], "engine": "torch"},
)  # fmt: skip


def test_a_manifest_is_read_as_it_was_written(tmp_path: Path) -> None:
    assert read_job(tmp_path) is None
    BEGUN.write(tmp_path)
    assert read_job(tmp_path) == BEGUN
    BEGUN.refuse_other(BEGUN, tmp_path)


def test_source_and_model_may_have_moved(tmp_path: Path) -> None:
    replace(BEGUN, source="/old/photos", model="/runs/a").refuse_other(BEGUN, tmp_path)


def test_before_a_model_is_loaded_the_rest_is_compared(tmp_path: Path) -> None:
    replace(BEGUN, model_hash="", settings={}).refuse_other(BEGUN, tmp_path)


@pytest.mark.parametrize(
    ("changed", "said"),
    [
        ({"rows": 11}, "another source (10 images of photos, list aaaaaaaa, now 11 images of"),
        ({"rows_hash": "bbbbbbbbbbbb"}, "list aaaaaaaa, now 10 images of photos, list bbbbbbbb)"),
        ({"part_size": 8}, "another part size (4, now 8)"),
        ({"verb": "features"}, "another verb (predict, now features)"),
        ({"model_hash": "dddddddddddd"}, "another model (runs/a, weights cccccccc, now runs/a,"),
        ({"settings": {**BEGUN.settings, "top": 3}}, "another top (5, now 3)"),
        ({"settings": {"layer": "fc7"}}, "another layer (None, now fc7)"),
    ],
)
def test_another_job_is_refused(changed: dict[str, object], said: str, tmp_path: Path) -> None:
    with pytest.raises(InputError) as refused:
        replace(BEGUN, **changed).refuse_other(BEGUN, tmp_path)  # type: ignore[arg-type]
    message = str(refused.value)
    assert message.startswith(f"{tmp_path}: was begun with another ")
    assert said in message
    assert message.endswith("Repeat the first call to go on, or choose another folder")


def test_results_without_a_manifest_are_refused(tmp_path: Path) -> None:
    (tmp_path / "parts").mkdir()
    (tmp_path / "parts" / "00000.parquet").touch()
    with pytest.raises(InputError, match=r"has results but no manifest\.json"):
        read_job(tmp_path)


@pytest.mark.parametrize("text", ["{", "[]", '{"format": "of another"}', '{"format": 7}', "{}"])
def test_broken_manifests_are_told(text: str, tmp_path: Path) -> None:
    (tmp_path / NAME).write_text(text)
    with pytest.raises(InputError, match=r"manifest\.json: not the manifest of a bulk job"):
        read_job(tmp_path)


def test_more_cores_than_there_are_are_refused() -> None:
    with pytest.raises(
        InputError, match=r"actors=3 with cores_per_actor=4 need 12 cores, but .* 8"
    ):
        shape_of(Cluster(actors=3, cores_per_actor=4), None, cpus=8, gpus=0)
    assert shape_of(Cluster("auto", 3, 4), None, 8, 0, local=False).actors == 3
    with pytest.raises(InputError, match=r"actors=3 .* and 3 GPUs, .* has 8 and 2"):
        shape_of(Cluster(actors=3, cores_per_actor=1), "cuda", cpus=8, gpus=2)
    with pytest.raises(InputError, match="device='cuda': the Ray cluster has no GPU"):
        shape_of(Cluster(), "cuda", cpus=8, gpus=0)
    with pytest.raises(InputError, match="actors= must be at least 1, got 0"):
        Cluster(actors=0)
