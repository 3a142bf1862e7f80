"""Two programs and one run folder: the second is told who is there, and nothing gets mixed."""

from __future__ import annotations

import json
import shutil
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from multiprocessing.process import BaseProcess
from pathlib import Path

import pytest
from tiny import Outcome, apart, be_the_program, flags, strict_json, write_splits

from verydeep.data.read import read_dataset
from verydeep.data.shards.write import write_shards
from verydeep.errors import FolderInUse
from verydeep.run.report import report
from verydeep.run.training.train import train
from verydeep.system.locks import NAME

pytestmark = pytest.mark.slow  # many whole runs, or drawings

Program = Callable[..., Outcome]

LONG = flags("training.epochs=100000", "data.cache=none", "plateau.patience=100000")


@pytest.fixture(scope="module")
def data(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return write_splits(tmp_path_factory.mktemp("two") / "data", train=4, val=2, test=2)


@contextmanager
def training(data: Path, run: Path, *words: str, part: str = ".") -> Iterator[BaseProcess]:
    """A process that trains for ever, behind the first epoch of a part of the run."""
    errors = run.with_suffix(".err")
    process = apart(be_the_program, ["train", str(data), "--out", str(run), *LONG, *words], errors)
    try:
        deadline = time.monotonic() + 60
        while not (run / part / "log.jsonl").exists():
            assert process.is_alive(), errors.read_text()
            assert time.monotonic() < deadline
            time.sleep(0.01)
        yield process
    finally:
        process.kill()
        process.join()


def test_a_run_that_is_under_way_is_left_alone(
    data: Path, tmp_path: Path, verydeep: Program
) -> None:
    run = tmp_path / "run"
    with training(data, run) as first:
        for words in ([], ["--resume"]):
            second = verydeep("train", data, "--out", run, *LONG, *words)
            assert second.code == 2
            assert f"process {first.pid} on this machine" in second.err
            assert "Traceback" not in second.err
        # To look at its curves disturbs nobody.
        assert verydeep("report", run).code == 0
        calibrated = verydeep("evaluate", run, "--calibrate", "val")
        assert (calibrated.code, str(first.pid) in calibrated.err) == (2, True)
        assert first.is_alive()
    # What it left when it was killed is no obstacle, and its temporaries go.
    (run / "checkpoints" / ".last.pt.abc.tmp").write_bytes(b"half")
    assert (run / NAME).exists()
    short = flags("training.epochs=1", "data.cache=none")
    (run / "recipe.yaml").write_text(
        (run / "recipe.yaml").read_text().replace("epochs: 100000", "epochs: 1")
    )
    assert verydeep("train", data, "--out", run, *short, "--resume").code == 0
    assert strict_json((run / "metrics.json").read_text())["images"] == 6
    assert not [path for path in run.rglob(".*") if path.is_file()]


def test_of_two_that_start_at_once_one_wins(data: Path, tmp_path: Path) -> None:
    run, words = tmp_path / "run", flags("training.epochs=30")
    both = [
        apart(
            be_the_program,
            ["train", str(data), "--out", str(run), *words, "--seed", str(seed), "--json"],
            tmp_path / f"{seed}.err",
        )
        for seed in (1, 2)
    ]
    for process in both:
        process.join(120)
    assert sorted(process.exitcode or 0 for process in both) == [0, 2]
    winner = next(seed for seed, process in enumerate(both, 1) if process.exitcode == 0)
    assert f"seed: {winner}\n" in (run / "recipe.yaml").read_text()
    said = (tmp_path / f"{3 - winner}.err").read_text()
    assert f"process {both[winner - 1].pid}" in said or "already contains a run" in said


def test_a_stage_of_a_chain_that_is_under_way_is_left_alone(
    data: Path, tmp_path: Path, verydeep: Program
) -> None:
    run, chain = tmp_path / "run", ("--net", "B", "--set", "initialize.stages=[A]")
    with training(data, run, *chain, part="stages/A") as first:
        outcome = verydeep("train", data, "--out", run / "stages" / "A", *LONG, "--resume")
        assert (outcome.code, str(first.pid) in outcome.err) == (2, True)


def test_temporaries_of_a_run_below_are_not_touched(data: Path, tmp_path: Path) -> None:
    run = tmp_path / "run"
    below = run / "localization"
    below.mkdir(parents=True)
    (below / ".model.tmp").write_bytes(b"under way")
    (run / "recipe.yaml").write_text("net: {name: A}\n")
    (run / "metrics.json").write_text("{}")
    (run / "report.html").touch()
    train(data, "paper", run, resume=True)
    assert (below / ".model.tmp").exists()


@pytest.mark.slow
def test_files_of_tests_and_shards_are_not_mixed(
    data: Path, tmp_path: Path, trained_run: Path, verydeep: Program
) -> None:
    with training(data, tmp_path / "run") as first:
        for words in (
            ["evaluate", trained_run, "--out", tmp_path / "run"],
            ["shard", data, tmp_path / "run"],
            ["figures", "--only", "soft-max", "--out", tmp_path / "run"],
            ["check", data, "--out", tmp_path / "run"],
        ):
            outcome = verydeep(*words)
            assert (outcome.code, str(first.pid) in outcome.err) == (2, True), words


def test_shards_may_go_where_a_killed_process_had_begun(data: Path, tmp_path: Path) -> None:
    (tmp_path / "shards").mkdir()
    (tmp_path / "shards" / NAME).write_text(json.dumps({"pid": 1}))
    write_shards(read_dataset(data), tmp_path / "shards")
    assert not (tmp_path / "shards" / NAME).exists()


@pytest.fixture
def own(trained_run: Path, tmp_path: Path) -> Path:
    """A finished run to write to."""
    return Path(shutil.copytree(trained_run, tmp_path / "own"))


def test_a_report_that_is_written_is_waited_for(own: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A resumption must not take the page under way for what a killed write has left."""
    seen: list[bool] = []

    def write(run: Path, find: object) -> Path:
        holder = json.loads((own / NAME).read_text())
        seen.append(holder["brief"])
        return own / "report.html"

    monkeypatch.setattr("verydeep.run.report.write_report", write)
    report(own)
    assert seen == [True]


def test_a_page_is_written_again_if_the_run_went_on_meanwhile(
    own: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    written: list[int] = []

    def write(run: Path, find: object) -> Path:
        written.append(len(written))
        if len(written) == 2:
            metrics = own / "metrics.json"
            metrics.write_bytes(metrics.read_bytes())
        return own / "report.html"

    def refuse(*_: object, **__: object) -> None:
        raise FolderInUse("somebody")

    monkeypatch.setattr("verydeep.run.report.write_report", write)
    monkeypatch.setattr("verydeep.run.report.hold", refuse)
    report(own)
    assert len(written) == 1
    report(own)
    assert len(written) == 3
