"""Tests, features and trainings in several processes that the program starts by itself."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from leftovers import descendants
from tiny import Outcome, flags, recipe, strict_json

import verydeep as package
from verydeep.system.settings import Compute

Program = Callable[..., Outcome]
PATIENCE = 120
TIMES = ("seconds", "images_per_second", "training_seconds")

pytestmark = pytest.mark.slow


@pytest.fixture(autouse=True)
def one_thread(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("OMP_NUM_THREADS", "1")


def without_times(value: Any) -> Any:
    if isinstance(value, dict):
        return {key: without_times(inner) for key, inner in value.items() if key not in TIMES}
    return [without_times(inner) for inner in value] if isinstance(value, list) else value


@pytest.mark.parametrize("protocol", ["dense", "all"])
def test_a_test_counts_every_image_once(
    protocol: str, trained_run: Path, tmp_path: Path, verydeep: Program
) -> None:
    words = ("evaluate", trained_run, "--protocol", protocol, "--device", "cpu", "--json")
    alone = verydeep(*words)
    together = verydeep(*words, "--processes", 2, "--out", tmp_path / "out")
    assert (alone.code, together.code) == (0, 0), together.err
    assert without_times(strict_json(together.out)) == without_times(strict_json(alone.out))
    assert (tmp_path / "out").is_dir()


def test_features_are_the_same_file(trained_run: Path, pictures: Path, tmp_path: Path) -> None:
    files = [tmp_path / f"{count}.npz" for count in (1, 2)]
    for count, file in enumerate(files, 1):
        words = ["--out", file, "--processes", str(count), "--device", "cpu", "--json"]
        subprocess.run(
            [sys.executable, "-m", "verydeep", "features", trained_run, pictures, *words],
            check=True,
            capture_output=True,
            env={**os.environ, "PYTHONPATH": os.pathsep.join(filter(None, sys.path))},
            timeout=PATIENCE,
        )
    one, two = (np.load(file) for file in files)
    assert one["file"].tolist() == two["file"].tolist()
    np.testing.assert_array_equal(one["vector"], two["vector"])


def test_in_python_a_model_in_memory_and_features_in_memory_do_too(
    trained_run: Path, pictures: Path
) -> None:
    both = Compute("cpu", "fp32", processes=2)
    model = package.load(trained_run, compute=Compute("cpu", "fp32"))
    alone = package.evaluate(model, pictures, "center", compute="cpu")
    together = package.evaluate(model, pictures, "center", compute=both)
    np.testing.assert_array_equal(together.answers.posteriors, alone.answers.posteriors)
    found = package.features(trained_run, pictures, compute=both)
    expected = package.features(trained_run, pictures, compute=Compute("cpu", "fp32"))
    np.testing.assert_array_equal(found.vectors, expected.vectors)


def weights(run: Path) -> dict[str, np.ndarray[Any, Any]]:
    checkpoint = torch.load(run / "checkpoints" / "last.pt", weights_only=True)
    return {name: tensor.numpy() for name, tensor in checkpoint["net"].items()}


SETTINGS = ("net.dropout=0", "training.precision=fp32", "data.workers=0")


def test_two_processes_train_what_one_does(pictures: Path, tmp_path: Path) -> None:
    runs = [tmp_path / str(count) for count in (1, 2)]
    for count, run in enumerate(runs, 1):
        package.train(pictures, recipe(*SETTINGS), run, processes=count)
    one, two = map(weights, runs)
    for name, tensor in one.items():
        np.testing.assert_allclose(two[name], tensor, rtol=1e-4, atol=1e-5, err_msg=name)
    logs = [
        [
            strict_json(line)["train_top1_error"]
            for line in (run / "log.jsonl").read_text().splitlines()
        ]
        for run in runs
    ]
    assert logs[0] == logs[1]


def start(run: Path, pictures: Path, *more: str) -> subprocess.Popen[str]:
    words = ["train", str(pictures), "--out", str(run), *flags(*SETTINGS), "--epochs", "40"]
    return subprocess.Popen(
        [sys.executable, "-m", "verydeep", *words, "--processes", "2", *more],
        env={**os.environ, "PYTHONPATH": os.pathsep.join(filter(None, sys.path))},
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    )


def epochs_of(run: Path) -> int:
    log = run / "log.jsonl"
    return len(log.read_text().splitlines()) if log.exists() else 0


def wait_for_epochs(run: Path, count: int, program: subprocess.Popen[str]) -> None:
    deadline = time.monotonic() + PATIENCE
    while epochs_of(run) < count:
        assert program.poll() is None, program.communicate()
        assert time.monotonic() < deadline
        time.sleep(0.05)


def test_a_killed_process_ends_all_and_the_run_goes_on(
    pictures: Path, tmp_path: Path, verydeep: Program
) -> None:
    run = tmp_path / "run"
    program = start(run, pictures)
    wait_for_epochs(run, 1, program)
    (other,) = [pid for pid, words in descendants().items() if "launched import main" in words]
    os.kill(other, signal.SIGKILL)
    killed = time.monotonic()
    out, err = program.communicate(timeout=PATIENCE)
    assert time.monotonic() - killed < 30
    assert (program.returncode, out) == (1, "")
    last = err.splitlines()[-1]
    assert last.startswith("verydeep: rank 1 was killed (SIGKILL), probably for lack of memory")
    assert last.endswith("go on with the same command and --resume")
    assert "Traceback" not in err

    done = epochs_of(run)
    again = start(run, pictures, "--resume")
    wait_for_epochs(run, done + 1, again)
    again.send_signal(signal.SIGTERM)
    _, err = again.communicate(timeout=PATIENCE)
    assert again.returncode == 130
    assert err.count("SIGTERM: finishing the current step") == 1
    assert "checkpoint saved" in err

    done = epochs_of(run)
    alone = verydeep("train", pictures, "--out", run, "--resume", "--json")  # to the end
    assert alone.code == 0, alone.err
    assert json.loads(alone.out)["epochs"] == 40
    rows = (run / "log.jsonl").read_text().splitlines()
    assert [json.loads(row)["epoch"] for row in rows] == [*range(1, 41)]


def test_a_fault_is_told_once(tmp_path: Path, verydeep: Program) -> None:
    done = verydeep("train", tmp_path / "none", "--out", tmp_path / "run", "--processes", 2)
    assert done.code == 2
    assert done.err.count("verydeep: ") == 1
