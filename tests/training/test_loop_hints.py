"""Hints about a loss stuck at chance level."""

from __future__ import annotations

import math
from pathlib import Path

import pytest
import torch
from loop_parts import (
    Heard,
    K,
    Validation,
    make_loop,
    make_net,
)
from torch import nn

from verydeep.nets.vgg import vgg
from verydeep.training.remedies import Remedies


def test_a_loss_stuck_at_that_of_a_guess_gets_a_hint_after_three_epochs(tmp_path: Path) -> None:
    torch.manual_seed(0)
    fresh = vgg("A", K, input_size=32, width=0.125, hidden=64)  # begins at ln K
    heard = Heard()
    make_loop(
        tmp_path,
        "training.learning_rate=1e-12",
        "training.epochs=5",
        net=fresh,
        progress=heard,
        validate=Validation(math.log(K)),
    ).run()
    hints = [place for place, line in enumerate(heard.lines) if line.startswith("hint")]
    assert hints == [3]
    for part in ("shallower", "init_from=", "net__norm='batch'"):
        assert part in heard.lines[3]


def test_a_loss_far_above_that_of_a_guess_is_not_called_one(tmp_path: Path) -> None:
    heard = Heard()
    net = make_net()
    nn.init.normal_(net.classifier.fc8.weight, 0, 1e4)
    loop = make_loop(tmp_path, "training.learning_rate=1e-12", net=net, progress=heard)
    position = loop.run()
    assert min(row["train_loss"] for row in position.history) > 3 * math.log(K)
    assert not any("hint" in line for line in heard.lines)


@pytest.mark.parametrize("schedule", ["one-cycle", "cosine"])
def test_no_hint_is_given_while_the_rate_rises_nor_twice(schedule: str, tmp_path: Path) -> None:
    torch.manual_seed(0)
    fresh = vgg("A", K, input_size=32, width=0.125, hidden=64)
    heard = Heard()
    make_loop(
        tmp_path,
        *("training.learning_rate=1e-12", "training.epochs=10", f"training.schedule={schedule}"),
        *("training.warmup=0.35",),
        net=fresh,
        progress=heard,
        validate=Validation(math.log(K)),
        remedies=Remedies(batch_norm=False),
    ).run()
    (place,) = [place for place, line in enumerate(heard.lines) if line.startswith("hint")]
    assert heard.lines[place - 1].startswith(f"epoch {7 if schedule == 'one-cycle' else 3}:")
    assert "norm" not in heard.lines[place]


def test_no_hint_is_given_where_the_validation_shows_that_something_is_learned(
    tmp_path: Path,
) -> None:
    """With strong dropout, the training loss alone may stagnate."""
    torch.manual_seed(0)
    fresh = vgg("A", K, input_size=32, width=0.125, hidden=64)
    heard = Heard()
    settings = ("training.learning_rate=1e-12", "training.epochs=5")
    validation = Validation(math.log(K), 0.8)
    make_loop(tmp_path, *settings, net=fresh, progress=heard, validate=validation).run()
    assert not any("hint" in line for line in heard.lines)


def test_a_loss_that_falls_gets_no_hint(tmp_path: Path) -> None:
    heard = Heard()
    loop = make_loop(
        tmp_path,
        "training.learning_rate=0.01",
        "training.epochs=4",
        net=make_net(norm="batch"),
        progress=heard,
    )
    position = loop.run()
    assert position.history[2]["train_loss"] < 0.9 * math.log(K)
    assert not any("hint" in line for line in heard.lines)
