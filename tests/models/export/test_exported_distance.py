"""The distance from the training images in graphs and programs, against scikit-learn's.

The features that it is computed of are those of the net in float64, position by position.
"""

from __future__ import annotations

import dataclasses
from pathlib import Path
from typing import Any

import numpy as np
import onnx
import onnxruntime
import pytest
import torch
from exported_nets import images
from random_nets import random_classifier
from sklearn.metrics.pairwise import cosine_distances
from sklearn.preprocessing import normalize
from telling_nets import odd_images, plain_features, telling

from verydeep.evaluation.abstention.abstention import Abstention, Familiar
from verydeep.evaluation.abstention.familiarity import Familiarity, ProjectedFamiliarity
from verydeep.models.classifier import Classifier
from verydeep.models.engines.quantization import write_int8
from verydeep.models.export.describe import describe
from verydeep.models.export.graph import onnx_graph
from verydeep.models.export.int8_graph import int8_graph
from verydeep.models.export.program import exported_program
from verydeep.models.preprocessing import Preprocessing
from verydeep.nets.googlenet import googlenet
from verydeep.nets.lecun1989 import lecun1989

NETS: dict[str, dict[str, Any]] = {
    "fc7": {"name": "A"},
    "fc7 after batch norm": {"name": "C", "batch_norm": True},
    "fc7 of larger images": {"name": "A", "input_size": 80},
    "pool5": {"name": "B", "hidden": 0},
}
ALL = ["probabilities", "scores", "distance", "features", "projections"]


def teller(**net: Any) -> Classifier:
    side = net.get("input_size", 32)
    train = [image.resize((side, side)) for image in odd_images(6, seed=1)]
    return telling(random_classifier(**net), train, train)


def run(graph: Any, pixels: np.ndarray) -> dict[str, np.ndarray]:
    onnx.checker.check_model(graph, full_check=True)
    text = graph.SerializeToString()
    session = onnxruntime.InferenceSession(text, providers=["CPUExecutionProvider"])
    names = [one.name for one in session.get_outputs()]
    return dict(zip(names, session.run(None, {"images": pixels}), strict=True))


def expected(model: Classifier, features: np.ndarray) -> np.ndarray:
    assert model.familiarity is not None
    return np.asarray(cosine_distances(features, model.familiarity.means).min(1))


@pytest.mark.parametrize("dense", [False, True])
@pytest.mark.parametrize("net", NETS)
def test_the_graph_gives_the_distance(net: str, dense: bool) -> None:
    model = teller(**NETS[net])
    side = model.input_size
    pixels = images(3, side + 32 * dense, side + 43 * dense)
    found = run(onnx_graph(model, dense=dense), pixels)
    assert list(found) == ALL
    features = plain_features(model, pixels)
    assert found["distance"].shape == (3,)
    np.testing.assert_allclose(found["distance"], expected(model, features), atol=1e-5)
    np.testing.assert_allclose(found["features"], features, atol=1e-4)
    assert model.familiarity is not None
    products = features @ model.familiarity.means.T
    np.testing.assert_allclose(found["projections"], products, atol=1e-4)


def test_several_views_have_the_distance_of_their_mean_features() -> None:
    model = teller(name="A")
    graph = onnx_graph(model, dense=True)
    views = [images(2, 32, 40, 1), images(2, 64, 75, 2), images(2, 64, 75, 3)]
    weights = np.array([0.5, 0.25, 0.25])
    rows = [run(graph, view) for view in views]
    both = [np.concatenate([one["features"], one["projections"]], 1) for one in rows]
    sizes = ProjectedFamiliarity(both[0].shape[1] - 3, 3)
    found = sizes.distances(np.tensordot(weights, both, 1))
    features = np.tensordot(weights, [plain_features(model, view) for view in views], 1)
    wanted = expected(model, features)
    np.testing.assert_allclose(found, wanted, atol=1e-5)
    mean_of_distances = np.tensordot(weights, [one["distance"] for one in rows], 1)
    assert np.abs(mean_of_distances - wanted).max() > 1e-3  # which would be something else


def test_the_operators_are_those_of_the_standard() -> None:
    """In the reference evaluator of ONNX, which shares no code with any runtime."""
    from onnx.reference import ReferenceEvaluator

    model = teller(name="B", hidden=0)
    pixels = images(1, 32, 32)
    graph = onnx_graph(model, outputs=["distance"])
    (found,) = ReferenceEvaluator(graph).run(None, {"images": pixels})
    wanted = expected(model, plain_features(model, pixels))
    np.testing.assert_allclose(found, wanted, atol=1e-5)


