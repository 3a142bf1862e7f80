"""Whole runs in several processes against the same runs in one.

Processes are real, as torchrun starts them, and exchange their numbers by gloo.
"""

from __future__ import annotations

import os
import signal
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
import torch
from groups import Members, members, run_together
from safetensors.torch import load_file
from tiny import flags, recipe, run_program, write_boxed, write_splits
from torch import Tensor
from whole_runs import log, metrics

from verydeep.data.read import read_dataset
from verydeep.data.shards.write import write_shards
from verydeep.errors import InputError
from verydeep.models.classifier import Classifier
from verydeep.models.preprocessing import Preprocessing
from verydeep.nets.initialize import initialize
from verydeep.nets.registry import build
from verydeep.run.training import one_net
from verydeep.system.group.distributed import Group
from verydeep.training.run_folder import RunFolder

TIMES = ("seconds", "images_per_second", "training_seconds")

EXACT = ("net.dropout=0", "training.precision=fp32", "training.learning_rate=0.005")
"""Without dropout, whose random numbers depend on the number of processes."""

CASES = {
    "uneven, accumulated": ("training.batch=7", "training.micro_batch=2"),
    "norm, accumulated": ("net.norm=batch", "training.batch=9", "training.micro_batch=4"),
    "norm, some with nothing": ("net.norm=batch", "training.batch=2", "training.micro_batch=2"),
    "weights, smoothing": (
        *("data.balance=weights", "training.label_smoothing=0.1"),
        *("training.batch=5", "training.micro_batch=5", "plateau.patience=1"),
    ),
    "cached": ("data.cache=ram", "training.batch=7"),
    "boxes": ("localization.fine_tune=all", "training.batch=7"),
    "boxes, features frozen": (
        *("localization.fine_tune=fc", "net.norm=batch", "training.batch=7"),
        *("training.micro_batch=2", "initialize.source=RUN"),
    ),
    "stream": (
        *("data.stream=true", "data.workers=2", "data.shuffle_buffer=5"),
        *("training.batch=7", "training.micro_batch=3"),
    ),
    "stream, one reader, norm": (
        *("data.stream=true", "data.workers=0", "data.shuffle_buffer=5"),
        *("net.norm=batch", "training.batch=7", "training.micro_batch=3"),
    ),
}


@pytest.fixture(autouse=True, scope="module")
def one_thread() -> Iterator[None]:
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("OMP_NUM_THREADS", "1")
        yield


