"""Killed at any moment and resumed: the same bits as if nothing had happened.

Processes are real and are killed with SIGKILL. Most come from a fork server that has the package
loaded, which saves seconds for each; one test starts the program anew, as people do.
What they are compared with runs in the tests' own process.
"""

from __future__ import annotations

import json
import os
import random
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from multiprocessing.process import BaseProcess
from pathlib import Path
from typing import Any

import pytest
import torch
from tiny import apart, be_the_program, flags, run_program, strict_json, write_splits

from verydeep.data.read import read_dataset
from verydeep.data.shards.write import write_shards
from verydeep.system.device import multiplies_bf16

CPU = torch.device("cpu")
BF16 = pytest.mark.skipif(not multiplies_bf16(CPU), reason="bf16 is slow here")
TIMES = ("seconds", "images_per_second", "training_seconds")
AT_EVERY_STEP = "training.checkpoint_minutes=0.0001"
CASES = {
    "fp32, files, plateau": (
        *("data.cache=none", "plateau.patience=1", "training.precision=fp32"),
        *("training.epochs=6",),
    ),
    "fp32, device, one-cycle, norm": (
        *("data.cache=device", "training.schedule=one-cycle", "training.precision=fp32"),
        *("net.norm=batch", "plateau.monitor=accuracy", "training.epochs=6"),
    ),
    "bf16, device, cosine": (
        *("data.cache=device", "training.schedule=cosine", "training.precision=bf16"),
        *("training.label_smoothing=0.1", "training.epochs=6"),
    ),
    "fp32, shards as a stream": (
        *("data.stream=true", "data.workers=2", "data.shuffle_buffer=5"),
        *("training.schedule=cosine", "training.precision=fp32", "training.epochs=4"),
    ),
}
"""All with dropout, crops, mirror images and colour shift; half of the batches accumulated."""


