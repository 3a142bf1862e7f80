"""Heads with other activations than the paper's: left out with the reason, in every format.

The net that is made has ReLU between fully connected layers, so their scores would be others.
"""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
from matlab_files import cell, simple_net
from narrow_nets import caffe_net, onnx_net, torchvision_net
from onnx_files import Graph
from scipy.io import savemat

from verydeep.models.weights.formats.matconvnet.reader import read as read_matconvnet
from verydeep.models.weights.imported import Imported, import_file

ONLY_RELU = "the paper's head has only ReLU between its layers and a softmax at its end"


def between(kind: str) -> Callable[[Graph], None]:
    """Return a change of the ReLU after fc6."""

    def change(graph: Graph) -> None:
        relu = [node for node in graph.nodes if node.op_type == "Relu"][-2]
        relu.op_type, relu.name = kind, "other"

    return change


def after(kind: str) -> Callable[[Graph], None]:
    return lambda graph: graph.add(kind, name="other") and None


def softmax_within(graph: Graph) -> None:
    """Put a softmax between fc7 and its ReLU."""
    relu = graph.nodes[-2]
    place = graph.nodes.index(relu)
    graph.at = relu.input[0]
    graph.add("Softmax", name="other")
    graph.nodes.insert(place, graph.nodes.pop())
    relu.input[0] = graph.at


OTHERS: dict[str, tuple[Callable[[Graph], None], str]] = {
    "tanh": (between("Tanh"), "other: a node of type Tanh"),
    "leaky": (between("LeakyRelu"), "other: a node of type LeakyRelu"),
    "sigmoid": (between("Sigmoid"), "other: a node of type Sigmoid"),
    "softmax": (softmax_within, "other: a softmax before other layers"),
    "none": (between("Identity"), "Gemm_22: no ReLU follows"),
    "multi-label": (after("Sigmoid"), "other: a node of type Sigmoid"),
    "positive": (after("Relu"), "Gemm_26: a ReLU follows, though it is the last layer"),
}


def assert_left_out(found: Imported, fault: str) -> None:
    assert (found.match.name, found.match.head, found.config.classes) == ("A", (), ())
    whole = f"left out, because of {fault}; {ONLY_RELU}"
    assert sum(whole in str(one) for one in found.match.left_out) == 3
    assert whole in "\n".join(found.lines())


@pytest.mark.parametrize("kind", OTHERS)
def test_heads_of_graphs(tmp_path: Path, kind: str) -> None:
    graph = onnx_net(torchvision_net())
    change, fault = OTHERS[kind]
    change(graph)
    assert_left_out(import_file(graph.save(tmp_path)), fault)


@pytest.mark.parametrize("last", ["Softmax", "LogSoftmax", "Identity"])
def test_ends_that_keep_the_scores(tmp_path: Path, last: str) -> None:
    graph = onnx_net(torchvision_net()).add(last)
    assert len(import_file(graph.save(tmp_path)).match.head) == 3


@pytest.mark.parametrize("last", ["", "Sigmoid", "SigmoidCrossEntropyLoss", "Softmax", "HingeLoss"])
def test_heads_of_caffe(tmp_path: Path, last: str) -> None:
    file = caffe_net(torchvision_net())
    path = tmp_path / "net.caffemodel"
    if not last:  # TanH in place of the ReLU after fc6
        before, relu, rest = file.body.rpartition(b"ReLU")
        first, _, rest_of_first = before.rpartition(b"ReLU")
        file.body = first + b"TanH" + rest_of_first + relu + rest
    else:
        file.add("last", last)
    path.write_bytes(file.data())
    found = import_file(path)
    if last in ("Softmax", "HingeLoss"):
        assert len(found.match.head) == 3
        return
    what = f"a layer of type {last or 'TanH'}"
    line = next(one.source for one in found.match.left_out if what in one.source)
    assert_left_out(found, line)


def test_heads_of_matconvnet(tmp_path: Path) -> None:
    net, _ = simple_net()
    layers = [*np.ravel(net["layers"])]
    assert layers[-2]["name"] == "fc2"
    for kind, fault in (
        ("sigmoid", "relu_fc1: a layer of type sigmoid"),
        ("softmax", "relu_fc1: a softmax before other layers"),
        ("dropout", "fc1: no ReLU follows"),
    ):
        changed = [*layers[:-3], {"type": kind, "name": "relu_fc1"}, *layers[-2:]]
        savemat(tmp_path / "net.mat", net | {"layers": cell(*changed)})
        assert read_matconvnet(tmp_path / "net.mat").head_fault == fault
