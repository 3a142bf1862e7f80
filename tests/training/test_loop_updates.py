"""Updates of the training loop against explicit SGD.

N crops, C channels, K classes.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from loop_parts import (
    K,
    batches,
    make_loop,
    make_net,
    prepare,
    relative,
    weights,
)
from torch import Tensor

from verydeep.nets.vgg import VGG
from verydeep.system.device import choose_machine
from verydeep.training.objective import Classification


def sgd_by_hand(
    net: VGG, epochs: int, rate: Callable[[float], float], smoothing: float = 0.0
) -> list[float]:
    """Train with whole batches: v ← μ·v + ∇L + λ·w, w ← w − η·v; return the mean losses."""
    momentum, decay = 0.9, 5e-4
    velocity = [torch.zeros_like(w) for w in net.parameters()]
    losses = []
    for epoch in range(epochs):
        of_epoch = []
        steps = list(batches().epoch(epoch))
        for number, step in enumerate(steps):
            scores = net(prepare(step.pictures, step.shifts))
            logs = scores - scores.logsumexp(1, keepdim=True)
            true = logs[torch.arange(len(step.labels)), step.labels]
            loss = -((1 - smoothing) * true + smoothing * logs.mean(1)).mean()
            of_epoch.append(loss.item())
            gradients = torch.autograd.grad(loss, list(net.parameters()))
            with torch.no_grad():
                for w, g, v in zip(net.parameters(), gradients, velocity, strict=True):
                    v.mul_(momentum).add_(g + decay * w)
                    w.sub_(rate(epoch + number / len(steps)) * v)
        losses.append(float(np.mean(of_epoch)))
    return losses


@pytest.mark.parametrize("smoothing", [0.0, 0.1])
def test_updates_are_sgd_written_out(smoothing: float, tmp_path: Path) -> None:
    def rate(done: float) -> float:
        return 0.01 * (1 + math.cos(math.pi * done / 3)) / 2

    loop = make_loop(
        tmp_path,
        "training.schedule=cosine",
        "training.learning_rate=0.01",
        "training.epochs=3",
        objective=Classification(K, smoothing),
    )
    start, other = weights(loop.net), make_net()
    position = loop.run()
    losses = sgd_by_hand(other.train(), 3, rate, smoothing)
    assert relative(weights(loop.net) - start, weights(other) - start) < 1e-4
    assert relative(weights(loop.net), weights(other)) < 1e-6
    assert [row["train_loss"] for row in position.history] == pytest.approx(losses, rel=1e-5)


@pytest.mark.parametrize("micro_batch", [1, 3, 4, 9])
def test_accumulated_updates_are_those_of_whole_batches(micro_batch: int, tmp_path: Path) -> None:
    whole = make_loop(tmp_path / "whole")
    parts = make_loop(tmp_path / "parts", batches=batches(10, micro_batch))
    start = weights(whole.net)
    whole.run()
    parts.run()
    assert float((weights(whole.net) - start).norm()) > 0.01
    assert relative(weights(parts.net), weights(whole.net)) < 1e-6
    for ours, theirs in zip(parts.position.history, whole.position.history, strict=True):
        assert ours["train_loss"] == pytest.approx(theirs["train_loss"], rel=1e-6)
        assert ours["train_top1_error"] == theirs["train_top1_error"]


def test_one_accumulated_gradient_is_the_whole_one_in_float64(tmp_path: Path) -> None:
    """Scores go through float32 on their way to the loss; the gradient of the sum is exact."""
    found = []
    for micro_batch in (3, 10):
        net = make_net().double()
        loop = make_loop(
            tmp_path / str(micro_batch),
            "training.weight_decay=0",
            net=net,
            batches=batches(10, micro_batch, 10),
            prepare=lambda pictures, factors: prepare(pictures, factors).double(),
            epochs=1,
        )
        before = weights(net)
        loop.run()
        found.append(weights(net) - before)
    assert relative(found[0], found[1]) < 1e-6


def test_an_uneven_epoch_takes_every_picture_once(tmp_path: Path) -> None:
    seen: list[Tensor] = []

    def watch(pictures: Tensor, factors: Tensor) -> Tensor:
        seen.append(pictures)
        return prepare(pictures, factors)

    loop = make_loop(tmp_path, batches=batches(8, 3, 17), prepare=watch, epochs=1)
    (row,) = loop.run().history
    assert sum(len(pictures) for pictures in seen) == 17
    assert max(len(pictures) for pictures in seen) <= 3
    assert loop.batches.steps == 3
    assert row["train_top1_error"] * 17 / 100 == pytest.approx(
        round(row["train_top1_error"] * 0.17)
    )


def test_an_update_in_bf16_is_near_that_in_fp32(tmp_path: Path) -> None:
    ends = []
    for precision in ("fp32", "bf16"):
        net = make_net()
        loop = make_loop(
            tmp_path / precision,
            net=net,
            batches=batches(20, 10),
            machine=choose_machine("cpu", precision),
            epochs=1,
        )
        start = weights(net)
        loop.run()
        assert all(parameter.dtype == torch.float32 for parameter in net.parameters())
        ends.append(weights(net) - start)
    assert 1e-5 < relative(ends[1], ends[0]) < 0.1


def test_dropout_and_norm_are_on_while_training_alone(tmp_path: Path) -> None:
    modes = []
    loop = make_loop(tmp_path, net=make_net(0.5, "batch"))
    loop.net.register_forward_hook(lambda net, x, y: modes.append(net.training))
    inner = loop.validate

    def validate() -> Any:
        loop.net.eval()
        return inner()

    loop.validate = validate
    loop.run()
    assert modes == [True] * 6
