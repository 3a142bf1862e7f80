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
from verydeep.training.signals import StopAtOnce


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
