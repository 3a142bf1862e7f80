"""Progress on stderr: lines in logs, bars in a terminal."""

from __future__ import annotations

import sys
import types
from pathlib import Path

import pytest
from tiny import recipe

import verydeep
from verydeep.system import progress as module
from verydeep.system.progress import (
    NotebookProgress,
    PlainProgress,
    Progress,
    RichProgress,
    choose_progress,
    console_progress,
)

Captured = pytest.CaptureFixture[str]


class Clock:
    def __init__(self) -> None:
        self.now = 0.0

    def monotonic(self) -> float:
        return self.now


@pytest.fixture
def clock(monkeypatch: pytest.MonkeyPatch) -> Clock:
    clock = Clock()
    monkeypatch.setattr(module, "time", clock)
    return clock


def test_a_message_is_a_line_on_stderr(capsys: Captured) -> None:
    PlainProgress().log("epoch 1: [red]100 %[/red]")
    assert capsys.readouterr() == ("", "epoch 1: [red]100 %[/red]\n")


def test_a_long_task_gives_a_line_after_half_a_minute_of_silence(
    clock: Clock, capsys: Captured
) -> None:
    progress = PlainProgress()
    with progress.task("training", 1200) as task:
        for second in range(100):
            clock.now = second
            task.update(10 * second, "loss 1.0" if second < 50 else "")
    lines = capsys.readouterr().err.splitlines()
    assert lines == [
        "training: 300 of 1,200 loss 1.0",
        "training: 600 of 1,200",
        "training: 900 of 1,200",
    ]


def test_a_message_breaks_the_silence(clock: Clock, capsys: Captured) -> None:
    progress = PlainProgress()
    with progress.task("outer", 9) as outer, progress.task("inner", 9) as inner:
        clock.now = 29
        progress.log("here")
        clock.now = 58
        inner.update(1)
        outer.update(1)
        clock.now = 59
        inner.update(2.5)
        outer.update(2)
    assert capsys.readouterr().err.splitlines() == ["here", "inner: 2 of 9"]


def test_the_base_says_nothing(capsys: Captured) -> None:
    progress = Progress()
    with progress.task("training", 3) as task:
        progress.log("here")
        task.update(1, "note")
    assert capsys.readouterr() == ("", "")


def test_bars_are_for_terminals_alone(monkeypatch: pytest.MonkeyPatch) -> None:
    assert type(console_progress()) is PlainProgress
    monkeypatch.setattr(sys.stderr, "isatty", lambda: True)
    assert type(console_progress()) is RichProgress


def test_bars_show_tasks_within_tasks_and_leave_the_messages(
    capsys: Captured, monkeypatch: pytest.MonkeyPatch
) -> None:
    for name, value in {"TERM": "xterm", "FORCE_COLOR": "1", "COLUMNS": "200"}.items():
        monkeypatch.setenv(name, value)
    progress = RichProgress()
    message = "epoch 1: [bold]kept[/bold] " + "long " * 60
    for _ in range(2):  # a second set of bars after the first has gone
        with progress.task("training", 5) as outer:
            outer.update(2, "rate 0.01")
            with progress.task("epoch 3", 10) as inner:
                inner.update(7, "loss 0.5")
                progress._live.refresh()
            progress.log(message)
    out, err = capsys.readouterr()
    assert out == ""
    assert err.count(message) == 2
    for part in ("training", "2/5", "rate 0.01", "epoch 3", "7/10", "loss 0.5"):
        assert part in err


def test_bars_go_when_the_work_fails(capsys: Captured) -> None:
    progress = RichProgress()

    def fail() -> None:
        with progress.task("training", 5), progress.task("epoch", 5):
            raise RuntimeError("stop")

    with pytest.raises(RuntimeError, match="stop"):
        fail()
    with progress.task("testing", 5) as task:
        task.update(5)
    assert capsys.readouterr().out == ""


class TestPython:
    """What functions called from Python report to."""

    def test_a_script_in_the_background_is_silent(self) -> None:
        assert type(choose_progress(None)) is Progress

    def test_a_terminal_shows_bars(self, monkeypatch: pytest.MonkeyPatch) -> None:
        monkeypatch.setattr(sys.stderr, "isatty", lambda: True)
        assert type(choose_progress(None)) is RichProgress
        assert type(choose_progress(False)) is Progress

    def test_a_wish_is_granted(self) -> None:
        mine = Progress()
        assert choose_progress(mine) is mine
        assert type(choose_progress(True)) is PlainProgress
        assert type(choose_progress(False)) is Progress

    def test_of_several_processes_one_reports(self, monkeypatch: pytest.MonkeyPatch) -> None:
        monkeypatch.setattr(sys.stderr, "isatty", lambda: True)
        monkeypatch.setenv("RANK", "1")
        monkeypatch.setenv("WORLD_SIZE", "2")
        assert type(choose_progress(None)) is Progress

    def test_no_stderr_at_all_is_silent(self, monkeypatch: pytest.MonkeyPatch) -> None:
        monkeypatch.setattr(sys, "stderr", None)  # pythonw
        assert type(choose_progress(None)) is Progress

    @pytest.mark.parametrize(("kernel", "there"), [(object(), True), (None, False)])
    def test_a_notebook_is_told_from_a_prompt(
        self, kernel: object, there: bool, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        shell = types.SimpleNamespace(kernel=kernel)
        ipython = types.SimpleNamespace(get_ipython=lambda: shell)
        monkeypatch.setitem(sys.modules, "IPython", ipython)
        wanted = NotebookProgress if there else Progress
        assert type(choose_progress(None)) is wanted

    def test_a_notebook_has_one_line_that_changes(self, clock: Clock, capsys: Captured) -> None:
        progress = NotebookProgress()
        with progress.task("training", 10) as task:
            for second in range(3):
                clock.now = second
                task.update(second, "x" * (3 - second))
            progress.log("epoch 1")
        out, err = capsys.readouterr()
        assert err == ""
        shown = [part.rstrip() for part in out.replace("\n", "\r").split("\r") if part.strip()]
        assert shown == ["training: 1 of 10 xx", "training: 2 of 10 x", "epoch 1"]

    def test_short_work_shows_no_bar(self, clock: Clock, capsys: Captured) -> None:
        progress = RichProgress(seconds=0.5)
        with progress.task("quick", 2) as task:
            task.update(1)
            assert not progress._live.live.is_started
            clock.now = 1.0
            task.update(2)
            assert progress._live.live.is_started


def test_training_speaks_when_it_is_told_to(
    pictures: Path, tmp_path: Path, capsys: Captured
) -> None:
    chosen = recipe("training.epochs=1", "training.precision=fp32", "data.workers=0")
    verydeep.train(pictures, chosen, tmp_path / "a", progress=True)
    assert "epoch 1" in capsys.readouterr().err
    verydeep.train(pictures, chosen, tmp_path / "b")
    assert capsys.readouterr() == ("", "")