@pytest.fixture(autouse=True, scope="module")
def one_thread() -> Iterator[None]:
    """Let processes of their own compute with one thread, as this one does."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("OMP_NUM_THREADS", "1")
        yield


def arguments(data: Path, out: Path, *settings: str, resume: bool = False) -> list[str]:
    chosen = flags(*settings, AT_EVERY_STEP)
    return ["train", str(data), "--out", str(out), *chosen, *(["--resume"] if resume else [])]


def start(data: Path, out: Path, *settings: str, resume: bool = False) -> BaseProcess:
    """Start the program in a process of its own; its stderr goes to ``out.err``."""
    words = arguments(data, out, *settings, resume=resume)
    return apart(be_the_program, words, out.with_suffix(".err"))


def run_here(data: Path, out: Path, *settings: str, resume: bool = False) -> None:
    """Run the program in this process, to the end."""
    assert run_program(arguments(data, out, *settings, resume=resume)) == 0


def finish(process: BaseProcess, out: Path) -> str:
    """Wait for a process to end well; return what it said."""
    process.join(120)
    said = out.with_suffix(".err").read_text()
    assert process.exitcode == 0, said
    return said


def without_times(value: Any) -> Any:
    if isinstance(value, dict):
        return {key: without_times(inner) for key, inner in value.items() if key not in TIMES}
    return [without_times(inner) for inner in value] if isinstance(value, list) else value


def result(run: Path) -> dict[str, Any]:
    """Return all that two equal runs have in common, bit for bit."""
    checkpoint = torch.load(run / "checkpoints" / "last.pt", weights_only=True)
    checkpoint["position"] = without_times(checkpoint["position"])
    tensors = {
        "net": checkpoint.pop("net"),
        "momentum": {
            str(number): state["momentum_buffer"]
            for number, state in checkpoint["optimizer"].pop("state").items()
        },
        "random": {"cpu": checkpoint.pop("random")["cpu"]},
    }
    return {
        "weights": (run / "model" / "model.safetensors").read_bytes(),
        "log": [
            without_times(strict_json(line))
            for line in (run / "log.jsonl").read_text().splitlines()
        ],
        "metrics": without_times(strict_json((run / "metrics.json").read_text())),
        "config": without_times(strict_json((run / "model" / "config.json").read_text())),
        "data": strict_json((run / "data.json").read_text()),
        "recipe": (run / "recipe.yaml").read_text(),
        "checkpoint": checkpoint,
        "tensors": {
            f"{group}.{name}": tensor.numpy().tobytes()
            for group, named in tensors.items()
            for name, tensor in named.items()
        },
    }


def assert_same(run: Path, other: Path) -> None:
    ours, theirs = result(run), result(other)
    assert ours["log"] == theirs["log"]
    for key, value in theirs.items():
        assert ours[key] == value, key


def assert_whole(run: Path) -> None:
    """Check that every file with a name of its own is whole; others are hidden and temporary."""
    if not run.is_dir():
        return
    for path in run.rglob("*"):
        if path.name.startswith(".") or path.is_dir():
            continue
        match path.suffix:
            case ".json":
                strict_json(path.read_text("utf-8"))
            case ".jsonl":
                assert all(strict_json(line) for line in path.read_text("utf-8").splitlines())
            case ".pt":
                torch.load(path, weights_only=True)
            case ".yaml":
                assert path.read_text("utf-8").endswith("transfer: null\n")
            case ".html":
                assert path.read_text("utf-8").rstrip().endswith("</html>")
            case ".safetensors":
                length = int.from_bytes(path.read_bytes()[:8], "little")
                header = json.loads(path.read_bytes()[8 : 8 + length])
                end = max(entry["data_offsets"][1] for entry in header.values() if "shape" in entry)
                assert path.stat().st_size == 8 + length + end


@pytest.fixture(scope="module")
def data(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return write_splits(tmp_path_factory.mktemp("resume") / "data", train=12, val=4, test=4)


def changed(file: Path) -> Callable[[], bool]:
    """Return a function that says whether a file is another one than now."""

    def stamp() -> tuple[int, int] | None:
        try:
            status = file.stat()
        except FileNotFoundError:
            return None
        return status.st_ino, status.st_mtime_ns

    before = stamp()
    return lambda: stamp() != before


def wait(until: Callable[[], bool], process: BaseProcess | subprocess.Popen[Any]) -> None:
    """Wait until something holds or the process has ended."""
    ended = process.is_alive if isinstance(process, BaseProcess) else lambda: process.poll() is None
    deadline = time.monotonic() + 120
    while not until() and ended():
        assert time.monotonic() < deadline
        time.sleep(0.002)


@pytest.mark.slow
@pytest.mark.parametrize(
    "case", [pytest.param(case, marks=[BF16] if "bf16" in case else []) for case in CASES]
)
def test_a_run_that_is_killed_again_and_again_ends_the_same(
    case: str, data: Path, tmp_path: Path
) -> None:
    settings = CASES[case]
    if "shards" in case:
        write_shards(read_dataset(data), tmp_path / "shards", samples=7)
        data = tmp_path / "shards"
    whole, run = tmp_path / "whole", tmp_path / "run"
    run_here(data, whole, *settings)
    chance = random.Random(case)
    kills = 0
    while not (run / "metrics.json").exists():
        process = start(data, run, *settings, resume=(run / "recipe.yaml").exists())
        if kills < 6:
            # The first falls before there is a checkpoint, the others after a new one or more.
            if kills == 0:
                wait((run / "recipe.yaml").exists, process)
            for _ in range(min(kills, chance.randint(1, 3))):
                wait(changed(run / "checkpoints" / "last.pt"), process)
            time.sleep(chance.uniform(0, 0.02))
            process.kill()
            process.join()
            kills += process.exitcode == -signal.SIGKILL
            assert_whole(run)
        else:
            finish(process, run)
    assert kills >= 3
    assert_same(run, whole)


# ---- a power cut between any two writes, or within one ----


class PowerCut(BaseException):
    """Ends a run at once, with no chance to tidy up."""


def cut(
    data: Path, out: Path, *settings: str, writes: int, leave: bytes = b"", resume: bool = False
) -> bool:
    """Run the program until it is about to put its n-th file in place; return whether it was."""
    left = [writes]
    replace, unlink = Path.replace, Path.unlink

    def replace_or_end(self: Path, target: Path) -> Path:
        if left[0] == 0:
            self.write_bytes(leave)
            raise PowerCut
        left[0] -= 1
        return replace(self, target)

    def unlink_or_not(self: Path, missing_ok: bool = False) -> None:
        if left[0] or not leave:
            unlink(self, missing_ok=missing_ok)

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(Path, "replace", replace_or_end)
        patch.setattr(Path, "unlink", unlink_or_not)
        try:
            run_here(data, out, *settings, resume=resume)
        except PowerCut:
            return True
    return False


TWO_EPOCHS = (
    *("training.epochs=2", "training.batch=18", "training.micro_batch=12"),
    *("net.norm=batch", "training.precision=fp32"),
)


@pytest.fixture(scope="module")
def whole(data: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A run of two epochs that nothing stopped; not to be changed."""
    out = tmp_path_factory.mktemp("whole") / "run"
    run_here(data, out, *TWO_EPOCHS)
    return out


