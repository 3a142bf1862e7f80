"""Calls in several processes: who they are, and every way in which they may end."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import textwrap
import threading
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import launched_calls as calls
import pytest
import torch
from leftovers import is_gone
from progresses import Listening

from verydeep.errors import InputError, ProcessLost
from verydeep.system.group import launch
from verydeep.system.group.launch import in_processes, in_several
from verydeep.system.group.membership import Membership, being, membership
from verydeep.system.option_names import flags_in_messages
from verydeep.system.progress import Progress
from verydeep.system.settings import Compute

HERE = Path(__file__).parent
PATIENCE = 30  # seconds in which a group must end when one process has


@pytest.fixture(autouse=True)
def no_launcher(monkeypatch: pytest.MonkeyPatch) -> None:
    for name in ("RANK", "WORLD_SIZE", "MASTER_ADDR", "MASTER_PORT", "OMP_NUM_THREADS"):
        monkeypatch.delenv(name, raising=False)


@pytest.fixture
def threads() -> Iterator[None]:
    before = torch.get_num_threads()
    yield
    torch.set_num_threads(before)


# ---- who they are ----


@pytest.mark.slow
def test_this_process_is_the_first_and_the_others_are_its_children(
    threads: None, monkeypatch: pytest.MonkeyPatch
) -> None:
    torch.set_num_threads(5)
    shown = Progress()
    with flags_in_messages():
        found = in_processes(3, calls.introduce, "hello", progress=shown)
    me = os.getpid()
    cores = len(os.sched_getaffinity(0))
    assert [one["rank"] for one in found] == [one["local"] for one in found] == [0, 1, 2]
    assert all(one["word"] == "hello" and one["size"] == 3 for one in found)
    assert found[0]["pid"] == me
    assert len({one["pid"] for one in found}) == 3
    assert [one["parent"] for one in found[1:]] == [me, me]
    assert [one["first"] for one in found] == [True, False, False]
    assert [type(one["progress"]) for one in found] == [Progress, type(None), type(None)]
    assert all(one["in_program"] and one["arguments"] == sys.argv for one in found)
    share = max(1, cores // 3)
    assert [one["threads"] for one in found] == [one["cores"] for one in found] == [share] * 3
    assert torch.get_num_threads() == 5  # as before
    assert membership() == Membership()


@pytest.mark.slow
def test_threads_that_the_user_has_set_stay(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("OMP_NUM_THREADS", "2")
    assert in_processes(3, calls.introduce, "a")[1]["threads"] == min(2, os.cpu_count() or 1)


@pytest.mark.slow
def test_one_after_the_other_may_be_started() -> None:
    pids = [{one["pid"] for one in in_processes(2, calls.introduce, "x")} for _ in range(2)]
    assert len(set.union(*pids)) == 3


@pytest.mark.slow
def test_a_program_without_a_main_guard_may_start_them(tmp_path: Path) -> None:
    script = tmp_path / "program.py"
    script.write_text(
        textwrap.dedent(
            """
            import launched_calls
            from verydeep.system.group.launch import in_processes
            print("once")
            print([one["rank"] for one in in_processes(2, launched_calls.introduce, "x")])
            """
        )
    )
    done = subprocess.run(
        [sys.executable, script],
        env={**os.environ, "PYTHONPATH": os.pathsep.join(filter(None, [str(HERE), *sys.path]))},
        capture_output=True,
        text=True,
        check=True,
        timeout=120,
    )
    assert done.stdout == "once\n[0, 1]\n"


# ---- how they end ----


@pytest.mark.slow
@pytest.mark.parametrize(
    ("how", "kind", "message"),
    [
        ("SIGKILL", ProcessLost, r"rank 1 was killed \(SIGKILL\).*all 3 .* stopped; then this"),
        ("SIGSEGV", ProcessLost, r"rank 1 was ended by SIGSEGV"),
        ("early", ProcessLost, r"rank 1 ended too early \(exit code 3\)"),
        ("exits", launch.VeryDeepError, r"rank 1 of 3 processes ended by SystemExit\(7\)"),
        ("refuses", InputError, r"^no such image; see --data$"),
        ("bug", ZeroDivisionError, r"^$"),
    ],
)
def test_the_end_of_one_ends_all_with_its_reason(
    how: str, kind: type[Exception], message: str
) -> None:
    begun = time.monotonic()
    with pytest.raises(kind, match=message) as caught, flags_in_messages():
        in_processes(3, calls.end_one, how, advice="; then this")
    assert time.monotonic() - begun < PATIENCE
    if how == "bug":
        assert "in end_one" in str(caught.value.__cause__)


@pytest.mark.slow
@pytest.mark.parametrize("in_main_thread", [True, False])
def test_a_busy_first_process_is_interrupted(in_main_thread: bool) -> None:
    found: list[BaseException] = []

    def run() -> None:
        try:
            in_processes(2, calls.end_one_while_the_first_computes, 100.0)
        except BaseException as error:
            found.append(error)

    begun = time.monotonic()
    if in_main_thread:
        run()
    else:
        thread = threading.Thread(target=run)
        thread.start()
        thread.join()
    assert time.monotonic() - begun < PATIENCE
    assert isinstance(found[0], ProcessLost)
    sum(range(100_000))  # nothing arrives later


@pytest.mark.slow
def test_an_error_of_the_first_is_its_own() -> None:
    with pytest.raises(KeyError, match="mine"):
        in_processes(2, calls.fail_first)


@pytest.mark.slow
def test_an_error_of_another_one_at_the_very_end_counts() -> None:
    with pytest.raises(InputError, match="too late"):
        in_processes(2, calls.fail_at_the_end)


def pids_in(folder: Path, count: int) -> list[int]:
    deadline = time.monotonic() + 60
    while time.monotonic() < deadline:
        texts = [file.read_text() for file in folder.glob("*.pid")]
        if len(texts) == count and all(texts):
            return [int(text) for text in texts]
        time.sleep(0.05)
    pytest.fail("the processes did not start")


@pytest.mark.slow
@pytest.mark.parametrize(
    ("number", "whom"),
    [
        (signal.SIGKILL, "the first"),
        (signal.SIGINT, "all"),
        (signal.SIGINT, "the first"),
        (signal.SIGTERM, "the first"),
    ],
)
def test_no_process_outlives_the_first(number: signal.Signals, whom: str, tmp_path: Path) -> None:
    call = "import launched_calls as c, pathlib, sys; c.start_in_turn(pathlib.Path(sys.argv[1]))"
    program = subprocess.Popen(
        [sys.executable, "-c", call, tmp_path],
        env={**os.environ, "PYTHONPATH": os.pathsep.join(filter(None, [str(HERE), *sys.path]))},
        stderr=subprocess.PIPE,
        start_new_session=True,
        text=True,
    )
    pids = pids_in(tmp_path, 3)
    (os.killpg if whom == "all" else os.kill)(program.pid, number)
    _, said = program.communicate(timeout=PATIENCE)
    assert program.returncode != 0
    deadline = time.monotonic() + 10
    while not all(map(is_gone, pids)) and time.monotonic() < deadline:
        time.sleep(0.05)
    assert all(map(is_gone, pids))
    assert said.count("Traceback") <= 1  # of the first process


# ---- refusals ----


@pytest.mark.parametrize("count", [0, -1, 10_000])
def test_a_number_out_of_range_is_refused(count: int) -> None:
    with pytest.raises(InputError, match=rf"processes= must be 1 to \d+ .* got {count} instead"):
        in_processes(count, calls.introduce, "x")


@pytest.mark.parametrize("launcher", ["torchrun", "Slurm"])
def test_a_member_of_a_group_starts_no_other(launcher: str) -> None:
    place = Membership(1, 4, 1, 4, "127.0.0.1", 1, launcher)
    with (
        being(place),
        pytest.raises(InputError, match=f"{launcher} has started this process as one of 4: omit"),
    ):
        in_processes(2, calls.introduce, "x")


def test_an_argument_that_cannot_be_pickled_is_refused() -> None:
    with pytest.raises(InputError, match=r"cannot be given to another process.*by their folders"):
        in_processes(2, calls.introduce, calls.Unpicklable())


def test_more_processes_than_cores_are_started_with_a_word(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    heard = Listening()
    monkeypatch.setattr(launch, "machine_cores", lambda: 1)
    monkeypatch.setattr(launch, "_has_gpus", lambda: False)
    monkeypatch.setattr(launch, "_pickled", lambda *given: 1 / 0)
    with pytest.raises(ZeroDivisionError):
        in_processes(2, calls.introduce, "x", progress=heard)
    assert heard.lines == ["2 processes share 1 core: fewer are faster"]


# ---- functions with settings ----


def spread(word: str, *, compute: Compute | str | None = None) -> tuple[str, Compute | str | None]:
    return word, compute


@pytest.mark.parametrize("compute", [None, "cpu", Compute(processes=1), Compute("cpu")])
def test_without_several_processes_a_function_is_called_here(
    compute: Compute | str | None, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(launch, "in_processes", None)
    assert in_several(spread)("a", compute=compute) == ("a", compute)


def test_with_several_processes_each_calls_it_without_them(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    asked: list[Any] = []

    def start(count: int, call: Callable[..., Any], *args: Any, **kwargs: Any) -> Any:
        asked.append((count, call))
        return call(*args, **kwargs)

    monkeypatch.setattr(launch, "in_processes", start)
    several = in_several(spread)
    assert several("a", compute=Compute("cpu", processes=4)) == ("a", Compute("cpu"))
    assert asked == [(4, several)]


# ---- GPUs ----


@pytest.mark.slow
@pytest.mark.skipif(torch.cuda.device_count() < 2, reason="there is no second CUDA device")
def test_each_process_sums_on_its_own_gpu() -> None:
    assert in_processes(2, calls.sum_on_gpus) == [["cuda:0", 3.0], ["cuda:1", 3.0]]


@pytest.mark.skipif(not torch.cuda.is_available(), reason="there is no CUDA device")
def test_more_processes_than_gpus_are_refused_in_all() -> None:
    with pytest.raises(InputError, match="need a GPU each"):
        in_processes(torch.cuda.device_count() + 1, calls.sum_on_gpus)
