"""Whole nets through Caffe, MatConvNet and ONNX files: the scores of the model are those of others.

The nets are narrow ones with random weights; the others are OpenCV, ONNX Runtime and torch.
"""

from __future__ import annotations

import os
from pathlib import Path

import numpy as np
import pytest
import torch
from caffe_files import Net as CaffeNet
from matlab_files import cell
from onnx_files import Graph
from scipy.io import savemat
from torch import Tensor

from verydeep.models.weights.imported import Imported, import_file
from verydeep.nets.interface import Net
from verydeep.nets.table import TABLE_1
from verydeep.nets.vgg import vgg

MEAN = np.array([123.68, 116.779, 103.939], np.float32)
SIDE = 64
"""Side of the images; the head reads a map of 2x2."""

CLASSES = 5


@pytest.fixture(scope="module")
def net() -> Net:
    torch.manual_seed(0)
    net = vgg("D", CLASSES, width=0.0625, input_size=SIDE, hidden=40).eval().requires_grad_(False)
    for value in net.state_dict().values():
        value += 0.05 * torch.randn(value.shape)
    return net


@pytest.fixture(scope="module")
def pixels() -> np.ndarray:
    return np.random.default_rng(0).integers(0, 256, (2, 3, SIDE, SIDE)).astype(np.float32)


def arrays(net: Net) -> dict[str, tuple[np.ndarray, np.ndarray]]:
    """Return weights and biases by the names of the paper."""
    state = net.state_dict()
    names = [key.removesuffix(".weight") for key in state if key.endswith(".weight")]
    return {
        name.split(".")[-1]: (state[f"{name}.weight"].numpy(), state[f"{name}.bias"].numpy())
        for name in names
    }


def expected(net: Net, x: np.ndarray) -> np.ndarray:
    with torch.no_grad():
        return net(torch.from_numpy(x.copy())).numpy()


def scores_of(found: Imported, pixels: np.ndarray) -> np.ndarray:
    """Return the model's scores of RGB pixels, 0 to 255."""
    mean = torch.tensor(found.config.preprocessing.mean).view(1, 3, 1, 1)
    with torch.no_grad():
        x: Tensor = (torch.from_numpy(pixels) - mean) / found.config.preprocessing.divisor
        return found.net.eval()(x).numpy()


def caffe_file(net: Net, path: Path) -> tuple[Path, str]:
    """Write a net as Caffe's file of weights, and return its path and description."""
    out = CaffeNet()
    text = [f'input: "data" input_shape {{ dim: 1 dim: 3 dim: {SIDE} dim: {SIDE} }}']
    at = "data"
    for name, (weight, bias) in arrays(net).items():
        pair = f'name: "{name}" bottom: "{at}" top: "{name}"'
        if name.startswith("conv"):
            out.conv(name, weight, bias).relu()
            kind = f"num_output: {len(weight)} kernel_size: 3 pad: 1"
            text.append(f'layer {{ type: "Convolution" {pair} convolution_param {{ {kind} }} }}')
        else:
            out.dense(name, weight, bias)
            kind = f"num_output: {len(weight)}"
            text.append(f'layer {{ type: "InnerProduct" {pair} inner_product_param {{ {kind} }} }}')
        at = name
        if name != "fc8":
            out = out if name.startswith("conv") else out.relu()
            text.append(f'layer {{ type: "ReLU" name: "r{name}" bottom: "{at}" top: "r{name}" }}')
            at = f"r{name}"
        if ends_block(name):
            out.pool(f"p{name}")
            kind = "pool: MAX kernel_size: 2 stride: 2"
            text.append(
                f'layer {{ type: "Pooling" name: "p{name}" bottom: "{at}" top: "p{name}" '
                f"pooling_param {{ {kind} }} }}"
            )
            at = f"p{name}"
    path.write_bytes(out.data())
    return path, "\n".join(text)


def ends_block(name: str) -> bool:
    """Return whether a pool follows a layer of net D."""
    if not name.startswith("conv"):
        return False
    block, place = name.removeprefix("conv").split("_")
    return len(TABLE_1["D"][int(block) - 1]) == int(place)


