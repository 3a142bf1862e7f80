"""Decoding processes: memory, time, and the same pixels as in this process."""

from __future__ import annotations

import asyncio
import os
import shutil
import signal
import sys
import threading
from collections.abc import Iterator

import numpy as np
import pytest
from PIL import Image
from serving import as_file

from verydeep.errors import WorkerError
from verydeep.serve.decoders import Decoders
from verydeep.serve.decoding import Decoded, DecodePlan, Fault, decode_for

PLAN = DecodePlan((32, 48), shown=100)


@pytest.fixture
def lost() -> list[str]:
    return []


@pytest.fixture
def decoders(lost: list[str]) -> Iterator[Decoders]:
    made = Decoders(1, memory=500 * 2**20, seconds=3.0, on_lost=lost.append)
    made.start()
    yield made
    made.close()


def decoded(decoders: Decoders, data: bytes) -> Decoded | Fault:
    return asyncio.run(decoders.decode(data, PLAN))


def test_pixels_are_those_of_this_process(
    decoders: Decoders, photographs: list[Image.Image]
) -> None:
    data = as_file(photographs[0], "PNG")
    found, expected = decoded(decoders, data), decode_for(data, PLAN)
    assert isinstance(found, Decoded)
    assert isinstance(expected, Decoded)
    assert found.size == (427, 640)
    assert found.shown is not None
    assert found.shown.shape == (67, 100, 3)
    for one, other in zip(found.pixels, expected.pixels, strict=True):
        np.testing.assert_array_equal(one, other)


def test_an_image_that_takes_too_much_memory_or_time_is_a_fault(
    decoders: Decoders, lost: list[str]
) -> None:
    small = as_file(Image.new("RGB", (40, 40)), "PNG")
    large = as_file(Image.new("L", (9_000, 9_000)).convert("1"), "PNG")
    assert decoded(decoders, large) == Fault("not enough memory to decode it")
    assert isinstance(decoded(decoders, small), Decoded)
    assert not lost
    decoders._seconds = 0.2
    os.kill(decoders.pids[0], signal.SIGSTOP)
    late = decoded(decoders, small)
    assert isinstance(late, Fault)
    assert "more than 0.2 s" in late.reason
    decoders._seconds = 20
    assert isinstance(decoded(decoders, small), Decoded)
    assert len(lost) == 1


def test_processes_that_do_not_start_are_an_error(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(sys, "executable", shutil.which("false"))
    made = Decoders(1)
    with pytest.raises(WorkerError, match=r"do not start: .* \(exit code 1\)"):
        made.start()
    made.close()


def test_a_process_that_is_lost_while_it_starts_is_launched_again(
    decoders: Decoders, lost: list[str], photographs: list[Image.Image]
) -> None:
    data = as_file(photographs[0])
    killed: set[int] = set()
    os.kill(decoders.pids[0], signal.SIGKILL)
    ended = threading.Event()

    def kill_newcomers() -> None:
        while not ended.is_set() and len(killed) < 5:
            for pid in {*decoders.pids} - killed:
                os.kill(pid, signal.SIGKILL)
                killed.add(pid)

    killer = threading.Thread(target=kill_newcomers)
    killer.start()
    assert isinstance(decoded(decoders, data), Decoded)
    ended.set()
    killer.join()
    assert len(killed) == 5
    assert len(lost) <= 2
