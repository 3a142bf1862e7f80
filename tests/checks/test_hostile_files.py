"""The check refuses the same files as training, as fast."""

from __future__ import annotations

import os
import sys
import time
from collections.abc import Callable
from functools import partial
from pathlib import Path
from typing import TypeVar

import pytest
from hostile import ENDLESS, OTHERS, VAST

from verydeep.checks.contact_sheets import shrink
from verydeep.checks.file_facts import examine
from verydeep.data.images import limits as bounds
from verydeep.data.images.decode import decode
from verydeep.data.images.limits import MAX_BYTES
from verydeep.errors import PictureError

T = TypeVar("T")
SECONDS = 10.0
"""Of a processor that others share; work without a bound takes minutes."""
BOMBS: dict[str, Callable[[], bytes]] = {
    **{f"vast {name}": partial(bytes, data) for name, data in VAST.items()},
    **{f"endless {name}": partial(bytes, data) for name, data in ENDLESS.items()},
    **OTHERS,
}


@pytest.fixture(autouse=True)
def fewer_pieces(monkeypatch: pytest.MonkeyPatch) -> None:
    """Let the test of this bound be a short one."""
    monkeypatch.setattr(bounds, "PIXEL_READS", 20_000)


def in_time(work: Callable[[], T]) -> T:
    started = time.process_time()
    result = work()
    assert time.process_time() - started < SECONDS
    return result


def refusal(path: Path) -> str | None:
    """Return why training refuses a file, without its name; None if it takes it."""
    try:
        decode(path)
    except PictureError as error:
        return str(error).removeprefix(f"{path}: ")
    return None


@pytest.mark.parametrize("kind", BOMBS)
def test_a_hostile_file_is_judged_as_in_training(kind: str, tmp_path: Path) -> None:
    path = tmp_path / "a.jpg"
    path.write_bytes(BOMBS[kind]())
    expected = refusal(path)
    for colours in (True, False):
        facts, moments = in_time(lambda c=colours: examine(path, c))
        assert facts.reason.endswith(expected or "")
        assert (facts.fault is None) == (expected is None)
        assert (moments is not None) == (colours and expected is None)
        assert facts.fault != "too-large" or "make it smaller" in facts.reason
    small = in_time(lambda: shrink(path))
    assert (small is None) == (expected is not None)


def test_both_verdicts_are_among_them(tmp_path: Path) -> None:
    fit = {kind for kind, make in BOMBS.items() if not _refused(make())}
    assert fit == {"many passes", "frames", "text", "sound"}


def _refused(data: bytes) -> bool:
    try:
        decode(data)
    except PictureError:
        return True
    return False


def test_a_file_of_too_many_bytes_is_not_read(tmp_path: Path) -> None:
    path = tmp_path / "a.webp"
    with path.open("wb") as file:
        file.truncate(MAX_BYTES + 1)
    facts, _ = in_time(lambda: examine(path, colours=True))
    assert facts.fault == "too-large"
    assert facts.reason == refusal(path)
    assert shrink(path) is None


@pytest.mark.skipif(sys.platform == "win32", reason="makes a pipe and a link to a device")
def test_what_is_no_file_is_not_waited_for(tmp_path: Path) -> None:
    pipe, device = tmp_path / "pipe.jpg", tmp_path / "device.jpg"
    os.mkfifo(pipe)
    device.symlink_to("/dev/zero")
    for path in (pipe, device):
        facts, _ = examine(path, colours=True)
        assert (facts.fault, facts.reason) == ("unreadable", refusal(path))
        assert shrink(path) is None