def test_caffe(tmp_path: Path, net: Net, pixels: np.ndarray) -> None:
    cv2 = pytest.importorskip("cv2", reason="opencv-python-headless is not installed")
    path, text = caffe_file(net, tmp_path / "d.caffemodel")
    theirs = cv2.dnn.readNetFromCaffe(
        np.frombuffer(text.encode(), np.uint8), np.frombuffer(path.read_bytes(), np.uint8)
    )
    theirs.setInput((pixels[:, ::-1] - MEAN[::-1, None, None]).copy())  # blue, green, red
    found = import_file(path)
    assert (found.match.name, found.match.left_out) == ("D", ())
    reference = theirs.forward()
    np.testing.assert_allclose(scores_of(found, pixels), reference, rtol=1e-3, atol=1e-3)


def matconvnet_file(
    net: Net, path: Path, *, compressed: bool = False, **normalization: object
) -> Path:
    """Write a net as MatConvNet's file of weights."""
    layers: list[dict[str, object]] = []
    for name, (weight, bias) in arrays(net).items():
        kernel = weight if weight.ndim == 4 else weight.reshape(len(weight), -1, 1, 1)
        if name == "fc6":
            kernel = weight.reshape(len(weight), -1, SIDE // 32, SIDE // 32)
        filters = cell(kernel.transpose(2, 3, 1, 0), bias[None])
        pad = float(name.startswith("conv"))
        layers.append({"type": "conv", "name": name, "weights": filters, "pad": pad})
        layers += [{"type": "relu"}] * (name != "fc8")
        if ends_block(name):
            sides = np.array([[2.0, 2.0]])
            layers.append({"type": "pool", "name": "p", "pool": sides, "stride": 2.0})
    normalization |= {"averageImage": MEAN.reshape(1, 1, 3), "imageSize": np.array([[64.0, 64, 3]])}
    classes = {"description": cell("a", "b", "c", "d", "e"), "name": cell(*"vwxyz")}
    meta = {"normalization": normalization, "classes": classes}
    savemat(path, {"layers": cell(*layers), "meta": meta}, do_compression=compressed)
    return path


@pytest.mark.parametrize("compressed", [True, False])
def test_matconvnet(tmp_path: Path, net: Net, pixels: np.ndarray, compressed: bool) -> None:
    found = import_file(matconvnet_file(net, tmp_path / "d.mat", compressed=compressed))
    assert (found.match.name, found.match.left_out) == ("D", ())
    assert found.config.classes == ("a", "b", "c", "d", "e")
    assert found.config.net.input_size == SIDE
    reference = expected(net, pixels - MEAN[:, None, None])
    np.testing.assert_allclose(scores_of(found, pixels), reference, rtol=1e-3, atol=1e-3)


def test_other_rescaling(tmp_path: Path, net: Net) -> None:
    """What a file says of the rescaling and is not done here is said, in text and as JSON."""
    path = tmp_path / "d.mat"
    usual = import_file(matconvnet_file(net, path))
    assert usual.to_dict()["departures"] == []
    assert "not done as by the source:" not in [*usual.lines()]
    square = {"keepAspect": False, "border": np.array([[0.0, 0.0]])}
    found = import_file(matconvnet_file(net, path, interpolation="bicubic", **square))
    assert (found.facts["resize"].value, found.facts["interpolation"].value) == (0, "bicubic")
    assert found.to_dict()["departures"] == [
        "it squashes images to 64x64 (normalization.keepAspect is false); here their smallest side "
        "becomes 64 and the central crop is taken, which differs unless they are square",
        "it rescales images by bicubic interpolation (normalization.interpolation); here they are "
        "rescaled by bilinear interpolation",
    ]
    lines = [*found.lines()]
    begin = lines.index("not done as by the source:") + 1
    assert [line.strip() for line in lines[begin:]] == found.to_dict()["departures"]


def graph_of(net: Net, *, keras: bool) -> Graph:
    """Return a net as a graph, of PyTorch or, with preprocessing in it, of Keras."""
    graph = Graph(("N", SIDE, SIDE, 3) if keras else ("N", 3, SIDE, SIDE))
    if keras:
        graph.add("Gather", np.array([2, 1, 0]), axis=3).add("Sub", MEAN[::-1].copy())
        graph.add("Transpose", perm=[0, 3, 1, 2])
    for name, (weight, bias) in arrays(net).items():
        if name.startswith("conv"):
            graph.conv(weight, bias).relu()
        elif keras:
            if name == "fc6":
                maps = weight.reshape(len(weight), -1, SIDE // 32, SIDE // 32)
                weight = maps.transpose(0, 2, 3, 1).reshape(len(weight), -1)
                graph.add("Transpose", perm=[0, 2, 3, 1]).add("Reshape", np.array([0, -1]))
            graph.add("MatMul", weight.T.copy()).add("Add", bias)
        else:
            graph = graph.add("Flatten") if name == "fc6" else graph
            graph.add("Gemm", weight, bias, transB=1)
        if name.startswith("fc") and name != "fc8":
            graph.relu()
        if ends_block(name):
            graph.pool()
    return graph


@pytest.mark.parametrize("keras", [True, False])
def test_onnx(tmp_path: Path, net: Net, pixels: np.ndarray, keras: bool) -> None:
    ort = pytest.importorskip("onnxruntime", reason="onnxruntime is not installed")
    graph = graph_of(net, keras=keras)
    options = ort.SessionOptions()
    options.intra_op_num_threads = 1
    session = ort.InferenceSession(graph.data(), options, providers=["CPUExecutionProvider"])
    said = None if keras else {"mean": (0, 0, 0), "std": (1, 1, 1)}
    found = import_file(graph.save(tmp_path), said)
    assert (found.match.name, found.match.left_out) == ("D", ())
    theirs = session.run(None, {"input": pixels.transpose(0, 2, 3, 1) if keras else pixels})[0]
    np.testing.assert_allclose(scores_of(found, pixels), theirs, rtol=1e-3, atol=1e-3)


def test_kernels_of_5x5(tmp_path: Path, pixels: np.ndarray) -> None:
    """The shallow net of section 4.1, whose kernels are no fully connected layers."""
    ort = pytest.importorskip("onnxruntime", reason="onnxruntime is not installed")
    torch.manual_seed(0)
    net = vgg("B-5x5", CLASSES, width=0.0625, input_size=SIDE, hidden=40).eval()
    graph = Graph(("N", 3, SIDE, SIDE))
    for name, (weight, bias) in arrays(net.requires_grad_(False)).items():
        if name.startswith("conv"):
            graph.conv(weight, bias, pads=[2] * 4).relu().pool()
        else:
            graph.add("Flatten").add("Gemm", weight, bias, transB=1)
            graph = graph if name == "fc8" else graph.relu()
    found = import_file(graph.save(tmp_path), {"mean": (0, 0, 0), "std": (1, 1, 1)})
    assert (found.match.name, found.match.left_out) == ("B-5x5", ())
    session = ort.InferenceSession(graph.data(), providers=["CPUExecutionProvider"])
    theirs = session.run(None, {"input": pixels})[0]
    np.testing.assert_allclose(scores_of(found, pixels), theirs, rtol=1e-3, atol=1e-3)


@pytest.mark.slow
def test_features_of_a_real_graph() -> None:
    """The last map of a fine-tuned net D equals ONNX Runtime's on the graph cut off there."""
    onnx, ort = pytest.importorskip("onnx"), pytest.importorskip("onnxruntime")
    path = os.environ.get("VERYDEEP_REAL_ONNX", "")
    if not path:
        pytest.skip("VERYDEEP_REAL_ONNX names no file")
    model = onnx.load(path)
    last = next(node for node in reversed(model.graph.node) if node.op_type == "MaxPool").output[0]
    model.graph.output.extend([onnx.helper.make_empty_tensor_value_info(last)])
    session = ort.InferenceSession(model.SerializeToString(), providers=["CPUExecutionProvider"])
    x = np.random.default_rng(0).random((1, 240, 240, 3), np.float32)
    theirs = session.run([last], {"input": x})[0]
    given = {"channels": "rgb", "mean": (0, 0, 0), "std": (255, 255, 255)}
    found = import_file(Path(path), given)
    rgb = torch.from_numpy(x.transpose(0, 3, 1, 2) * 255)
    with torch.no_grad():
        ours = found.net.features(rgb / found.config.preprocessing.divisor).numpy()
    np.testing.assert_allclose(ours, theirs, rtol=1e-3, atol=1e-3 * np.abs(theirs).max())