@pytest.mark.slow
def test_a_cut_between_any_two_writes_loses_nothing(
    data: Path, whole: Path, tmp_path: Path
) -> None:
    for writes in range(3, 40):  # the first three are the beginning of a run, below
        run = tmp_path / str(writes)
        if not cut(data, run, *TWO_EPOCHS, writes=writes, leave=b"half"):
            break
        assert_whole(run)
        assert [path for path in run.rglob(".*") if path.read_bytes() == b"half"]
        run_here(data, run, *TWO_EPOCHS, resume=True)
        assert_same(run, whole)
    assert writes > 15


@pytest.mark.parametrize("writes", [0, 1, 2])
def test_a_run_that_had_hardly_begun_can_be_begun_again(
    writes: int, data: Path, tmp_path: Path
) -> None:
    run = tmp_path / "run"
    assert cut(data, run, *TWO_EPOCHS, writes=writes)
    codes = [
        run_program(arguments(data, run, *TWO_EPOCHS, resume=resume)) for resume in (True, False)
    ]
    assert 0 in codes


def test_what_cut_writes_leave_is_cleared_away(data: Path, tmp_path: Path) -> None:
    run = tmp_path / "run"
    assert cut(data, run, *TWO_EPOCHS, writes=4, leave=b"with net D a gigabyte")
    assert [path for path in run.rglob(".*") if path.is_file()]
    run_here(data, run, *TWO_EPOCHS, resume=True)
    assert not [path for path in run.rglob(".*") if path.is_file()]


