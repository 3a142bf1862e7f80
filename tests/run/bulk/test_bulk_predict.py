"""Bulk predictions on Ray in this machine: the rows of plain prediction, each once."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from bulk_made import FAULTS, actors, rows_of, start_program, until, write_model
from bulk_made import write_photos as write
from deadly_work import DeadlyWork
from leftovers import descendants, is_gone
from tiny import Outcome

import verydeep
from verydeep.errors import InputError
from verydeep.models.prediction import Prediction
from verydeep.run.bulk.bulk import run_bulk
from verydeep.run.bulk.result import BulkResult
from verydeep.run.predict import predict
from verydeep.system.progress import Progress
from verydeep.system.settings import Compute

pytest.importorskip("ray", reason="bulk work needs the extra ray")
pytest.importorskip("pyarrow", reason="results are Parquet files")

pytestmark = pytest.mark.slow

TWO = verydeep.Cluster(actors=2, cores_per_actor=1)
FP32 = Compute("cpu", "fp32", engine="torch")


@pytest.fixture(scope="module")
def model(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return write_model(tmp_path_factory.mktemp("models") / "random")


@pytest.fixture(scope="module")
def photos(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return write(tmp_path_factory.mktemp("data") / "photos", 600)


@pytest.fixture(scope="module")
def plain(model: Path, photos: Path) -> list[Prediction]:
    return predict(model, [photos], compute=FP32, top=3)


def check_row(row: dict[str, Any], one: Prediction, tolerance: float) -> None:
    """Compare a row with a prediction; a tolerance of 0 demands the same bits."""
    assert row["path"] == str(one.source)
    if one.fault:
        assert one.fault == f"{row['path']}: {row['error']}"
        assert {row[name] for name in ("class", "class_name", "probability")} == {None}
        assert row["classes"] is row["probabilities"] is None
        return
    assert row["error"] is None
    assert (row["class"], row["class_name"]) == (one.label, one.class_name)
    assert row["classes"] == [name for name, _ in one.ranking]
    likely = [probability for _, probability in one.ranking]
    np.testing.assert_allclose(row["probabilities"], likely, rtol=0, atol=tolerance)
    assert row["probability"] == row["probabilities"][0]


def check_rows(out: Path, plain: list[Prediction], tolerance: float) -> None:
    rows = rows_of(out)
    assert [row["row"] for row in rows] == list(range(len(plain)))
    for row, one in zip(rows, plain, strict=True):
        check_row(row, one, tolerance)


HOW: dict[str, Any] = {"part_size": 256, "cluster": TWO, "compute": FP32}


@pytest.fixture(scope="module")
def finished(
    model: Path, photos: Path, tmp_path_factory: pytest.TempPathFactory
) -> tuple[BulkResult, Path]:
    """The result of a job on all photos, and its folder; not to be changed."""
    out = tmp_path_factory.mktemp("bulk") / "out"
    return verydeep.bulk_predict(model, photos, out, top=3, **HOW), out


def test_the_rows_are_those_of_predict_to_the_last_bit(
    model: Path, finished: tuple[BulkResult, Path], plain: list[Prediction]
) -> None:
    result, out = finished
    check_rows(out, plain, tolerance=0)
    assert (result.rows, result.errors, result.parts, result.earlier) == (603, len(FAULTS), 3, 0)
    assert (result.actors, result.cores_per_actor, result.retried) == (2, 1, 0)
    assert json.loads((out / "summary.json").read_text()) == result.to_dict()
    assert {row["model"] for row in rows_of(out)} == {result.model}
    assert result.model.startswith(f"{model}@")


def test_another_setting_is_refused(
    model: Path, photos: Path, finished: tuple[BulkResult, Path]
) -> None:
    _, out = finished
    with pytest.raises(InputError, match=r"another top \(3, now 2\)"):
        verydeep.bulk_predict(model, photos, out, top=2, **HOW)


def test_a_table_in_small_parts_and_an_end_without_work(
    model: Path,
    photos: Path,
    plain: list[Prediction],
    tmp_path: Path,
    verydeep: Callable[..., Outcome],
) -> None:
    chosen = [602, 3, 601, 3, 600, 599]
    table = tmp_path / "list.csv"
    table.write_text("\n".join(["path", *(str(plain[row].source) for row in chosen)]), "utf-8")
    words = ("bulk", "predict", model, table, "--out", tmp_path / "out", "--part-size", 4)
    words = (*words, "--top", 3, "--actors", 1, "--cores-per-actor", 1, "--precision", "fp32")
    done = verydeep(*words, "--json")
    assert done.code == 0, done.err
    check_rows(tmp_path / "out", [plain[row] for row in chosen], tolerance=1e-6)
    assert json.loads(done.out)["settings"]["engine"] == "torch"
    again = verydeep(*words)
    assert again.code == 0, again.err
    assert "6 of 6 images done before" in again.err
    assert again.out.startswith("6 images, 3 unreadable, 6 done before\n")
    # Another source, model or setting is refused.
    table.write_text(table.read_text() + f"\n{plain[5].source}")
    other = verydeep(*words)
    assert (other.code, other.out) == (2, "")
    assert "was begun with another source (6 images of" in other.err


def test_a_model_that_does_not_load_is_one_message(
    model: Path, tmp_path: Path, verydeep: Callable[..., Outcome]
) -> None:
    few = write(tmp_path / "few", 2)
    words = ("bulk", "predict", model, few, "--out", tmp_path / "out", "--scales", 8)
    done = verydeep(*words)
    assert (done.code, done.out) == (2, "")
    assert done.err.count("\n") == 1
    assert "verydeep: test scale must be at least 32" in done.err
    assert not (tmp_path / "out" / "manifest.json").exists()


def test_a_killed_program_goes_on_without_doing_a_row_twice(
    model: Path, photos: Path, plain: list[Prediction], tmp_path: Path
) -> None:
    out = tmp_path / "out"
    words = ("bulk", "predict", model, photos, "--out", out, "--part-size", 4, "--top", 3)
    words = (*words, "--actors", 2, "--cores-per-actor", 1, "--precision", "fp32")
    before = descendants()
    program = start_program(*words)
    until(lambda: len([*out.glob("parts/*.parquet")]) > 50)
    started = {pid: words for pid, words in descendants().items() if pid not in before}
    program.kill()
    program.communicate()
    for pid, title in started.items():
        if "Agent" in title and not is_gone(pid):  # they try for a minute to report the end
            os.kill(pid, signal.SIGKILL)
    until(lambda: all(map(is_gone, started)), seconds=30)
    done = {path.name: path.stat() for path in out.glob("parts/*.parquet")}
    assert len(done) < 151
    assert not (out / "summary.json").exists()
    again = start_program(*words, "--json")
    text, errors = again.communicate()
    assert again.returncode == 0, errors
    value = json.loads(text)
    assert (value["rows"], value["earlier"]) == (603, 4 * len(done))
    check_rows(out, plain, tolerance=1e-6)
    for name, stat in done.items():
        now = (out / "parts" / name).stat()
        assert (now.st_ino, now.st_mtime_ns) == (stat.st_ino, stat.st_mtime_ns)


def test_ctrl_c_ends_everything(model: Path, photos: Path, tmp_path: Path) -> None:
    out = tmp_path / "out"
    before = descendants()
    program = start_program("bulk", "predict", model, photos, "--out", out, "--part-size", 4)
    until(lambda: any(out.glob("parts/*.parquet")))
    started = set(descendants()) - set(before)
    program.send_signal(signal.SIGTERM)
    text, errors = program.communicate(timeout=60)
    assert (program.returncode, text) == (130, "")
    assert errors.splitlines()[-1] == "verydeep: stopped by SIGTERM"
    until(lambda: all(map(is_gone, started)), seconds=30)


def test_a_killed_actor_loses_no_row(
    model: Path, photos: Path, plain: list[Prediction], tmp_path: Path
) -> None:
    out = tmp_path / "out"
    words = ("bulk", "predict", model, photos, "--out", out, "--part-size", 4, "--top", 3)
    program = start_program(*words, "--actors", 2, "--cores-per-actor", 1, "--json")
    until(lambda: any(out.glob("parts/*.parquet")))
    os.kill(next(actors()), signal.SIGKILL)
    text, errors = program.communicate()
    assert (program.returncode, "ray" in errors) == (0, False), errors
    assert json.loads(text)["retried"] == 1
    check_rows(out, plain, tolerance=0.01)  # bf16, where the processor has it


def test_an_image_that_ends_its_process_does_not_hold_up_the_others(
    model: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("PYTHONPATH", os.pathsep.join([str(Path(__file__).parent), *sys.path]))
    few = write(tmp_path / "few", 9)
    work = DeadlyWork(str(model), str(model), FP32, 5, None, None, deadly="00005.png")

    def run() -> Any:
        return run_bulk(
            work,
            few,
            tmp_path / "out",
            column=None,
            part_size=4,
            cluster=TWO,
            progress=Progress(),
        )

    result = run()
    plain = predict(model, [few], compute=FP32)
    rows = rows_of(tmp_path / "out")
    assert rows[5].pop("error").startswith("ended the process that read it (")
    assert result.errors == 1 + len(FAULTS)
    for number, (row, one) in enumerate(zip(rows, plain, strict=True)):
        if number != 5:
            check_row(row, one, tolerance=1e-6)


def test_ray_that_is_there_already_is_used_and_kept(model: Path, tmp_path: Path) -> None:
    few = write(tmp_path / "few", 3)
    code = (
        "import ray, verydeep\n"
        "ray.init(address='local', num_cpus=2, include_dashboard=False, log_to_driver=False)\n"
        f"result = verydeep.bulk_predict({str(model)!r}, {str(few)!r}, {str(tmp_path / 'out')!r})\n"
        "assert ray.is_initialized()\n"
        "print(result.rows)\n"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout == "6\n"
