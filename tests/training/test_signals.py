"""Stop signals take effect at any point of the program."""

from __future__ import annotations

import gc
import os
import signal
import sys
import time
from collections.abc import Callable

import pytest

from verydeep.errors import Interrupted
from verydeep.training import signals as signals_module
from verydeep.training.signals import StopAtOnce, StopSignals


def amid_the_collection_of_garbage(send: Callable[[], None]) -> None:
    def collecting(phase: str, info: dict[str, int]) -> None:
        send()

    gc.callbacks.append(collecting)
    try:
        gc.collect()
    finally:
        gc.callbacks.remove(collecting)


def amid_a_finalizer(send: Callable[[], None]) -> None:
    class Finalized:
        def __del__(self) -> None:
            send()

    Finalized()


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
@pytest.mark.parametrize("amid", [amid_the_collection_of_garbage, amid_a_finalizer])
def test_a_stop_that_python_drops_comes_again(
    amid: Callable[[Callable[[], None]], None], number: signal.Signals
) -> None:
    sent: list[int] = []

    def send() -> None:
        if not sent:
            sent.append(number)
            os.kill(os.getpid(), number)
            time.sleep(0)

    def work() -> None:
        amid(send)
        for _ in range(1000):
            time.sleep(0.01)

    before = sys.unraisablehook
    with pytest.raises(Interrupted, match=number.name), StopAtOnce():
        work()
    assert sys.unraisablehook is before


def test_what_else_python_drops_is_told_as_before(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    told: list[object] = []
    monkeypatch.setattr(sys, "unraisablehook", lambda dropped: told.append(dropped.exc_type))

    def fail() -> None:
        raise KeyError

    with StopAtOnce():
        amid_a_finalizer(fail)
    assert told == [KeyError]


@pytest.fixture
def lines() -> list[str]:
    return []


def test_slurms_warning_stops_like_others_and_may_come_again(lines: list[str]) -> None:
    with StopSignals(lines.append) as signals:
        for _ in range(3):
            signal.raise_signal(signal.SIGUSR1)
    assert signals.received == "SIGUSR1"
    assert len(lines) == 1
    with pytest.raises(Interrupted, match="stopped by SIGUSR1; go on"), StopAtOnce("; go on"):
        signal.raise_signal(signal.SIGUSR1)
    assert signal.getsignal(signal.SIGUSR1) == signal.SIG_DFL


def test_within_a_program_stopped_by_it_slurms_warning_waits_for_the_update() -> None:
    with StopAtOnce(), StopSignals() as signals:
        signal.raise_signal(signal.SIGUSR1)
        assert signals.received == "SIGUSR1"


def test_another_use_of_the_signal_stays() -> None:
    heard: list[int] = []
    before = signal.signal(signal.SIGUSR1, lambda number, frame: heard.append(number))
    try:
        with StopAtOnce(), StopSignals() as signals:
            signal.raise_signal(signal.SIGUSR1)
        assert signals.received is None
        assert heard == [signal.SIGUSR1]
    finally:
        signal.signal(signal.SIGUSR1, before)


def test_slurm_may_deliver_one_signal_twice(
    lines: list[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("SLURM_STEP_ID", "0")
    with StopSignals(lines.append):
        signal.raise_signal(signal.SIGTERM)
        signal.raise_signal(signal.SIGTERM)
        with pytest.raises(KeyboardInterrupt):
            signal.raise_signal(signal.SIGINT)
    monkeypatch.delenv("SLURM_STEP_ID")
    with StopSignals(lines.append):
        signal.raise_signal(signal.SIGTERM)
        with pytest.raises(KeyboardInterrupt):
            signal.raise_signal(signal.SIGTERM)


def test_slurms_second_signal_after_a_while_stops_at_once(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setenv("SLURM_STEP_ID", "0")
    monkeypatch.setattr(signals_module, "_TWICE", 0.0)
    with StopSignals():
        signal.raise_signal(signal.SIGTERM)
        with pytest.raises(KeyboardInterrupt):
            signal.raise_signal(signal.SIGTERM)