@pytest.mark.parametrize("name", ["relative", "a: b"])
def test_a_broken_picture_is_left_out_after_resumption_too(
    name: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    data = write_splits(tmp_path / name, train=12, val=2, test=2)
    (data / "train" / "red" / "05.png").write_bytes(b"")
    given = Path(name) if name == "relative" else data
    settings = (*TWO_EPOCHS, "data.unreadable_limit=0.1")
    whole, run = tmp_path / "whole", tmp_path / "run"
    run_here(given, whole, *settings)
    assert cut(given, run, *settings, writes=5)
    run_here(given, run, *settings, resume=True)
    assert result(run)["metrics"]["unreadable_in_training"] == []
    assert_same(run, whole)


def test_a_cached_picture_that_broke_since_is_noticed(tmp_path: Path) -> None:
    """Without it every later image would have another number, and so another crop."""
    mine = write_splits(tmp_path / "data", train=12, val=2, test=2)
    run, settings = tmp_path / "run", (*TWO_EPOCHS, "data.cache=device")
    settings = (*settings, "data.unreadable_limit=0.1")
    assert cut(mine, run, *settings, writes=5)
    (mine / "train" / "blue" / "05.png").write_bytes(b"")
    assert run_program(arguments(mine, run, *settings, resume=True)) == 2


# ---- the program as people start and stop it ----


def popen(data: Path, out: Path, *settings: str, resume: bool = False) -> subprocess.Popen[str]:
    return subprocess.Popen(
        [sys.executable, "-m", "verydeep", *arguments(data, out, *settings, resume=resume)],
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    )


def assert_stopped(code: int | None, err: str, run: Path, number: signal.Signals) -> None:
    assert code == 130, err
    last = err.splitlines()[-1]
    for part in (number.name, str(run / "checkpoints"), "--resume"):
        assert part in last
    assert "Traceback" not in err
    assert_whole(run)


@pytest.mark.slow
def test_the_program_stops_when_asked_says_how_to_go_on_and_does(
    data: Path, tmp_path: Path
) -> None:
    settings = ("training.epochs=30", "training.precision=fp32", "net.norm=batch")
    whole, run = tmp_path / "whole", tmp_path / "run"
    run_here(data, whole, *settings)
    killed = popen(data, run, *settings)
    wait((run / "checkpoints" / "last.pt").exists, killed)
    killed.kill()
    killed.communicate()
    assert killed.returncode == -signal.SIGKILL

    interrupted = popen(data, run, *settings, resume=True)
    wait(changed(run / "checkpoints" / "last.pt"), interrupted)
    interrupted.send_signal(signal.SIGINT)
    out, err = interrupted.communicate(timeout=60)
    assert_stopped(interrupted.returncode, err, run, signal.SIGINT)
    assert "resuming after" in err
    assert out == ""

    terminated = start(data, run, *settings, resume=True)
    wait(changed(run / "checkpoints" / "last.pt"), terminated)
    terminated.terminate()
    terminated.join(60)
    err = run.with_suffix(".err").read_text()
    assert_stopped(terminated.exitcode, err, run, signal.SIGTERM)

    finish(start(data, run, *settings, resume=True), run)
    assert_same(run, whole)


def be_the_leader(arguments: list[str], errors: Path) -> None:
    """Be the program in a group of its own, of which the decoding processes will be members."""
    os.setpgrp()
    be_the_program(arguments, errors)


@pytest.mark.slow
@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
def test_the_whole_group_can_be_asked(number: signal.Signals, data: Path, tmp_path: Path) -> None:
    """Ctrl-C and a batch system's stop reach the decoding processes, too."""
    run = tmp_path / "run"
    settings = ("data.workers=2", "training.epochs=200", "training.precision=fp32")
    words, errors = arguments(data, run, *settings), run.with_suffix(".err")
    process = apart(be_the_leader, words, errors)
    wait(changed(run / "checkpoints" / "last.pt"), process)
    assert process.pid
    os.killpg(process.pid, number)
    process.join(60)
    assert_stopped(process.exitcode, errors.read_text(), run, number)
    assert not [path for path in run.rglob(".*") if path.is_file()]


def be_stopped_while_testing(arguments: list[str], errors: Path, number: signal.Signals) -> None:
    """Be the program, and get a signal when training is over and the final test begins."""
    from verydeep.run.training.tasks.classification import ClassificationTask

    def tests(*arguments: object) -> None:
        os.kill(os.getpid(), number)
        time.sleep(10)

    ClassificationTask.tests = tests  # type: ignore[assignment, method-assign]
    be_the_program(arguments, errors)


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
def test_a_stop_in_the_final_test_says_how_to_go_on_and_loses_nothing(
    number: signal.Signals, data: Path, whole: Path, tmp_path: Path
) -> None:
    run = tmp_path / "run"
    words, errors = arguments(data, run, *TWO_EPOCHS), run.with_suffix(".err")
    process = apart(be_stopped_while_testing, words, errors, number)
    process.join(60)
    assert process.exitcode == 130
    assert "--resume" in errors.read_text()
    assert not (run / "metrics.json").exists()
    run_here(data, run, *TWO_EPOCHS, resume=True)
    assert_same(run, whole)
