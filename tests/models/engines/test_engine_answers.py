"""Every engine answers like eager PyTorch, whatever the size and number of the images."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from engine_models import noise
from random_nets import random_classifier
from torch import Tensor
from torchvision.models import vgg11

from verydeep.errors import SizeError
from verydeep.models.classifier import Classifier
from verydeep.models.engines.choice import make_engine
from verydeep.models.engines.compiled import Compiled
from verydeep.models.engines.interface import Engine
from verydeep.models.engines.openvino_runner import OpenVinoRunner
from verydeep.system.device import choose_machine

pytestmark = pytest.mark.usefixtures("own_cache")

FOREIGN = ("openvino", "onnxruntime")
SIZES = [(1, 32, 32), (3, 32, 32), (2, 32, 64), (3, 47, 70), (1, 96, 33)]
NETS: list[dict[str, Any]] = [
    {"name": "A"},
    {"name": "A-LRN"},
    {"name": "C", "batch_norm": True},
    {"name": "D", "hidden": 0},
    {"name": "E", "num_classes": 1},
]


def close(found: Tensor, wanted: Tensor) -> None:
    assert found.shape == wanted.shape
    assert found.dtype == torch.float32
    assert (found - wanted).abs().max() <= 1e-4 * max(1.0, float(wanted.abs().max()))


@pytest.mark.parametrize("net", NETS, ids=lambda net: net["name"])
@pytest.mark.parametrize("name", FOREIGN)
def test_an_engine_answers_like_torch_at_every_size(name: str, net: dict[str, Any]) -> None:
    pytest.importorskip(name)
    model = random_classifier(**net)
    engine = make_engine(model, name, "fp32")
    assert (engine.name, engine.precision) == (name, "fp32")
    for count, height, width in SIZES:
        shown = noise(count, height, width)
        close(engine.answers(shown), model.eager.answers(shown))


@pytest.mark.parametrize("name", FOREIGN)
def test_an_engine_gives_the_layers_that_describe_images(name: str) -> None:
    pytest.importorskip(name)
    model = random_classifier(name="B")
    engine = make_engine(model, name, "fp32")
    for layer in model.net.feature_layers:
        for shape in ((2, 32, 32), (1, 40, 72)):
            shown = noise(*shape)
            close(engine.activation_map(shown, layer), model.eager.activation_map(shown, layer))
        assert engine.engine_of(layer) is engine


@pytest.mark.parametrize("name", FOREIGN)
def test_a_net_without_head_gives_its_last_map(name: str) -> None:
    pytest.importorskip(name)
    model = random_classifier(name="A", num_classes=0)
    engine = make_engine(model, name, "fp32")
    shown = noise(2, 40, 64)
    close(engine.activation_map(shown, "pool5"), model.eager.activation_map(shown, "pool5"))


@pytest.mark.parametrize("name", FOREIGN)
def test_torch_computes_what_the_graph_lacks(name: str) -> None:
    pytest.importorskip(name)
    model = random_classifier(name="A")
    engine = make_engine(model, name, "fp32")
    shown = noise(1, 40, 40)
    maps = engine.maps(shown, ["conv1_1", "pool3"])
    for layer, values in model.eager.maps(shown, ["conv1_1", "pool3"]).items():
        assert torch.equal(maps[layer], values)
    real = shown.float()
    assert torch.equal(engine.answers(real), model.eager.answers(real))  # no whole numbers
    with pytest.raises(SizeError, match="31x40"):
        engine.answers(noise(1, 31, 40))
    assert engine.answers(shown[:0]).shape == model.eager.answers(shown[:0]).shape


@pytest.mark.parametrize("name", FOREIGN)
def test_a_very_large_image_is_left_to_torch(name: str, monkeypatch: pytest.MonkeyPatch) -> None:
    pytest.importorskip(name)
    model = random_classifier(name="A")
    engine = make_engine(model, name, "fp32")
    monkeypatch.setattr("verydeep.models.engines.foreign.PIXELS_AT_MOST", 0)
    monkeypatch.setattr(engine, "_run", None)
    shown = noise(1, 40, 40)
    assert torch.equal(engine.answers(shown), model.eager.answers(shown))


@pytest.mark.slow
@pytest.mark.parametrize("name", FOREIGN)
def test_an_engine_answers_like_torchvision(name: str) -> None:
    """The same weights in torchvision's own net, which shares no code with ours."""
    pytest.importorskip(name)
    torch.manual_seed(0)
    other = vgg11(num_classes=7, init_weights=False).eval()
    model = random_classifier(name="A", num_classes=7, input_size=224, width=1.0)
    with torch.no_grad():
        for ours, theirs in zip(model.net.parameters(), other.parameters(), strict=True):
            theirs.copy_(ours.view_as(theirs))
    shown = noise(1, 224, 224)
    mean = torch.tensor(model.preprocessing.mean).view(3, 1, 1)
    with torch.inference_mode():
        wanted = other((shown - mean) / model.preprocessing.divisor)
    close(make_engine(model, name, "fp32").answers(shown)[..., 0, 0], wanted)


