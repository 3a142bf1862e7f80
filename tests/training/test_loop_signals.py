"""Signals to a training loop."""

from __future__ import annotations

import signal
import threading
from pathlib import Path

import pytest
import torch
from loop_parts import (
    Heard,
    make_loop,
    weights,
)
from torch import Tensor

from verydeep.errors import Interrupted


def signalling(number: signal.Signals, *at: int) -> Heard:
    """Send a signal to this process in the given updates, counted from 1."""
    updates = iter(range(1, 100))

    def send(title: str, done: float) -> None:
        if title.startswith("epoch") and next(updates) in at:
            signal.raise_signal(number)

    return Heard(send)


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM, signal.SIGHUP])
@pytest.mark.parametrize("at", [1, 3, 4])
def test_a_signal_ends_the_update_and_writes_a_checkpoint(
    number: signal.Signals, at: int, tmp_path: Path
) -> None:
    before = signal.getsignal(number)
    loop = make_loop(tmp_path, progress=signalling(number, at))
    with pytest.raises(Interrupted) as error:
        loop.run()
    assert error.value.exit_code == 130
    for part in (
        number.name,
        str(tmp_path / "checkpoints"),
        "resume=True",
        f"epoch {1 + (at - 1) // 2}",
    ):
        assert part in str(error.value)
    assert signal.getsignal(number) == before
    other = make_loop(tmp_path)
    assert other.resume()
    assert 2 * other.position.epoch + other.position.step == at
    assert torch.equal(weights(other.net), weights(loop.net))
    assert other.run().epoch == 3


def test_a_second_signal_ends_at_once(tmp_path: Path) -> None:
    def twice(title: str, done: float) -> None:
        if title.startswith("epoch"):
            signal.raise_signal(signal.SIGINT)
            signal.raise_signal(signal.SIGINT)

    before = signal.getsignal(signal.SIGINT)
    loop = make_loop(tmp_path, progress=Heard(twice))
    with pytest.raises(KeyboardInterrupt):
        loop.run()
    assert signal.getsignal(signal.SIGINT) == before


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM, signal.SIGHUP])
def test_a_signal_is_answered_at_once(number: signal.Signals, tmp_path: Path) -> None:
    """The message appears during the current update."""
    heard = Heard()
    loop = make_loop(tmp_path, progress=heard)
    prepare, at_once = loop.prepare, []

    def signal_amid(pictures: Tensor, factors: Tensor) -> Tensor:
        if not at_once:
            signal.raise_signal(number)
            at_once.append(list(heard.lines))
        return prepare(pictures, factors)

    loop.prepare = signal_amid
    with pytest.raises(Interrupted):
        loop.run()
    assert number.name in at_once[0][-1]
    assert loop.position.step == 1


def test_a_terminal_that_is_closed_twice_still_gets_its_checkpoint(tmp_path: Path) -> None:
    def twice(title: str, done: float) -> None:
        if title.startswith("epoch"):
            signal.raise_signal(signal.SIGHUP)
            signal.raise_signal(signal.SIGHUP)

    with pytest.raises(Interrupted, match="SIGHUP"):
        make_loop(tmp_path, progress=Heard(twice)).run()


def test_under_nohup_a_closed_terminal_is_nothing(tmp_path: Path) -> None:
    def close(title: str, done: float) -> None:
        signal.raise_signal(signal.SIGHUP)

    before = signal.signal(signal.SIGHUP, signal.SIG_IGN)
    try:
        assert make_loop(tmp_path, epochs=1, progress=Heard(close)).run().epoch == 1
    finally:
        signal.signal(signal.SIGHUP, before)


def test_a_signal_after_the_last_update_keeps_the_end(tmp_path: Path) -> None:
    def validate() -> dict[str, float]:
        signal.raise_signal(signal.SIGTERM)
        return {"loss": 1.0, "top1_error": 50.0, "top5_error": 0.0}

    loop = make_loop(tmp_path, epochs=1, validate=validate)
    with pytest.raises(Interrupted, match="resume=True"):
        loop.run()
    other = make_loop(tmp_path, epochs=1)
    assert other.resume()
    assert other.position.stopped_because == "the ceiling of 1 epoch"
    assert other.run().epoch == 1


def test_a_loop_in_another_thread_leaves_signals_alone(tmp_path: Path) -> None:
    loop = make_loop(tmp_path, epochs=1)
    ends = []
    thread = threading.Thread(target=lambda: ends.append(loop.run().epoch))
    thread.start()
    thread.join()
    assert ends == [1]
