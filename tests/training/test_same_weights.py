"""Comparison of the weights of all processes."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
import torch
from groups import together
from loop_parts import make_loop, make_net

from verydeep.errors import TrainingStopped
from verydeep.system.group.distributed import Group, joined
from verydeep.training.same_weights import checksums, find_difference


def test_one_bit_of_any_tensor_changes_its_sum_and_no_other() -> None:
    net = make_net(norm="batch").to(memory_format=torch.channels_last)  # type: ignore[call-overload]
    before = checksums(net)
    assert set(before) == set(net.state_dict())
    for name, tensor in net.state_dict().items():
        flat = tensor.view(torch.int32 if tensor.element_size() == 4 else torch.int64)
        flat[(0,) * flat.dim()] ^= 1
        after = checksums(net)
        assert [key for key in before if before[key] != after[key]] == [name]
        flat[(0,) * flat.dim()] ^= 1
    assert checksums(net) == before


def test_alone_there_is_nothing_to_compare() -> None:
    assert find_difference(Group(), make_net(), {}) is None


def compare() -> Any:
    with joined() as group:
        net = make_net()
        found = [find_difference(group, net, {"waited": 1})]
        found.append(find_difference(group, net, {"waited": int(group.rank == 2)}))
        if group.rank:
            with torch.no_grad():
                net.classifier.fc8.bias[0] += 1e-7
        found.append(find_difference(group, net, {"waited": 1}))
        return found


def test_differences_are_named_by_rank_and_layer(tmp_path: Path) -> None:
    wanted = [
        None,
        "rank 2 of 3 differs from rank 0, first in the schedule",
        "rank 1, 2 of 3 differs from rank 0, first in classifier.fc8.bias",
    ]
    assert together(compare, 3, tmp_path) == [wanted] * 3


def drift() -> Any:
    folder = Path(__file__).parent / "nowhere"
    with joined() as group:
        loop = make_loop(folder, epochs=1, group=group)
        step = loop.optimizer.step

        def step_elsewhere() -> None:
            step()
            if group.rank:
                with torch.no_grad():
                    loop.net.classifier.fc8.bias[1] += 1e-6

        loop.optimizer.step = step_elsewhere  # type: ignore[method-assign]
        with pytest.raises(TrainingStopped) as error:
            loop.run()
    return str(error.value)


def test_a_run_whose_processes_drift_apart_stops(tmp_path: Path) -> None:
    for message in together(drift, 2, tmp_path):
        for part in ("rank 1 of 2", "classifier.fc8.bias", "epoch 1", "no checkpoint yet"):
            assert part in message
