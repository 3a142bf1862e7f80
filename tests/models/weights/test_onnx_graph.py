"""ONNX graphs against ONNX Runtime, and against the arrays they were made of."""

from __future__ import annotations

import os
import sys
from collections.abc import Callable
from pathlib import Path

import numpy as np
import onnx
import pytest
import torch
from caffe_files import field
from damage import assert_damage_named
from hostile import edits, mutate
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from onnx import TensorProto, helper
from onnx_files import BIASES, WEIGHTS, Graph, keras, pytorch, random
from source_forward import forward

from verydeep.errors import MissingExtra, ModelError
from verydeep.models.weights.formats.onnx import reader as onnx_file
from verydeep.models.weights.formats.onnx.reader import matches, read
from verydeep.models.weights.source import SourceFile

ort = pytest.importorskip("onnxruntime", reason="onnxruntime is not installed")


def read_graph(folder: Path, graph: Graph) -> SourceFile:
    path = graph.save(folder)
    assert matches(path.read_bytes()[:4096], path)
    return read(path)


def scores(graph: Graph, x: np.ndarray) -> np.ndarray:
    options = ort.SessionOptions()
    options.log_severity_level, options.intra_op_num_threads = 3, 1
    session = ort.InferenceSession(graph.data(), options, providers=["CPUExecutionProvider"])
    return session.run(None, {"input": x})[0]


def agree(folder: Path, graph: Graph, *, softmax: bool = False, nhwc: bool = False) -> SourceFile:
    """Read a graph and compare its scores with ONNX Runtime's."""
    source = read_graph(folder, graph)
    x = random(2, 3, 8, 8, seed=9)
    expected = scores(graph, x.transpose(0, 2, 3, 1) if nhwc else x)
    ours = forward(source, torch.from_numpy(x))
    ours = ours.softmax(1) if softmax else ours
    np.testing.assert_allclose(ours, expected, rtol=1e-4, atol=1e-4)
    return source


def test_graph_of_pytorch(tmp_path: Path) -> None:
    source = agree(tmp_path, pytorch())
    assert [layer.name for layer in source.layers[:2]] == ["features.conv1", "features.conv2"]
    assert {layer.flatten for layer in source.layers} == {"chw"}
    assert (source.format, source.family) == ("ONNX graph by test (.onnx)", "onnx")
    assert (source.lrn, source.ignored, source.facts, source.input_size) == (False, (), {}, 8)


def test_graph_of_keras(tmp_path: Path) -> None:
    source = agree(tmp_path, keras(), softmax=True, nhwc=True)
    assert [layer.flatten for layer in source.layers] == ["chw", "chw", "hwc", "chw"]
    assert (source.ignored, source.input_size) == ((), 8)
    for layer, bias in zip(source.layers, BIASES.values(), strict=True):
        np.testing.assert_array_equal(layer.bias, bias)


def test_preprocessing_of_keras(tmp_path: Path) -> None:
    graph = keras(preprocessing=True)
    source = read_graph(tmp_path, graph)
    assert source.facts["channels"].value == "bgr"
    assert source.facts["mean"].value == pytest.approx((123.68, 116.779, 103.939), rel=1e-6)
    assert source.facts["std"].value == (1, 1, 1)
    x = random(1, 8, 8, 3) * 50 + 100
    bgr = (x - source.facts["mean"].value)[..., ::-1].astype(np.float32)
    ours = forward(source, torch.from_numpy(bgr.transpose(0, 3, 1, 2).copy())).softmax(1)
    np.testing.assert_allclose(ours, scores(graph, x), rtol=1e-3, atol=1e-4)


STEPS: dict[str, tuple[Callable[[Graph], object], tuple[float, ...], tuple[float, ...]]] = {
    "torchvision": (
        lambda graph: graph.add(
            "Sub", np.array([[[[0.485]], [[0.456]], [[0.406]]]], np.float32)
        ).add("Div", np.array([[[0.229]], [[0.224]], [[0.225]]], np.float32)),
        (123.675, 116.28, 103.53),
        (58.395, 57.12, 57.375),
    ),
    "255": (lambda graph: graph.add("Div", np.float32(255)), (0, 0, 0), (255, 255, 255)),
    "tensorflow": (
        lambda graph: graph.add("Mul", np.float32(1 / 127.5)).add("Add", np.float32(-1)),
        (127.5,) * 3,
        (127.5,) * 3,
    ),
}


