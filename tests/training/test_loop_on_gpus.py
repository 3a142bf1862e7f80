"""The training loop on GPUs, whose figures are read an update late."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
import torch
from groups import together
from loop_parts import make_loop, make_net, relative, weights
from tiny import recipe

from verydeep.run.training.net_and_optimizer import make_optimizer
from verydeep.system.device import choose_machine
from verydeep.system.group.distributed import joined
from verydeep.training.compiled import compiled
from verydeep.training.late_sums import LateSums

pytestmark = pytest.mark.skipif(not torch.cuda.is_available(), reason="there is no CUDA device")


def test_sums_are_read_without_those_of_later_updates() -> None:
    late = LateSums(lag=1)
    values = torch.zeros(2, device="cuda")
    for number in range(1, 5):
        values = values + 1
        late.add(number, 0.1, 10, values)
        assert [one.loss for one in late.take()] == [float(number - 1)] * (number > 1)


def on_gpu(folder: Path, **changes: Any) -> Any:
    net = make_net().cuda()
    return make_loop(folder, net=net, machine=choose_machine("cuda", "fp32"), **changes)


def test_a_gpu_trains_the_net_of_a_cpu(tmp_path: Path) -> None:
    theirs = make_loop(tmp_path / "cpu", epochs=2)
    ours = on_gpu(tmp_path / "gpu", epochs=2)
    rows, other_rows = ours.run().history, theirs.run().history
    assert relative(weights(ours.net).cpu(), weights(theirs.net)) < 1e-3
    for row, other in zip(rows, other_rows, strict=True):
        assert row["train_loss"] == pytest.approx(other["train_loss"], rel=1e-3)


def train_together() -> Any:
    with joined() as group:
        machine = choose_machine("cuda", "fp32")
        net = make_net(norm="batch").to(machine.device)
        folder = Path("/nonexistent")
        loop = make_loop(folder, net=net, machine=machine, group=group, epochs=1)
        loop.save = loop._write_log = lambda: None  # type: ignore[method-assign]
        loop.run()
        return weights(net).tolist()


@pytest.mark.skipif(torch.cuda.device_count() < 2, reason="there is no second CUDA device")
def test_two_gpus_keep_the_same_weights(tmp_path: Path) -> None:
    first, second = together(train_together, 2, tmp_path)
    assert first == second


def test_the_optimizer_takes_one_kernel() -> None:
    net = make_net().cuda()
    optimizer = make_optimizer(net, recipe())
    assert optimizer.param_groups[0]["fused"]


def test_a_compiled_net_trains_the_same_on_a_gpu(tmp_path: Path) -> None:
    theirs = on_gpu(tmp_path / "plain", epochs=2)
    net = make_net().cuda()
    machine = choose_machine("cuda", "fp32")
    ours = make_loop(
        tmp_path / "compiled", net=net, machine=machine, epochs=2, forward=compiled(net)
    )
    rows, other_rows = ours.run().history, theirs.run().history
    assert relative(weights(net), weights(theirs.net)) < 1e-3
    for row, other in zip(rows, other_rows, strict=True):
        assert row["train_loss"] == pytest.approx(other["train_loss"], rel=1e-3)