def test_an_image_without_any_feature_is_like_none() -> None:
    model = teller(name="A")
    with torch.no_grad():
        model.net.classifier.fc7.weight.zero_()
        model.net.classifier.fc7.bias.fill_(-1)
    found = run(onnx_graph(model), images(2, 32, 32))
    assert found["distance"].tolist() == [1, 1]
    rows = np.concatenate([found["features"], found["projections"]], 1)
    sizes = ProjectedFamiliarity(found["features"].shape[1], 3)
    assert sizes.distances(rows).tolist() == [1, 1]


def test_files_of_other_models_stay_as_they_are() -> None:
    """Whether nothing was learned, or only a threshold, or the means are unknown."""
    plain = random_classifier(name="A")
    text = onnx_graph(plain).SerializeToString()
    teaching = telling(plain, odd_images(4), odd_images(4))
    assert teaching.abstention is not None
    unlimited = dataclasses.replace(teaching.abstention, familiar=None)
    for model in (
        dataclasses.replace(teaching, familiarity=None),
        dataclasses.replace(teaching, abstention=None),
        dataclasses.replace(teaching, abstention=unlimited),
    ):
        assert onnx_graph(model).SerializeToString() == text
        about = describe(model, dense=False)
        assert about.unlike is None
        assert about.abstention is None or about.abstention["familiar"] is None
    assert '"unlike"' not in describe(plain, dense=False).to_json()
    without = describe(dataclasses.replace(teaching, familiarity=None), dense=False).abstention
    assert without is not None
    assert without["threshold"]["least"] == 1.0  # the one that was tested without the distance
    about = describe(teaching, dense=False)
    assert about.unlike == {"features": teaching.feature_size, "projections": 3}


@pytest.mark.parametrize("name", ["LeCun 1989", "GoogLeNet"])
def test_the_other_nets_give_the_distance_of_their_features(name: str) -> None:
    net = lecun1989(3) if name == "LeCun 1989" else googlenet(3, width=0.1, input_size=32)
    model = dataclasses.replace(random_classifier(name="A", num_classes=3), net=net.eval())
    model.preprocessing = Preprocessing((120.0,) * 3, 60.0, net.channels)
    side = model.input_size
    pixels = images(4, side, side)
    _, maps = model.scores_and_features(pixels.transpose(0, 3, 1, 2))
    features = maps.mean((2, 3))
    reference = Familiarity(normalize(features[:2] + 0.1).astype(np.float32), 2)
    learned = Abstention("val", "center", familiar=Familiar(0.1, 2.0, 9, model.feature_layer, 2))
    model = dataclasses.replace(model, abstention=learned, familiarity=reference)
    wanted = expected(model, features)
    found = run(onnx_graph(model), pixels)
    np.testing.assert_allclose(found["distance"], wanted, atol=1e-5)
    program = exported_program(model, dense=False).module()
    np.testing.assert_allclose(program(torch.from_numpy(pixels))[2], wanted, atol=1e-5)


@pytest.mark.parametrize("dense", [False, True])
@pytest.mark.parametrize("net", ["fc7", "pool5"])
def test_the_program_gives_the_distance(net: str, dense: bool) -> None:
    model = teller(**NETS[net])
    program = exported_program(model, dense=dense).module()
    pixels = images(3, 32 + 32 * dense, 32 + 43 * dense)
    found = dict(zip(ALL, program(torch.from_numpy(pixels)), strict=True))
    features = plain_features(model, pixels)
    np.testing.assert_allclose(found["distance"], expected(model, features), atol=1e-5)
    np.testing.assert_allclose(found["features"], features, atol=1e-4)


def test_the_program_of_other_models_gives_two_values() -> None:
    program = exported_program(random_classifier(name="A"), dense=False).module()
    assert len(program(torch.from_numpy(images(1, 32, 32)))) == 2


@pytest.mark.parametrize("dense", [False, True])
@pytest.mark.parametrize("net", ["fc7", "pool5"])
def test_the_int8_variant_gives_the_distance_of_its_own_features(
    net: str, dense: bool, tmp_path: Path
) -> None:
    model = teller(**NETS[net])
    write_int8(model, [images(1, 48, 48, seed) for seed in range(4)], tmp_path / "int8.onnx")
    model.int8 = tmp_path / "int8.onnx"
    pixels = images(3, 32 + 32 * dense, 32 + 32 * dense, seed=9)
    found = run(int8_graph(model, dense=dense), pixels)
    assert set(found) == set(ALL)
    tapped = onnx.load(model.int8)
    layer = {"fc7": "classifier.relu7", "pool5": "features.pool5"}[net]
    tapped.graph.output.append(onnx.helper.make_tensor_value_info(layer, 1, [None] * 4))
    features = run(tapped, pixels)[layer].mean((2, 3))
    np.testing.assert_allclose(found["features"], features, atol=1e-6)
    np.testing.assert_allclose(found["distance"], expected(model, features), atol=1e-5)
    exact = expected(model, plain_features(model, pixels))
    assert 0 < np.abs(found["distance"] - exact).max() < 0.1