@pytest.mark.parametrize("kind", STEPS)
def test_preprocessing(tmp_path: Path, kind: str) -> None:
    steps, mean, std = STEPS[kind]
    graph = Graph()
    steps(graph)
    graph.conv(WEIGHTS["conv1"], BIASES["conv1"]).relu()
    source = read_graph(tmp_path, graph)
    assert source.facts["mean"].value == pytest.approx(mean, rel=1e-5, abs=1e-4)
    assert source.facts["std"].value == pytest.approx(std, rel=1e-5)
    assert "channels" not in source.facts
    assert source.ignored == ()


def test_reversal_by_a_slice(tmp_path: Path) -> None:
    graph = Graph().add(
        "Slice", np.array([-1]), np.array([-(2**31)]), np.array([1]), np.array([-1])
    )
    source = read_graph(tmp_path, graph.conv(WEIGHTS["conv1"]).relu())
    assert source.facts["channels"].value == "bgr"


def head(graph: Graph) -> Graph:
    graph.conv(WEIGHTS["conv2"], BIASES["conv2"]).relu().pool().add("Flatten")
    graph.add("Gemm", WEIGHTS["fc1"], BIASES["fc1"], transB=1).relu()
    return graph.add("Gemm", WEIGHTS["fc2"], BIASES["fc2"], transB=1)


def test_batch_norm(tmp_path: Path) -> None:
    values = [random(4, seed=seed) for seed in (3, 4, 5)] + [random(4, seed=6) ** 2 + 1]
    graph = Graph().conv(WEIGHTS["conv1"]).add("BatchNormalization", *values, epsilon=1e-3).relu()
    norm = agree(tmp_path, head(graph)).layers[0].norm
    assert norm is not None
    assert norm.epsilon == pytest.approx(1e-3)
    np.testing.assert_array_equal(norm.variance, values[3])


def test_batch_norm_as_mul_and_add(tmp_path: Path) -> None:
    graph = Graph().conv(WEIGHTS["conv1"], BIASES["conv1"])
    graph.add("Mul", random(1, 4, 1, 1, seed=3)).add("Add", random(4, 1, 1, seed=4)).relu()
    assert agree(tmp_path, head(graph)).layers[0].norm is not None


def test_biases_as_an_add(tmp_path: Path) -> None:
    graph = Graph().conv(WEIGHTS["conv1"]).add("Add", BIASES["conv1"].reshape(1, 4, 1, 1)).relu()
    layer = agree(tmp_path, head(graph)).layers[0]
    assert layer.norm is None
    np.testing.assert_array_equal(layer.bias, BIASES["conv1"])


def test_folded_batch_norm_of_a_head_is_reported(tmp_path: Path) -> None:
    graph = Graph().conv(WEIGHTS["conv1"], BIASES["conv1"]).relu().add("Flatten")
    graph.add("MatMul", random(256, 6)).relu()
    graph.add("Mul", random(6), name="mul").add("Add", random(6), name="add")
    source = read_graph(tmp_path, graph.add("MatMul", random(6, 3)))
    assert source.ignored == (
        "mul: a factor or an offset per channel",
        "add: an offset per channel",
    )


def test_gemm_in_every_form(tmp_path: Path) -> None:
    graph = Graph().conv(WEIGHTS["conv1"]).relu().conv(WEIGHTS["conv2"]).relu().pool()
    graph.add("Reshape", np.array([0, -1]))
    graph.add("Gemm", WEIGHTS["fc1"].T.copy(), np.float32(0.5), alpha=0.5, beta=2.0).relu()
    graph.add("Gemm", WEIGHTS["fc2"].T.copy(), BIASES["fc2"][None], transB=0)
    agree(tmp_path, graph)


def test_weights_behind_simple_nodes(tmp_path: Path) -> None:
    graph = Graph()
    turned = graph.computed(
        "Transpose", WEIGHTS["conv1"].transpose(2, 3, 1, 0).copy(), perm=[3, 2, 0, 1]
    )
    half = graph.computed("Cast", BIASES["conv1"].astype(np.float16), to=TensorProto.FLOAT)
    graph.conv(graph.computed("Identity", turned), half).relu()
    doubled = graph.computed("Mul", WEIGHTS["conv2"], np.float32(2))
    graph.conv(doubled, graph.computed("Reshape", BIASES["conv2"][None], np.array([-1]))).relu()
    graph.pool().add("Flatten")
    graph.add("Gemm", graph.computed("Squeeze", WEIGHTS["fc1"][None], np.array([0])), transB=1)
    agree(tmp_path, graph)


