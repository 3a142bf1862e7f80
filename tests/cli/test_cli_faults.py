"""Faults of the machine end every verb with one message that says what helps, and leave nothing."""

from __future__ import annotations

import contextlib
import errno
import os
import re
import resource
import shutil
import signal
import sys
import time
from collections.abc import Callable
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest
import torch
import typer
import yaml
from tiny import Outcome, apart, be_the_program, flags

from verydeep.cli.app import app
from verydeep.cli.faults import fault_of
from verydeep.data.pipeline import workers as loading
from verydeep.data.read import read_dataset
from verydeep.data.shards.write import write_shards
from verydeep.errors import DiskError, InputError, WorkerError
from verydeep.system.files import write_error

Program = Callable[..., Outcome]
WORKERS = ("--workers", 2)
VERBS: dict[str, Callable[[Path, Path, Path], list[object]]] = {
    "train": lambda data, run, out: [
        *("train", data, "--out", out / "run", *flags("data.workers=2", "data.cache=none")),
    ],
    "check": lambda data, run, out: ["check", data, *WORKERS],
    "shard": lambda data, run, out: ["shard", data, out / "shards", *WORKERS],
    "features": lambda data, run, out: [
        *("features", run, data, "--out", out / "f.npz", *WORKERS),
    ],
    "evaluate": lambda data, run, out: ["evaluate", run, "--out", out / "test", *WORKERS],
    "calibrate": lambda data, run, out: ["evaluate", run, "--calibrate", "val", *WORKERS],
    "predict": lambda data, run, out: ["predict", run, data],
}


def one_message(outcome: Outcome, code: int) -> str:
    """Return the last line of stderr of a program that ended with one message."""
    assert outcome.code == code, outcome.err
    assert "Traceback" not in outcome.err
    told = [line for line in outcome.err.splitlines() if line.startswith("verydeep: ")]
    assert len(told) == 1
    assert outcome.err.splitlines()[-1] == told[0]
    return told[0]


