"""The ONNX graph of every net against PyTorch, in ONNX Runtime."""

from __future__ import annotations

from typing import Any

import numpy as np
import onnx
import onnxruntime
import pytest
import torch
from exported_nets import images
from random_nets import random_classifier

from verydeep.errors import InputError
from verydeep.evaluation.calibration import Calibration
from verydeep.models.classifier import Classifier
from verydeep.models.export.graph import onnx_graph

NETS: dict[str, dict[str, Any]] = {
    **{name: {"name": name} for name in ("A", "A-LRN", "B", "C", "D", "E")},
    "A with batch norm": {"name": "A", "batch_norm": True},
    "B with one linear layer": {"name": "B", "hidden": 0},
    "A on larger images": {"name": "A", "input_size": 80},
}


def answers(model: Classifier, pixels: np.ndarray, **options: Any) -> list[np.ndarray]:
    graph = onnx_graph(model, **options)
    onnx.checker.check_model(graph, full_check=True)
    session = onnxruntime.InferenceSession(
        graph.SerializeToString(), providers=["CPUExecutionProvider"]
    )
    return [np.asarray(one) for one in session.run(None, {"images": pixels})]


def expected(model: Classifier, pixels: np.ndarray) -> np.ndarray:
    """Return the scores (N, K, h, w) of the net itself in float64, preprocessing written out."""
    before = model.preprocessing
    x = torch.from_numpy(pixels).double().permute(0, 3, 1, 2)
    x = (x - torch.tensor(before.mean).double().view(3, 1, 1)) / before.divisor
    with torch.no_grad():
        found: np.ndarray = model.net.double().score_map(x).numpy()
    model.net.float()
    return found


def softmax(scores: np.ndarray) -> np.ndarray:
    powers = np.exp(scores - scores.max(1, keepdims=True))
    return np.asarray(powers / powers.sum(1, keepdims=True))


@pytest.mark.parametrize("net", NETS)
def test_it_answers_as_the_net(net: str) -> None:
    model = random_classifier(**NETS[net])
    side = model.input_size
    pixels = images(3, side, side)
    likely, scores = answers(model, pixels)
    truth = expected(model, pixels)
    assert scores.shape == (3, 4, 1, 1)
    np.testing.assert_allclose(scores, truth, atol=1e-4)
    np.testing.assert_allclose(likely, softmax(truth[:, :, 0, 0]), atol=1e-5)


@pytest.mark.parametrize("net", NETS)
def test_its_dense_form_takes_larger_images(net: str) -> None:
    model = random_classifier(**NETS[net])
    side = model.input_size
    for height, width in ((side, side), (side + 32, side + 75)):
        pixels = images(2, height, width)
        likely, scores = answers(model, pixels, dense=True)
        truth = expected(model, pixels)
        assert scores.shape == truth.shape
        np.testing.assert_allclose(scores, truth, atol=1e-4)
        np.testing.assert_allclose(likely, softmax(truth.mean((2, 3))), atol=1e-5)


def test_the_padding_is_of_the_mean_colour() -> None:
    # A folded mean would differ from this at the border of the image.
    model = random_classifier(name="A", mean=(200.0, 30.0, 90.0))
    pixels = np.broadcast_to(np.array([200, 30, 90], np.uint8), (1, 32, 32, 3)).copy()
    _, scores = answers(model, pixels)
    np.testing.assert_allclose(scores, expected(model, pixels), atol=1e-6)


def test_the_temperature_divides_the_scores() -> None:
    model = random_classifier(name="A")
    model.calibration = Calibration(2.5, "val", "dense", 9, 1.0, 0.9)
    pixels = images(2, 32, 32)
    likely, scores = answers(model, pixels)
    np.testing.assert_allclose(likely, softmax(scores[:, :, 0, 0] / 2.5), atol=1e-6)


@pytest.mark.parametrize("dense", [False, True])
def test_layers_that_describe_images_are_outputs_on_demand(dense: bool) -> None:
    model = random_classifier(name="C", batch_norm=True)
    pixels = images(2, 64 if dense else 32, 32)
    layers = ("pool5", "fc7", "fc6")
    found = answers(model, pixels, dense=dense, outputs=layers)
    shown = torch.from_numpy(pixels).permute(0, 3, 1, 2)
    for layer, values in zip(layers, found, strict=True):
        np.testing.assert_allclose(values, model.activation_map(shown, layer), atol=1e-4)


def test_layers_that_no_output_needs_are_left_out() -> None:
    graph = onnx_graph(random_classifier(name="A"), outputs=["pool5"]).graph
    assert graph.node[-2].op_type == "MaxPool"
    assert not [one.name for one in graph.initializer if one.name.startswith("classifier")]


def test_a_net_without_classes_gives_its_last_map() -> None:
    model = random_classifier(name="A", num_classes=0)
    pixels = images(2, 64, 96)
    (maps,) = answers(model, pixels, dense=True)
    assert maps.shape[2:] == (2, 3)
    shown = torch.from_numpy(pixels).permute(0, 3, 1, 2)
    np.testing.assert_allclose(maps, model.activation_map(shown, "pool5"), atol=1e-4)


def test_an_unknown_output_is_refused() -> None:
    with pytest.raises(InputError, match=r"no output 'fc8'; it has probabilities, scores, fc7"):
        onnx_graph(random_classifier(name="A"), outputs=["fc8"])
    with pytest.raises(InputError, match="no output 'fc6'; it has probabilities, scores, pool5"):
        onnx_graph(random_classifier(name="A", hidden=0), outputs=["fc6"])
