"""Scores and features from one pass are those of two."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
import torch
from engine_models import noise
from random_nets import random_classifier

from verydeep.models.engines.choice import make_engine
from verydeep.nets.googlenet import googlenet
from verydeep.nets.interface import Net
from verydeep.nets.lecun1989 import lecun1989
from verydeep.nets.vgg import vgg

NETS: dict[str, Net] = {
    "A": vgg("A", 3, input_size=32, width=0.125, hidden=64),
    "no hidden layers": vgg("A", 3, input_size=32, width=0.125, hidden=0),
    "solid": vgg("A", 3, input_size=32, width=0.125, hidden=64, channels=1, dimensions=3),
    "1989": lecun1989(3),
    "googlenet": googlenet(3, input_size=64, width=0.125),
}


class Counted:
    """A function that counts its calls."""

    def __init__(self, function: Any) -> None:
        self.function, self.calls = function, 0

    def __call__(self, *arguments: Any) -> Any:
        self.calls += 1
        return self.function(*arguments)


@pytest.mark.parametrize("name", NETS)
def test_a_net_gives_both(name: str, monkeypatch: pytest.MonkeyPatch) -> None:
    net = NETS[name].eval()
    side = net.input_size + (16 if net.any_size and net.dimensions == 2 else 0)
    x = torch.randn(2, net.channels, *[side] * net.dimensions)
    with torch.inference_mode():
        wanted = net.score_map(x)
        for layer in net.feature_layers:
            inner = net.activation_map(x, layer)
            counted = Counted(net.features.forward)
            monkeypatch.setattr(net.features, "forward", counted)
            found = net.scores_and_activations(x, layer)
            monkeypatch.undo()
            assert counted.calls == 1
            torch.testing.assert_close(found, (wanted, inner), rtol=1e-4, atol=1e-5)


@pytest.mark.parametrize("name", ["torch", "openvino", "onnxruntime"])
def test_an_engine_gives_both(name: str, monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setenv("VERYDEEP_CACHE", str(tmp_path))
    model = random_classifier(name="A")
    engine: Any = model.eager
    if name != "torch":
        pytest.importorskip(name)
        engine = make_engine(model, name, "fp32")
        monkeypatch.setattr(engine, "_make_eager", None)  # all comes from the runtime
    shown = noise(2, 40, 64)
    found = engine.scores_and_activations(shown, "fc7")
    wanted = model.eager.answers(shown), model.eager.activation_map(shown, "fc7")
    torch.testing.assert_close(found, wanted, rtol=1e-3, atol=1e-4)
