"""Choice of the micro-batch size."""

from __future__ import annotations

import pytest
import torch

from verydeep.nets.anatomy import anatomy
from verydeep.system.device import Machine
from verydeep.training import micro_batch as memory
from verydeep.training.micro_batch import fitting_micro_batch

D = anatomy("D")
GIB = 2**30
FP32, BF16 = (Machine(torch.device("cpu"), precision) for precision in ("fp32", "bf16"))


def fitting(free: float, batch: int, machine: Machine, patch: pytest.MonkeyPatch) -> int:
    patch.setattr(memory, "available_memory", lambda device: int(free))
    return fitting_micro_batch(D, batch, machine)


@pytest.mark.parametrize("free", [1, 4, 16, 64, 256, 1024])
@pytest.mark.parametrize("batch", [256, 100, 1])
def test_the_chosen_part_fits_and_twice_as_much_would_not(
    free: int, batch: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    chosen = fitting(free * GIB, batch, FP32, monkeypatch)
    room = (free * GIB - 12 * D.parameters) / 2
    assert 1 <= chosen <= batch
    if chosen > 1:
        assert chosen * 2 * D.memory <= room
    if chosen < batch:
        assert 2 * chosen * 2 * D.memory > room


def test_half_the_bytes_let_twice_the_pictures_through(monkeypatch: pytest.MonkeyPatch) -> None:
    fp32 = fitting(40 * GIB, 256, FP32, monkeypatch)
    assert 1 < fp32 < 128
    assert fitting(40 * GIB, 256, BF16, monkeypatch) == 2 * fp32


def test_with_no_room_at_all_a_picture_goes_at_a_time(monkeypatch: pytest.MonkeyPatch) -> None:
    assert fitting(0, 256, FP32, monkeypatch) == 1