@pytest.mark.parametrize(
    "arguments",
    [
        ["train", "~nobody-here/pets"],
        ["check", "~nobody-here/pets"],
        ["evaluate", "~nobody-here/run"],
        ["predict", "~nobody-here/run", "picture.png"],
        ["explain", "~nobody-here/run", "picture.png", "--out", "maps"],
        ["report", "~nobody-here/run"],
        ["runs", "~nobody-here"],
        ["export", "~nobody-here/run", "--out", "net.onnx"],
        ["import", "~nobody-here/vgg16.pth", "--out", "vgg16"],
        ["serve", "~nobody-here/run"],
        ["reproduce", "~nobody-here/pets", "--out", "study", "--plan"],
    ],
    ids=lambda arguments: arguments[0],
)
def test_a_home_folder_of_nobody_is_a_missing_one(
    arguments: list[str], tmp_path: Path, verydeep: Program, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    outcome = verydeep(*arguments)
    assert outcome.code == 2
    assert "Traceback" not in outcome.err
    assert "~nobody-here" in outcome.err
    assert "no such f" in outcome.err
    assert not list(tmp_path.iterdir())


# ---- killed workers ----


@pytest.mark.parametrize("verb", VERBS)
@pytest.mark.parametrize("at", [1, 2])
def test_a_killed_worker_ends_every_verb(
    verb: str,
    at: int,
    pictures: Path,
    trained_run: Path,
    tmp_path: Path,
    verydeep: Program,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """The system kills a reading process that has handed over some of its values."""
    run = shutil.copytree(trained_run, tmp_path / "trained")
    sent: list[Any] = []

    def killed(*arguments: Any, **options: Any) -> None:
        sent.append(arguments)
        if len(sent) == at:
            os.kill(os.getpid(), signal.SIGKILL)
        original(*arguments, **options)

    original = loading.Workers.__init__.__globals__["send"]
    monkeypatch.setattr("verydeep.system.workers.pool.send", killed)
    monkeypatch.setattr(loading, "WORTH_A_PROCESS", 1)
    monkeypatch.setattr(loading, "usable_cores", lambda: 2)
    said = one_message(verydeep(*VERBS[verb](pictures, run, tmp_path / "out")), 1)
    assert "SIGKILL" in said
    remedy = {"train": "data.workers=0", "predict": "fewer"}.get(verb, "--workers 0")
    assert remedy in said
    if verb == "train":
        assert "go on with the same command" in said
    assert not list((tmp_path / "out").rglob("*.npz"))
    assert not list((tmp_path / "out").rglob("*.tar"))


def test_the_remedy_for_killed_workers_names_options_that_the_verb_has() -> None:
    commands = typer.main.get_command(app).commands  # type: ignore[attr-defined]
    for verb, command in commands.items():
        said = fault_of(WorkerError("a reading process was killed"), [verb]).message
        options = {flag for one in command.params for flag in one.opts}
        assert {*re.findall(r"--[a-z-]+", said)} <= options, (verb, said)
        assert ("--workers" in said) == ("--workers" in options), (verb, said)
    assert {"report", "bulk", "export", "evaluate", "serve"} <= {*commands}


def test_a_killed_worker_of_a_stream_ends_the_training(
    pictures: Path, tmp_path: Path, verydeep: Program, monkeypatch: pytest.MonkeyPatch
) -> None:
    shards = write_shards(read_dataset(pictures), tmp_path / "shards").folder
    monkeypatch.setattr(
        "verydeep.system.workers.pool.send", lambda *_, **__: os.kill(os.getpid(), signal.SIGKILL)
    )
    settings = flags("data.workers=2", "data.stream=true")
    said = one_message(verydeep("train", shards, "--out", tmp_path / "run", *settings), 1)
    assert "SIGKILL" in said


def test_fewer_workers_may_go_on_with_a_run(
    pictures: Path, tmp_path: Path, verydeep: Program, monkeypatch: pytest.MonkeyPatch
) -> None:
    """What the message advises is heeded, though a resumed run keeps its recipe."""
    settings = flags("data.workers=2", "data.cache=none")
    with monkeypatch.context() as patch:
        patch.setattr(
            "verydeep.data.pipeline.batches.read_batches",
            lambda *_: (_ for _ in ()).throw(WorkerError("killed")),
        )
        one_message(verydeep("train", pictures, "--out", tmp_path / "run", *settings), 1)
    started: list[int] = []
    monkeypatch.setattr("verydeep.data.pipeline.batches.Workers", lambda *_: started.append(1))
    again = ["--resume", "--set", "data.workers=0"]
    assert verydeep("train", pictures, "--out", tmp_path / "run", *again).code == 0
    assert not started


# ---- too many workers ----


@pytest.mark.parametrize("verb", ["check", "features", "evaluate", "shard", "train"])
def test_a_hundred_thousand_workers_are_not_started(
    verb: str,
    pictures: Path,
    trained_run: Path,
    tmp_path: Path,
    verydeep: Program,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    counts: list[int] = []

    class Counted(loading.Workers):
        def __init__(self, source: Any, count: int) -> None:
            counts.append(count)
            super().__init__(source, count)

    monkeypatch.setattr(loading, "Workers", Counted)
    monkeypatch.setattr("verydeep.data.pipeline.batches.Workers", Counted)
    monkeypatch.setattr(loading, "usable_cores", lambda: 1)
    words = [
        {2: 100_000, "data.workers=2": "data.workers=100000"}.get(word, word)
        for word in VERBS[verb](pictures, trained_run, tmp_path / "out")
    ]
    outcome = verydeep(*words)
    assert outcome.code in (0, 2), outcome.err  # 2: what check says of the images
    assert max(counts) <= 16
    assert "100,000" in outcome.err
    assert " 16 " in outcome.err
    if verb == "train":
        recipe = yaml.safe_load((tmp_path / "out" / "run" / "recipe.yaml").read_text())
        assert recipe["data"]["workers"] == 16


# ---- disks ----


def limited(arguments: list[str], errors: Path, size: int) -> None:
    """Be the program, whose files may not be larger than this: the disk is as good as full."""
    resource.setrlimit(resource.RLIMIT_FSIZE, (size, size))
    os.dup2(os.open(os.devnull, os.O_WRONLY), 1)
    be_the_program(arguments, errors)


@pytest.mark.slow
@pytest.mark.parametrize(
    ("size", "file", "workers"),
    [(900_000, "checkpoints/last.pt", 2), (300_000, "model/model.safetensors", 0)],
)
def test_no_room_for_a_checkpoint_or_a_model_and_then_there_is(
    size: int, file: str, workers: int, pictures: Path, tmp_path: Path, verydeep: Program
) -> None:
    settings = flags(f"data.workers={workers}", "data.cache=none", "training.epochs=1")
    words = ["train", str(pictures), "--out", str(tmp_path / "run"), *settings]
    process = apart(limited, words, tmp_path / "err", size)
    process.join(120)
    said = one_message(Outcome(process.exitcode or 0, "", (tmp_path / "err").read_text()), 1)
    assert file in said
    assert "no room" in said or "no space" in said
    assert "--resume" in said
    assert not list((tmp_path / "run").rglob("*.tmp"))
    assert verydeep(*words, "--resume").code == 0
    assert (tmp_path / "run" / "report.html").is_file()


@pytest.mark.slow
@pytest.mark.parametrize("verb", ["shard", "features"])
def test_no_room_for_what_a_verb_writes_leaves_nothing(
    verb: str, pictures: Path, trained_run: Path, tmp_path: Path
) -> None:
    words = [str(word) for word in VERBS[verb](pictures, trained_run, tmp_path / "out")]
    process = apart(limited, words, tmp_path / "err", 3_000)
    process.join(120)
    said = one_message(Outcome(process.exitcode or 0, "", (tmp_path / "err").read_text()), 1)
    assert "no room" in said or "no space" in said
    assert not [path for path in (tmp_path / "out").rglob("*") if path.is_file()]


@pytest.mark.skipif(not Path("/dev/full").exists(), reason="there is no /dev/full")
@pytest.mark.parametrize("words", [["nets"], ["nets", "D", "--json"], ["predict"]])
def test_no_room_for_the_output(
    words: list[str],
    pictures: Path,
    trained_run: Path,
    verydeep: Program,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    if words == ["predict"]:
        words = ["predict", str(trained_run), str(pictures / "test"), "--csv"]
    with Path("/dev/full").open("w") as full:
        monkeypatch.setattr(sys, "stdout", full)
        said = one_message(verydeep(*words), 1)
    assert "no room" in said or "no space" in said


@pytest.mark.parametrize("words", [["nets"], ["nets", "D", "--json"], ["predict"]])
def test_nobody_reads_the_output_to_its_end(
    words: list[str],
    pictures: Path,
    trained_run: Path,
    verydeep: Program,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    if words == ["predict"]:
        words = ["predict", str(trained_run), str(pictures / "test"), "--csv"]
    reading, writing = os.pipe()
    os.close(reading)
    # What is left is thrown away here, as it is at the end of a process.
    with contextlib.suppress(BrokenPipeError), os.fdopen(writing, "w") as output:
        monkeypatch.setattr(sys, "stdout", output)
        outcome = verydeep(*words)
        monkeypatch.undo()
    assert (outcome.code, outcome.err) == (1, "")


@pytest.mark.parametrize("number", [errno.EROFS, errno.EACCES, errno.ENOTDIR])
@pytest.mark.parametrize(
    "verb", ["report", "evaluate", "features", "shard", "check", "figures", "explain"]
)
def test_a_folder_that_may_not_be_written_to(
    verb: str,
    number: int,
    pictures: Path,
    trained_run: Path,
    tmp_path: Path,
    verydeep: Program,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    def refuse(*_: Any, **__: Any) -> None:
        raise OSError(number, os.strerror(number))

    monkeypatch.setattr("tempfile.mkstemp", refuse)
    monkeypatch.setattr("tempfile.TemporaryFile", refuse)
    out = tmp_path / "out"
    words: dict[str, list[object]] = {
        "report": ["report", trained_run],
        "check": ["check", pictures, "--out", out],
        "figures": ["figures", "--out", out, "--only", "loss"],
        "explain": ["explain", trained_run, pictures / "test/red/00.png", "--out", out],
    }
    chosen = words[verb] if verb in words else VERBS[verb](pictures, trained_run, out)
    said = one_message(verydeep(*chosen), 2)
    assert os.strerror(number) in said


@pytest.mark.parametrize(
    ("number", "kind", "code"),
    [
        (errno.ENOSPC, DiskError, 1),
        (errno.EDQUOT, DiskError, 1),
        (errno.EFBIG, DiskError, 1),
        (errno.EIO, DiskError, 1),
        (errno.EROFS, InputError, 2),
        (errno.EACCES, InputError, 2),
    ],
)
def test_whose_fault_it_is(number: int, kind: type, code: int, tmp_path: Path) -> None:
    error = write_error(tmp_path / "new" / "file", number)
    assert type(error) is kind
    assert error.exit_code == code
    assert str(tmp_path / "new" / "file") in str(error)


def test_the_free_space_is_that_of_the_disk_itself(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    free = {tmp_path: 5_000_000, tmp_path.parent: 9_000_000}  # a disk is mounted at tmp_path
    monkeypatch.setattr("shutil.disk_usage", lambda path: SimpleNamespace(free=free[path]))
    assert "5 MB free" in str(write_error(tmp_path, errno.ENOSPC))


# ---- memory ----


@pytest.mark.parametrize(
    "error",
    [
        MemoryError(),
        RuntimeError("[enforce fail] DefaultCPUAllocator: can't allocate memory: 9 bytes"),
        torch.OutOfMemoryError("CUDA out of memory"),
    ],
)
def test_lack_of_memory_names_what_takes_less(error: Exception) -> None:
    fault = fault_of(error, ["train", "pets"])
    assert fault is not None
    assert fault.exit_code == 1
    assert "training.micro_batch" in fault.message


def test_the_loss_of_another_process_is_told_without_traceback() -> None:
    fault = fault_of(
        RuntimeError("[gloo/transport/tcp/pair.cc:545] Connection reset"), ["evaluate"]
    )
    assert fault is not None
    assert fault.message.startswith("another process of the group has ended")
    assert fault.exit_code == 1


def test_a_mistake_of_ours_keeps_its_traceback() -> None:
    assert fault_of(ZeroDivisionError(), ["train"]) is None
    assert fault_of(RuntimeError("size mismatch"), ["train"]) is None


# ---- a report that is missing ----


def test_a_run_killed_before_its_report_gets_it(
    trained_run: Path, pictures: Path, tmp_path: Path, verydeep: Program
) -> None:
    run = shutil.copytree(trained_run, tmp_path / "run")
    (run / "report.html").unlink()
    before = (run / "metrics.json").read_bytes()
    outcome = verydeep("train", pictures, "--out", run, "--resume")
    assert outcome.code == 0
    assert "report" in outcome.err
    assert (run / "report.html").read_text("utf-8").rstrip().endswith("</html>")
    assert (run / "metrics.json").read_bytes() == before
    written = (run / "report.html").stat().st_mtime_ns
    assert verydeep("train", pictures, "--out", run, "--resume").code == 0
    assert (run / "report.html").stat().st_mtime_ns == written


# ---- signals ----


# The signal may come between the opening of a folder and the statement that closes it.
@pytest.mark.filterwarnings("ignore:unclosed scandir:ResourceWarning")
@pytest.mark.parametrize("verb", ["check", "features", "evaluate", "predict"])
@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM, signal.SIGHUP])
def test_a_signal_ends_a_verb_with_a_word(
    verb: str,
    number: signal.Signals,
    pictures: Path,
    trained_run: Path,
    tmp_path: Path,
    verydeep: Program,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """It comes while an image is decoded, where any exception would mean a broken file."""

    sent: list[int] = []

    def send(*_: Any, **__: Any) -> None:
        if not sent:  # several threads decode
            sent.append(number)
            os.kill(os.getpid(), number)
        time.sleep(0.05)
        raise OSError("a broken image")

    monkeypatch.setattr("PIL.Image.Image.load", send)
    before = {each: signal.getsignal(each) for each in (number, signal.SIGTERM)}
    words = [0 if word == 2 else word for word in VERBS[verb](pictures, trained_run, tmp_path)]
    said = one_message(verydeep(*words), 130)
    assert number.name in said
    assert not list(tmp_path.rglob("*"))
    assert {each: signal.getsignal(each) for each in before} == before
