"""Values of any size pass through a pipe unchanged and writable."""

from __future__ import annotations

import threading
from multiprocessing import Pipe
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch

from verydeep.system.workers.transport import SHARED_FROM, can_share, receive, send

LARGE = SHARED_FROM + 3


def through(value: Any, *, shared: bool) -> Any:
    ours, theirs = Pipe()
    with ours, theirs:
        thread = threading.Thread(target=send, args=(theirs, value), kwargs={"shared": shared})
        thread.start()
        found = receive(ours)
        thread.join()
    return found


def descriptors() -> int:
    return len(list(Path("/proc/self/fd").iterdir()))


@pytest.mark.parametrize("shared", [False, True])
@pytest.mark.parametrize("size", [0, 1, 1000, LARGE])
def test_tensors_and_arrays_come_back(shared: bool, size: int) -> None:
    generator = torch.Generator().manual_seed(0)
    value = {
        "bytes": torch.randint(0, 255, (size,), generator=generator, dtype=torch.uint8),
        "floats": torch.rand(3, size // 12, generator=generator),
        "bf16": torch.rand(5, generator=generator).bfloat16(),
        "flags": torch.tensor([True, False]),
        "number": torch.tensor(7),
        "turned": torch.arange(6).view(2, 3).t(),
        "array": np.arange(size, dtype=np.uint8),
        "columns": np.asfortranarray(np.arange(12.0).reshape(3, 4)),
        "rest": ("words", None, [1, 2.5]),
    }
    found = through(value, shared=shared)
    assert found.keys() == value.keys()
    for key, one in value.items():
        if isinstance(one, torch.Tensor):
            assert found[key].dtype == one.dtype
            assert torch.equal(found[key], one)
            found[key].add_(True) if one.dtype == torch.bool else found[key].add_(1)
        elif isinstance(one, np.ndarray):
            assert np.array_equal(found[key], one)
            found[key] += 1
        else:
            assert found[key] == one


@pytest.mark.skipif(not can_share(), reason="the system has no files in memory")
def test_large_values_that_are_kept_hold_no_descriptors() -> None:
    before = descriptors()
    kept = [through(torch.full((LARGE,), number), shared=True) for number in range(5)]
    assert descriptors() == before
    assert [int(one[-1]) for one in kept] == list(range(5))


def test_an_array_sent_stays_the_senders() -> None:
    value = np.zeros(LARGE, np.uint8)
    through(value, shared=True)[:] = 1
    assert not value.any()


def test_the_end_of_the_other_side_is_an_error() -> None:
    ours, theirs = Pipe()
    theirs.close()
    with pytest.raises((EOFError, OSError)):
        receive(ours)