@pytest.fixture(scope="module")
def data(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Three classes with 19 training images in all."""
    root = write_splits(tmp_path_factory.mktemp("many") / "data", train=7, val=4, test=3)
    for name in ("red/06.png", "green/06.png"):
        (root / "train" / name).unlink()
    return root


@pytest.fixture(scope="module")
def shards(data: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    out = tmp_path_factory.mktemp("many") / "shards"
    write_shards(read_dataset(data), out, samples=4)
    return out


@pytest.fixture(scope="module")
def boxes(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return write_boxed(tmp_path_factory.mktemp("many") / "boxed", count=19)


def words(data: Path, out: Path, *settings: str, resume: bool = False) -> list[str]:
    chosen = flags(*EXACT, *settings)
    return ["train", str(data), "--out", str(out), *chosen, *(["--resume"] if resume else [])]


def parameters(run: Path) -> Tensor:
    state = load_file(run / "model" / "model.safetensors")
    return torch.cat([state[name].double().flatten() for name in sorted(state)])


def without_times(row: dict[str, Any]) -> dict[str, Any]:
    return {key: value for key, value in row.items() if key not in TIMES}


def assert_equal_runs(ours: Path, theirs: Path, tolerance: float = 1e-4) -> None:
    """Check that two runs are the same up to rounding."""
    moved = (parameters(ours) - parameters(theirs)).norm() / parameters(theirs).norm()
    assert moved < tolerance
    rows, other_rows = log(ours), log(theirs)
    assert len(rows) == len(other_rows)
    for row, other in zip(rows, other_rows, strict=True):
        assert without_times(row) == pytest.approx(
            without_times(other), rel=20 * tolerance, abs=1e-4
        )
    ours_end, theirs_end = metrics(ours), metrics(theirs)
    for key in ("epochs", "drops", "stopped_because", "images", "unreadable_in_training"):
        assert ours_end[key] == theirs_end[key]


@pytest.mark.slow
@pytest.mark.parametrize("case", CASES)
def test_any_number_of_processes_trains_the_same_net(
    case: str, data: Path, shards: Path, boxes: Path, trained_run: Path, tmp_path: Path
) -> None:
    given = shards if "stream" in case else boxes if "boxes" in case else data
    settings = [setting.replace("RUN", str(trained_run)) for setting in CASES[case]]
    alone = tmp_path / "1"
    assert run_program(words(given, alone, *settings)) == 0
    for size in (2, 3):
        out = tmp_path / str(size)
        first, *others = run_together(words(given, out, *settings), size, out)
        assert_equal_runs(out, alone)
        assert f"in each of {size} processes" in first.err
        assert "epoch 3:" in first.err
        assert [one.err for one in others] == [""] * (size - 1)


TRANSFER = (
    *EXACT,
    *("net.input_size=32", "training.batch=7", "training.epochs=3", "training.device=cpu"),
    *("transfer.views=2", "data.workers=0", "transfer.folds=3"),
)


@pytest.mark.slow
@pytest.mark.parametrize("wish", ["always", "auto", "never"])
def test_a_transfer_is_the_same_in_any_number_of_processes(
    wish: str, data: Path, tmp_path: Path
) -> None:
    torch.manual_seed(0)
    net = build("A", 0, width=0.125, input_size=64, hidden=0)
    initialize(net)
    source = tmp_path / "source"
    Classifier(net.eval(), (), Preprocessing((120.0,) * 3, 1.0), (64, 64), (64,)).save(source)
    chosen = (*TRANSFER, f"transfer.fine_tune={wish}", f"initialize.source={source}")
    settings = [part for setting in chosen for part in ("--set", setting)]
    alone = tmp_path / "1"
    assert (
        run_program(["train", str(data), "--out", str(alone), "--recipe", "transfer", *settings])
        == 0
    )
    for size in (2, 3):
        out = tmp_path / str(size)
        run_together(
            ["train", str(data), "--out", str(out), "--recipe", "transfer", *settings], size, out
        )
        assert_equal_runs(out, alone)
        assert not (out / "maps").exists()
        assert metrics(out)["kept_epoch"] == metrics(alone)["kept_epoch"]


@pytest.mark.slow
def test_a_chain_of_nets_is_trained_together(data: Path, tmp_path: Path) -> None:
    settings = ("net.name=B", "initialize.stages=[A]", "training.epochs=1", "training.batch=7")
    alone, out = tmp_path / "1", tmp_path / "2"
    assert run_program(words(data, alone, *settings)) == 0
    run_together(words(data, out, *settings), 2, out)
    assert_equal_runs(out / "stages" / "A", alone / "stages" / "A")
    assert_equal_runs(out, alone)
    run_together(words(data, out, *settings, resume=True), 2, out)  # is finished already


# ---- stops, kills and other numbers of processes ----

WITH_DROPOUT = ("net.dropout=0.5", "net.norm=batch", "training.batch=6", "training.micro_batch=4")


def wait_until(holds: Callable[[], bool], started: Members) -> None:
    deadline = time.monotonic() + 120
    while not holds():
        assert time.monotonic() < deadline
        assert all(process.is_alive() for process in started.processes), [
            file.read_text() for file in started.files if file.exists()
        ]
        time.sleep(0.01)


def stop_at_an_epoch(arguments: list[str], size: int, out: Path, rank: int) -> list[str]:
    """Run until an epoch has ended and stop one of the ranks; return what each has said."""
    rows = len(log(out)) if (out / "log.jsonl").exists() else 0
    with members(arguments, size, out) as started:
        wait_until(
            lambda: (out / "log.jsonl").exists() and len(log(out)) > rows,
            started,
        )
        os.kill(started.processes[rank].pid or 0, signal.SIGTERM)
        ended = started.wait()
    assert [one.code for one in ended] == [130] * size, ended
    return [one.err for one in ended]


@pytest.mark.slow
def test_a_stop_of_any_rank_saves_and_goes_on_bit_for_bit(data: Path, tmp_path: Path) -> None:
    settings = (*WITH_DROPOUT, "training.epochs=25")
    whole, out = tmp_path / "whole", tmp_path / "run"
    run_together(words(data, whole, *settings), 2, whole)
    said = stop_at_an_epoch(words(data, out, *settings), 2, out, rank=1)
    assert "stopped by SIGTERM" in said[0]
    assert "--resume" in said[0]
    assert said[1] == ""
    assert not (out / "metrics.json").exists()
    run_together(words(data, out, *settings, resume=True), 2, out)
    assert torch.equal(parameters(out), parameters(whole))
    assert [*map(without_times, log(out))] == [*map(without_times, log(whole))]


@pytest.mark.slow
def test_a_run_goes_on_with_another_number_of_processes(data: Path, tmp_path: Path) -> None:
    settings = ("net.norm=batch", "training.batch=7")
    alone, out = tmp_path / "1", tmp_path / "run"
    assert run_program(words(data, alone, *settings, "training.epochs=6")) == 0
    run_together(words(data, out, *settings, "training.epochs=2"), 2, out)
    run_together(words(data, out, "training.epochs=4", resume=True), 1, out)
    run_together(words(data, out, "training.epochs=6", resume=True), 3, out)
    assert_equal_runs(out, alone, tolerance=1e-3)


@pytest.mark.slow
def test_dropout_goes_on_with_another_number_of_processes(data: Path, tmp_path: Path) -> None:
    settings, out = (*WITH_DROPOUT, "training.epochs=20"), tmp_path / "run"
    stop_at_an_epoch(words(data, out, *settings), 1, out, rank=0)
    run_together(words(data, out, *settings, resume=True), 3, out)
    assert len(log(out)) == 20


@pytest.mark.slow
@pytest.mark.parametrize("killed", [0, 1, 2])
def test_when_a_rank_is_killed_the_others_end_soon_and_the_run_goes_on(
    killed: int, data: Path, tmp_path: Path
) -> None:
    settings, out = ("data.workers=1", "training.epochs=500"), tmp_path / "run"
    with members(words(data, out, *settings), 3, out) as started:
        wait_until((out / "log.jsonl").exists, started)
        started.processes[killed].kill()
        ended = started.wait(40)
    assert ended.pop(killed).code == -signal.SIGKILL
    assert all(one.seconds < 30 for one in ended)
    assert [one.code for one in ended] == [1, 1]
    last = ended[0].err.splitlines()[-1]
    assert f"rank {killed} of 3 processes has ended" in last
    assert "--resume" in last
    assert "Traceback" not in ended[0].err + ended[1].err
    assert ended[1].err == ""
    done = len(log(out))
    more = words(data, out, "training.epochs=500", "data.workers=1", resume=True)
    stop_at_an_epoch(more, 2, out, rank=0)
    assert len(log(out)) > done


# ---- refusals ----


def test_a_machine_that_does_not_see_the_run_folder_says_so(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(one_net, "LATE", 0.0)
    with pytest.raises(InputError, match=r"rank 1 does not see the run .* must share the file"):
        one_net._joined_recipe(recipe(), RunFolder(tmp_path), Group(1, 2))


@pytest.mark.slow
def test_what_cannot_be_trained_is_said_once(data: Path, tmp_path: Path) -> None:
    out = tmp_path / "run"
    for arguments, message in (
        (words(data, out, "net.name=Z"), "net.name"),
        (words(tmp_path / "nowhere", out), "nowhere"),
        (["demo", "--out", str(out)], "one process"),
    ):
        with members(arguments, 2, out) as started:
            first, second = started.wait()
        assert (first.code, second.code) == (2, 2)
        assert message in first.err
        assert second.err == ""