def test_openvino_keeps_the_shapes_used_last(monkeypatch: pytest.MonkeyPatch) -> None:
    pytest.importorskip("openvino")
    monkeypatch.setattr("verydeep.models.engines.openvino_runner.MOST_SHAPES", 2)
    engine = make_engine(random_classifier(name="A"), "openvino", "fp32")
    compiled: list[tuple[tuple[str, ...], int, int]] = []
    store = engine._runner._compiled  # type: ignore[attr-defined]
    make = store._make
    store._make = lambda key: compiled.append(key) or make(key)
    for count, side in ((4, 32), (1, 32), (3, 40), (4, 32), (1, 48), (2, 32), (1, 40)):
        engine.answers(noise(count, side, side))
    assert [height for _, height, _ in compiled] == [32, 40, 48, 40]
    assert len(store.keys()) == 2


def test_openvino_takes_the_precision_that_it_is_told() -> None:
    """On processors with bf16, OpenVINO would silently take it for a net in fp32."""
    openvino = pytest.importorskip("openvino")
    runner = make_engine(random_classifier(name="A"), "openvino", "fp32")._runner  # type: ignore[attr-defined]
    assert isinstance(runner, OpenVinoRunner)
    runner.run(noise(1, 32, 32).permute(0, 2, 3, 1).contiguous().numpy(), "scores")
    request = runner._compiled[("scores",), 32, 32]
    found = request.get_compiled_model().get_property("INFERENCE_PRECISION_HINT")
    assert found == openvino.Type.f32


def test_openvino_does_not_compute_in_another_precision_in_silence() -> None:
    openvino = pytest.importorskip("openvino")
    if "BF16" in openvino.Core().get_property("CPU", "OPTIMIZATION_CAPABILITIES"):
        pytest.skip("this processor has bf16")
    engine = make_engine(random_classifier(name="A"), "openvino", "bf16")
    with pytest.raises(RuntimeError, match="computes in f32 instead of bf16 on this processor"):
        engine.answers(noise(1, 32, 32))


def compiled(model: Classifier) -> Engine:
    return Compiled(model.net, model.preprocessing, model.machine, exact_answers=False)


@pytest.mark.slow
@pytest.mark.filterwarnings("ignore")
def test_compiled_convolutions_answer_like_eager_ones() -> None:
    model = random_classifier(name="A", batch_norm=True)
    engine = compiled(model)
    for count, height, width in SIZES:
        shown = noise(count, height, width)
        close(engine.answers(shown), model.eager.answers(shown))
        close(engine.activation_map(shown, "fc7"), model.eager.activation_map(shown, "fc7"))
    shown = noise(1, 40, 40)
    assert torch.equal(
        engine.maps(shown, ["pool1"])["pool1"], model.eager.maps(shown, ["pool1"])["pool1"]
    )


@pytest.mark.parametrize("name", FOREIGN)
def test_predictions_of_engines_agree(
    name: str, trained_run: Path, pictures: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    import verydeep
    from verydeep.system.settings import Compute

    pytest.importorskip(name)
    usual = verydeep.load(trained_run, Compute("cpu", "fp32"))
    other = usual.on(choose_machine("cpu", "fp32", name))
    other._engine = make_engine(usual, name, "fp32")
    for how in ({}, {"scales": [32, 48]}, {"flip": False}):
        first = usual.predict(pictures / "test", **how)
        second = other.predict(pictures / "test", **how)
        assert (first.engine, second.engine) == ("torch", name)
        likely = [np.stack([p.probabilities for p in found]) for found in (first, second)]  # type: ignore[misc]
        np.testing.assert_allclose(likely[1], likely[0], atol=1e-5)


def test_gradients_come_from_torch() -> None:
    model = random_classifier(name="A")
    moved = replace(model, machine=choose_machine("cpu", "fp32", "openvino"))
    assert moved.exact is moved
    x = moved.eager.input_of(noise(1, 32, 32)).requires_grad_()
    moved.eager.net(x).sum().backward()
    assert x.grad is not None
