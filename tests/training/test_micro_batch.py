"""Choice of the micro-batch size."""

from __future__ import annotations

import pytest
import torch
from progresses import Listening

from verydeep.nets.anatomy import anatomy
from verydeep.recipe.recipe import load_recipe
from verydeep.run.training.machine_settings import say_small_moments, settle
from verydeep.system.device import Machine
from verydeep.system.group.distributed import Group
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


def settled(
    free: int, everything: int, patch: pytest.MonkeyPatch, *settings: str
) -> tuple[int, list[str]]:
    """Return the micro-batch of a run on a machine with so many GiB, and what is said of it."""
    patch.setattr(memory, "available_memory", lambda device: free * GIB)
    patch.setattr(memory, "total_memory", lambda device: everything * GIB)
    given, said = load_recipe("paper", settings), Listening()
    found = settle(given, FP32, Group(), 1000)
    say_small_moments(given, found, said)
    assert found.training.micro_batch is not None
    return found.training.micro_batch, said.lines


def test_batch_normalisation_does_not_depend_on_what_is_free(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    norm = ("net.norm=batch", "training.batch=64")
    found = [settled(free, 64, monkeypatch, *norm) for free in (1, 16, 64)]
    assert found[0] == found[1] == found[2]
    micro_batch, said = found[0]
    sizes = anatomy("D", batch_norm=True)
    room = (64 * GIB - 12 * sizes.parameters) / 4
    assert 1 < micro_batch < 64
    assert micro_batch * 2 * sizes.memory <= room < 2 * micro_batch * 2 * sizes.memory
    assert len(said) == 1
    assert f"measures {micro_batch} images at a time, not the 64" in said[0]
    assert settled(1, 1024, monkeypatch, *norm) == (64, [])


def test_without_batch_normalisation_the_free_memory_counts(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    sizes = [settled(free, 64, monkeypatch, "training.batch=64") for free in (4, 16, 64)]
    assert sizes[0][0] < sizes[1][0] < sizes[2][0]
    assert [said for _, said in sizes] == [[], [], []]


def test_nothing_is_said_of_a_micro_batch_that_was_given(monkeypatch: pytest.MonkeyPatch) -> None:
    given = ("net.norm=batch", "training.micro_batch=8")
    assert settled(1, 1, monkeypatch, *given) == (8, [])


def test_half_of_a_gpu_and_a_quarter_of_the_ram_are_for_activations(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(memory, "total_memory", lambda device: 80 * GIB)
    gpu = Machine(torch.device("cuda"), "fp32")
    on_gpu, on_cpu = (fitting_micro_batch(D, 256, one, steady=True) for one in (gpu, FP32))
    assert on_gpu == 2 * on_cpu == fitting(80 * GIB, 256, FP32, monkeypatch)