def test_constants_as_nodes(tmp_path: Path) -> None:
    graph = pytorch()
    nodes = [helper.make_node("Constant", [], [one.name], value=one) for one in graph.constants]
    graph.nodes, graph.constants = nodes + graph.nodes, []
    agree(tmp_path, graph)


def test_initializers_among_the_inputs(tmp_path: Path) -> None:
    """Files of 2018 and before list every initializer among the inputs."""
    graph = pytorch()
    model = graph.model()
    model.graph.input.extend(
        helper.make_tensor_value_info(one.name, one.data_type, one.dims) for one in graph.constants
    )
    path = tmp_path / "old.onnx"
    path.write_bytes(model.SerializeToString())
    assert len(read(path).layers) == 4


@pytest.mark.parametrize("kind", [np.float64, np.float16, "bfloat16"])
def test_other_floats(tmp_path: Path, kind: type | str) -> None:
    weight = WEIGHTS["conv1"]
    graph = Graph()
    if kind == "bfloat16":
        exact = torch.from_numpy(weight).bfloat16().float().numpy()
        raw = (exact.view(np.uint32) >> 16).astype(np.uint16).tobytes()
        for packed in (True, False):
            values = raw if packed else exact.ravel().tolist()
            one = helper.make_tensor(
                f"w{packed}", TensorProto.BFLOAT16, weight.shape, values, packed
            )
            graph.constants.append(one)
            found = read(Graph.save(_conv_of(graph, one.name), tmp_path)).layers[-1].weight
            np.testing.assert_array_equal(found, exact)
        return
    layer = read(_conv_of(graph, graph.constant(weight.astype(kind))).save(tmp_path)).layers[0]
    assert layer.weight.dtype == (torch.float64 if kind == np.float64 else torch.float32)
    np.testing.assert_array_equal(layer.weight, weight.astype(kind))


def _conv_of(graph: Graph, name: str) -> Graph:
    graph.nodes, graph.at = [], "input"
    return graph.conv(name).relu()


def test_padding_by_a_node(tmp_path: Path) -> None:
    graph = (
        Graph().add("Pad", np.array([0, 0, 1, 1, 0, 0, 1, 1])).conv(WEIGHTS["conv1"], pads=[0] * 4)
    )
    agree(tmp_path, head(graph.relu()))


def test_padding_that_keeps_the_size(tmp_path: Path) -> None:
    graph = Graph()
    graph.add("Conv", WEIGHTS["conv1"], auto_pad="SAME_UPPER").add("Clip", np.float32(0))
    graph.add("Conv", WEIGHTS["conv2"], auto_pad="SAME_LOWER").relu().pool(auto_pad="SAME_UPPER")
    graph.add("Flatten").add("Gemm", WEIGHTS["fc1"], transB=1)
    agree(tmp_path, graph)


def test_relu_as_an_old_clip(tmp_path: Path) -> None:
    graph = Graph(opset=10).conv(WEIGHTS["conv1"]).add("Clip", min=0.0)
    graph.conv(WEIGHTS["conv2"]).add("Clip", min=0.0, max=3.4e38).pool().add("Flatten")
    agree(tmp_path, graph.add("Gemm", WEIGHTS["fc1"], BIASES["fc1"], transB=1))


def test_missing_library(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    path = pytorch().save(tmp_path)
    monkeypatch.setitem(sys.modules, "onnx", None)
    with pytest.raises(MissingExtra, match=r"pip install 'verydeep\[onnx\]'"):
        read(path)


def test_local_response_normalisation(tmp_path: Path) -> None:
    graph = (
        Graph().conv(WEIGHTS["conv1"]).relu().add("LRN", alpha=5e-4, beta=0.75, bias=2.0, size=5)
    )
    assert read_graph(tmp_path, head(graph)).lrn is True


def test_branches_are_named(tmp_path: Path) -> None:
    graph = Graph().conv(WEIGHTS["conv1"]).relu()
    side = helper.make_node(
        "Conv", [graph.at, graph.constant(random(9, 4, 1, 1))], ["s"], name="side"
    )
    graph.nodes.append(side)
    source = read_graph(tmp_path, head(graph))
    assert len(source.layers) == 4
    assert source.ignored == ("side: Conv on a branch",)


def test_data_beside_the_model(tmp_path: Path) -> None:
    model = pytorch().model()
    path = tmp_path / "net.onnx"
    onnx.save_model(model, path, save_as_external_data=True, location="net.data", size_threshold=0)
    assert path.stat().st_size < 4000
    source = read(path)
    np.testing.assert_array_equal(source.layers[0].weight, WEIGHTS["conv1"])
    (tmp_path / "net.data").write_bytes((tmp_path / "net.data").read_bytes()[:-4])
    with pytest.raises(ModelError, match=r"net.data: must have .* bytes for the weights; it has"):
        read(path)
    (tmp_path / "net.data").unlink()
    with pytest.raises(ModelError, match=r"holds the weights and cannot be read"):
        read(path)


@pytest.mark.parametrize(
    "place", ["../secret", "/etc/passwd", "a/b", "..", "", "x\ny", "C:x", "link", "."]
)
def test_data_elsewhere_are_not_read(tmp_path: Path, place: str) -> None:
    folder = tmp_path / "inner"
    folder.mkdir()
    (tmp_path / "secret").write_bytes(bytes(10_000))
    (folder / "link").symlink_to(tmp_path / "secret")
    model = pytorch().model()
    tensor = model.graph.initializer[0]
    tensor.ClearField("raw_data")
    tensor.data_location = TensorProto.EXTERNAL
    tensor.external_data.add(key="location", value=place)
    path = folder / "net.onnx"
    path.write_bytes(model.SerializeToString())
    with pytest.raises(ModelError, match=r"must lie in a file beside|cannot be read"):
        read(path)


ONES = np.ones(4, np.float32)


def conv(**attributes: object) -> Graph:
    return Graph().conv(WEIGHTS["conv1"], **attributes).relu()


def twice(kind: str, *inputs: np.ndarray, **attributes: object) -> Graph:
    """Return a graph with a node between two convolutions."""
    return head(Graph().conv(WEIGHTS["conv1"]).add(kind, *inputs, name="n", **attributes).relu())


def with_attribute(attribute: onnx.AttributeProto) -> Graph:
    graph = conv()
    graph.nodes[0].attribute.append(attribute)
    return graph


REFUSED: dict[str, tuple[Callable[[], Graph], str]] = {
    "stride": (lambda: conv(strides=[2, 2]), "with stride 2x2"),
    "dilation": (lambda: conv(dilations=[2, 2]), "dilation 2x2"),
    "padding": (lambda: conv(pads=[0, 0, 0, 0]), "padding 0"),
    "groups": (lambda: Graph().conv(random(3, 1, 3, 3), group=3).relu(), "3 groups"),
    "valid": (lambda: Graph().add("Conv", WEIGHTS["conv1"], auto_pad="VALID"), "padding 0"),
    "leaky": (lambda: twice("LeakyRelu"), "n: a node of type LeakyRelu"),
    "relu6": (lambda: twice("Clip", np.float32(0), np.float32(6)), "n: a node of type Clip"),
    "average": (lambda: twice("AveragePool", kernel_shape=[2, 2], strides=[2, 2]), "2x2 ave"),
    "large pool": (lambda: twice("MaxPool", kernel_shape=[3, 3], strides=[2, 2]), "3x3 max-pool"),
    "map": (lambda: twice("Add", random(1, 4, 8, 8)), "n: a node of type Add"),
    "late norm": (
        lambda: head(
            Graph().conv(WEIGHTS["conv1"]).relu().add("BatchNormalization", *[ONES] * 4)
        ),
        "a batch normalisation that does not follow a convolution directly",
    ),
    "variance": (
        lambda: twice("BatchNormalization", *[random(4)] * 3, -np.ones(4, np.float32)),
        "statistics of n must be finite, with variances above 0",
    ),
    "no relu": (
        lambda: Graph().conv(WEIGHTS["conv1"], name="a").conv(WEIGHTS["conv2"]).relu(),
        "a must be followed by a ReLU",
    ),
    "quantized": (lambda: Graph().add("QuantizeLinear", np.float32(1)), "the graph is quantized"),
    "random": (
        lambda: (graph := Graph()).conv(graph.computed("RandomNormal", shape=[4, 3, 3, 3])),
        "some come from RandomNormal_0",
    ),
    "no layer": (lambda: Graph().relu(), "no convolution"),
    "subgraph": (
        lambda: with_attribute(helper.make_attribute("g", helper.make_graph([], "g", [], []))),
        "it has graphs within a node",
    ),
}  # fmt: skip


@pytest.mark.parametrize("kind", REFUSED)
def test_refusals(tmp_path: Path, kind: str) -> None:
    make, message = REFUSED[kind]
    path = make().save(tmp_path)
    with pytest.raises(ModelError, match=message) as caught:
        read(path)
    assert str(caught.value).startswith(f"{path}: ")


def test_functions_are_refused(tmp_path: Path) -> None:
    model = pytorch().model()
    model.functions.add(name="f")
    path = tmp_path / "f.onnx"
    path.write_bytes(model.SerializeToString())
    with pytest.raises(ModelError, match="functions of its own; inline them"):
        read(path)


def test_bombs(tmp_path: Path) -> None:
    path = tmp_path / "bomb.onnx"
    nodes = bytes([0x0A, 0]) * 300_000
    path.write_bytes(field(1, 8) + field(7, nodes))
    with pytest.raises(ModelError, match="more than 200,000 fields"):
        read(path)
    vast = TensorProto(name="w", data_type=1, dims=[2**40, 2**40])
    path.write_bytes(_with_initializer(vast))
    with pytest.raises(ModelError, match="more than the 268,435,456 that are read"):
        read(path)
    for tensor in (
        TensorProto(name="w", data_type=1, dims=[4, -1], raw_data=b"1234"),
        TensorProto(name="w", data_type=1, dims=[4, 3, 3, 3], raw_data=b"1234"),
        TensorProto(name="w", data_type=1, dims=[4, 3, 3, 3], float_data=[1.0]),
        TensorProto(name="w", data_type=99, dims=[4, 3, 3, 3], raw_data=b"1234"),
    ):
        path.write_bytes(_with_initializer(tensor))
        with pytest.raises(ModelError, match=r"the initializer w has .*; the file is damaged"):
            read(path)


def _with_initializer(tensor: TensorProto) -> bytes:
    graph = Graph()
    graph.constants.append(tensor)
    return graph.conv("w").data()


def test_weights_used_again_and_again(tmp_path: Path) -> None:
    graph = Graph(("N", 3, 600, 600)).conv(WEIGHTS["conv1"]).relu().add("Flatten")
    name = graph.constant(random(600, 600))
    for _ in range(20):
        graph.add("MatMul", name).relu()
    with pytest.raises(ModelError, match="uses its constants too often"):
        read(graph.save(tmp_path))
    graph = Graph()
    name = graph.constant(random(600, 600))
    for _ in range(25):
        name = graph.computed("Mul", name, name)
    with pytest.raises(ModelError, match="uses its constants too often"):
        read(graph.add("MatMul", name).save(tmp_path))


def test_other_files_are_not_recognised(tmp_path: Path) -> None:
    path = tmp_path / "x.onnx"
    for data in (b"", b"\x08\x07", b"text of any kind", bytes(100)):
        path.write_bytes(data)
        assert not matches(data, path)


def test_message_of_damage(tmp_path: Path) -> None:
    path = tmp_path / "cut.onnx"
    path.write_bytes(pytorch().data()[:-9])
    assert_damage_named(onnx_file, path, "an ONNX file")


SEEDS = [pytorch().data(), keras().data(), keras(preprocessing=True).data()]


@settings(max_examples=200, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(seed=st.sampled_from(SEEDS), harm=st.lists(edits(SEEDS), min_size=1, max_size=4))
def test_damaged_files(tmp_path: Path, seed: bytes, harm: list) -> None:
    path = tmp_path / "damaged.onnx"
    path.write_bytes(mutate(seed, harm))
    matches(path.read_bytes()[:4096], path)
    try:
        assert read(path).layers
    except ModelError as error:
        assert str(error).isprintable()  # noqa: PT017


def test_a_real_graph() -> None:
    """A fine-tuned net D of Keras, converted by tf2onnx; see benchmarks/fetch_real_weights.py."""
    path = os.environ.get("VERYDEEP_REAL_ONNX", "")
    if not path:
        pytest.skip("VERYDEEP_REAL_ONNX names no file")
    source = read(Path(path))
    assert len(source.layers) == 17
    first = source.layers[0].bias
    assert first is not None
    assert first[:2].tolist() == pytest.approx([0.73429835, 0.09340367], abs=1e-8)
    assert float(source.layers[12].weight[400, 0, 0, 2]) == pytest.approx(-0.008714244, abs=1e-9)
    assert source.layers[13].flatten == "hwc"
    assert source.input_size == 240
