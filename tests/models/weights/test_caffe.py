"""Caffe's files against OpenCV's reader, and against the arrays they were made of."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
import torch
from caffe_files import Net, blob, field, random, small_net, varint
from damage import assert_damage_named
from hostile import edits, mutate
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from source_forward import forward
from torch import nn

from verydeep.errors import ModelError
from verydeep.models.weights.formats.caffe import reader as caffe
from verydeep.models.weights.formats.caffe.reader import matches, read
from verydeep.models.weights.source import MOST_VALUES, SourceFile, SourceLayer


def write(path: Path, data: bytes) -> Path:
    path.write_bytes(data)
    return path


def read_bytes(folder: Path, data: bytes) -> SourceFile:
    path = write(folder / "net.caffemodel", data)
    assert matches(data[:4096], path)
    return read(path)


@pytest.mark.parametrize("packed", [True, False])
@pytest.mark.parametrize("generation", ["new", "2014", "oldest"])
def test_weights_of_all_generations(tmp_path: Path, generation: str, packed: bool) -> None:
    net, values = small_net(Net(generation, packed=packed))
    source = read_bytes(tmp_path, net.data())
    assert [layer.name for layer in source.layers] == ["conv1", "conv2", "fc1", "fc2"]
    for layer in source.layers:
        np.testing.assert_array_equal(layer.weight, values[layer.name])
        np.testing.assert_array_equal(layer.bias, values[f"{layer.name}_bias"])
        assert layer.weight.dtype == torch.float32
    assert (source.family, source.lrn, source.ignored, source.facts) == ("caffe", False, (), {})


def test_file_of_weights_alone_says_nothing_of_lrn(tmp_path: Path) -> None:
    net = Net(wired=False).add("a", "Convolution", [random(4, 3, 3, 3), random(4)])
    net.add("b", "InnerProduct", [random(2, 64), random(2)])
    assert read_bytes(tmp_path, net.data()).lrn is None


PROTOTXT = """
input: "data" input_shape {{ dim: 1 dim: 3 dim: 8 dim: 8 }}
layer {{ name: "conv1" type: "Convolution" bottom: "data" top: "conv1"
  convolution_param {{ num_output: 4 kernel_size: 3 pad: 1 {bias} }} }}
{norm}
layer {{ name: "relu1" type: "ReLU" bottom: "{last}" top: "r1" }}
layer {{ name: "conv2" type: "Convolution" bottom: "r1" top: "conv2"
  convolution_param {{ num_output: 5 kernel_size: 3 pad: 1 }} }}
layer {{ name: "relu2" type: "ReLU" bottom: "conv2" top: "r2" }}
layer {{ name: "pool" type: "Pooling" bottom: "r2" top: "pool"
  pooling_param {{ pool: MAX kernel_size: 2 stride: 2 }} }}
layer {{ name: "fc1" type: "InnerProduct" bottom: "pool" top: "fc1"
  inner_product_param {{ num_output: 6 }} }}
layer {{ name: "relu3" type: "ReLU" bottom: "fc1" top: "r3" }}
layer {{ name: "fc2" type: "InnerProduct" bottom: "r3" top: "fc2"
  inner_product_param {{ num_output: 3 }} }}
"""

NORM = """
layer { name: "bn" type: "BatchNorm" bottom: "conv1" top: "bn"
  batch_norm_param { use_global_stats: true eps: 0.001 } }
layer { name: "scale" type: "Scale" bottom: "bn" top: "scale" scale_param { bias_term: true } }
"""


@pytest.mark.parametrize("packed", [True, False])
@pytest.mark.parametrize("norm", [True, False])
def test_scores_are_those_of_opencv(tmp_path: Path, norm: bool, packed: bool) -> None:
    cv2 = pytest.importorskip("cv2", reason="opencv-python-headless is not installed")
    _, values = small_net()
    net = Net(packed=packed).conv("conv1", values["conv1"], None if norm else values["conv1_bias"])
    if norm:
        statistics = [random(4, seed=5), random(4, seed=6) ** 2 + 1, np.array([1.5], np.float32)]
        net.add("bn", "BatchNorm", statistics, field(139, field(1, 1) + field(3, 0.001)))
        net.add("scale", "Scale", [random(4, seed=7), random(4, seed=8)], field(142, field(4, 1)))
    net.relu().conv("conv2", values["conv2"], values["conv2_bias"]).relu().pool("pool")
    net.dense("fc1", values["fc1"], values["fc1_bias"]).relu()
    net.dense("fc2", values["fc2"], values["fc2_bias"])
    source = read_bytes(tmp_path, net.data())
    text = PROTOTXT.format(
        norm=NORM if norm else "",
        last="scale" if norm else "conv1",
        bias="bias_term: false" if norm else "",
    )
    theirs = cv2.dnn.readNetFromCaffe(
        np.frombuffer(text.encode(), np.uint8), np.frombuffer(net.data(), np.uint8)
    )
    x = random(1, 3, 8, 8, seed=3)
    theirs.setInput(x)
    expected = theirs.forward()
    np.testing.assert_allclose(forward(source, torch.from_numpy(x)), expected, rtol=1e-4, atol=1e-4)


def test_padding_as_a_layer(tmp_path: Path) -> None:
    """The oldest files pad in layers of their own."""
    net = Net("oldest").add("pad", "padding", (), field(7, 1))
    net.conv("conv1", random(4, 3, 3, 3), random(4), pad=0).relu()
    assert len(read_bytes(tmp_path, net.data()).layers) == 1


def test_doubles_stay_doubles(tmp_path: Path) -> None:
    weight = random(4, 3, 3, 3).astype(np.float64)
    for packed in (True, False):
        net = Net(packed=packed).conv("a", weight, random(4).astype(np.float64))
        layer = read_bytes(tmp_path, net.data()).layers[0]
        assert layer.weight.dtype == torch.float64
        np.testing.assert_array_equal(layer.weight, weight)


def test_transposed_weights(tmp_path: Path) -> None:
    weight = random(6, 20)
    net = Net().add("fc", "InnerProduct", [weight.T.copy(), random(6)], field(117, field(6, 1)))
    np.testing.assert_array_equal(read_bytes(tmp_path, net.data()).layers[0].weight, weight)


def test_preprocessing_of_a_data_layer(tmp_path: Path) -> None:
    transform = field(1, 0.5) + field(3, 200)
    transform += b"".join(field(5, value) for value in (104.0, 117.0, 123.0))
    net, _ = small_net(Net().add("images", "Data", (), field(100, transform), top="data"))
    source = read_bytes(tmp_path, net.data())
    assert source.facts["mean"].value == (123, 117, 104)
    assert source.facts["std"].value == (2, 2, 2)
    assert source.input_size == 200


def test_declared_input_size(tmp_path: Path) -> None:
    net, _ = small_net()
    dims = b"".join(field(4, side) for side in (1, 3, 224, 224))
    assert read_bytes(tmp_path, net.data() + dims).input_size == 224
    shape = field(8, field(1, bytes([1, 3, 64, 64])))
    assert read_bytes(tmp_path, net.data() + shape).input_size == 64


def test_local_response_normalisation(tmp_path: Path) -> None:
    lrn = field(118, field(1, 5) + field(2, 5e-4) + field(3, 0.75) + field(5, 2.0))
    net = Net().conv("conv1", random(4, 3, 3, 3), random(4)).relu().add("norm", "LRN", (), lrn)
    assert read_bytes(tmp_path, net.conv("conv2", random(4, 4, 3, 3)).relu().data()).lrn is True
    other = Net().conv("conv1", random(4, 3, 3, 3)).relu().add("norm", "LRN")
    with pytest.raises(ModelError, match=r"norm: a local response normalisation \(size 5, alpha 1"):
        read_bytes(tmp_path, other.conv("conv2", random(4, 4, 3, 3)).relu().data())


def test_branches_are_named(tmp_path: Path) -> None:
    net = Net().conv("conv1", random(4, 3, 3, 3), random(4)).relu()
    net.add("side", "Convolution", [random(9, 4, 1, 1), random(9)], bottom="conv1", top="side")
    net.at = "conv1"
    net.dense("fc1", random(6, 64), random(6)).relu().dense("fc2", random(2, 6), random(2))
    source = read_bytes(tmp_path, net.data())
    assert [layer.name for layer in source.layers] == ["conv1", "fc1", "fc2"]
    assert source.ignored == ("side: Convolution on a branch",)


def test_head_of_other_layers_is_reported(tmp_path: Path) -> None:
    net = Net().conv("conv1", random(4, 3, 3, 3), random(4)).relu()
    net.add("roi", "ROIPooling").dense("fc1", random(6, 64), random(6))
    net.add("bn", "BatchNorm", [random(6), random(6) ** 2 + 1, random(1)]).relu()
    net.dense("fc2", random(2, 6), random(2))
    ignored = read_bytes(tmp_path, net.data()).ignored
    assert ignored == (
        "roi: a layer of type ROIPooling",
        "bn: a batch normalisation that does not follow a convolution directly",
    )


WIDE = random(4, 4, 3, 3)


def bad(**changes: int) -> bytes:
    numbers = {"pad": 3, "stride": 6, "group": 5, "dilation": 18}
    window = {"pad": 1} | changes
    extra = b"".join(field(numbers[key], value) for key, value in window.items())
    return Net().add("conv1", "Convolution", [random(4, 3, 3, 3)], field(106, extra)).data()


@pytest.mark.parametrize(
    ("data", "message"),
    [
        (bad(stride=2), "with stride 2x2, padding 1"),
        (bad(group=2), "2 groups"),
        (bad(dilation=2), "dilation 2x2"),
        (bad(pad=100), "padding 100"),
        (bad(pad=0), "padding 0"),
        (Net().add("a", "Convolution").data(), "a must have weights and biases; it has 0"),
        (Net().add("a", "Softmax").data(), "no convolution"),
        (Net().conv("a", random(4, 3, 3, 3), random(5)).data(), "must be 4; they are 5"),
        (
            Net().conv("a", random(4, 3, 3, 3)).conv("b", WIDE).relu().data(),
            "a must be followed by a ReLU",
        ),
        (
            Net().conv("a", random(4, 3, 3, 3)).relu().pool("p", 3).conv("b", WIDE).data(),
            "p: a 3x3 max-pool with stride 2x2",
        ),
    ],
)
def test_refusals(tmp_path: Path, data: bytes, message: str) -> None:
    with pytest.raises(ModelError, match=message) as caught:
        read_bytes(tmp_path, data)
    assert str(caught.value).startswith(f"{tmp_path / 'net.caffemodel'}: ")


def test_lying_shapes_allocate_nothing(tmp_path: Path) -> None:
    for shape in ([2**40, 2**40], [-1, -108], [2**31], [0]):
        one = field(5, random(108).tobytes()) + field(7, b"".join(field(1, side) for side in shape))
        layer = field(1, "a") + field(2, "InnerProduct") + field(7, one)
        with pytest.raises(ModelError, match=r"a declares .* numbers, but has 108"):
            read_bytes(tmp_path, field(100, layer))


def test_too_many_numbers(tmp_path: Path) -> None:
    path = tmp_path / "vast.caffemodel"
    count = 4 * (MOST_VALUES + 1)
    values = varint(5 << 3 | 2) + varint(count)
    one = varint(7 << 3 | 2) + varint(len(values) + count) + values
    head = field(1, "a") + field(2, "InnerProduct")
    start = varint(100 << 3 | 2) + varint(len(head) + len(one) + count) + head + one
    with path.open("wb") as file:
        file.write(start)
        file.truncate(len(start) + count)  # a hole: nothing is written to the disk
    with pytest.raises(ModelError, match="declares 268,435,457 numbers, more than the 268,435,456"):
        read(path)


def test_other_files_are_not_recognised(tmp_path: Path) -> None:
    for data in (b"", b"\n", b"name: 'net'\nlayer {}", b"\nabc def\n", b"PK\3\4" + bytes(100)):
        path = write(tmp_path / "x.caffemodel", data)
        assert not matches(data, path)
    assert not matches(blob(random(3)), write(tmp_path / "mean.binaryproto", blob(random(3))))


def test_message_of_damage(tmp_path: Path) -> None:
    data = small_net()[0].data()
    assert_damage_named(caffe, write(tmp_path / "cut", data[:-9]), "a file of Caffe weights")


SEEDS = [
    small_net(Net(kind, packed=packed))[0].data()
    for kind in ("new", "2014", "oldest")
    for packed in (True, False)
]


@settings(max_examples=150, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(seed=st.sampled_from(SEEDS), harm=st.lists(edits(SEEDS), min_size=1, max_size=4))
def test_damaged_files(tmp_path: Path, seed: bytes, harm: list) -> None:
    path = write(tmp_path / "damaged.caffemodel", mutate(seed, harm))
    matches(path.read_bytes()[:4096], path)
    try:
        assert read(path).layers
    except ModelError as error:
        assert str(error).isprintable()  # noqa: PT017


def test_net_of_the_source_computes_as_torch() -> None:
    """The yardstick of this file, :func:`forward`, is what torch's modules compute."""
    _, values = small_net()
    tensors = {name: torch.from_numpy(value) for name, value in values.items()}
    layers = [
        SourceLayer(name, tensors[name], tensors[f"{name}_bias"])
        for name in ("conv1", "conv2", "fc1", "fc2")
    ]
    modules: list[nn.Module] = []
    for layer in layers:
        if layer.is_convolution:
            module: nn.Module = nn.Conv2d(*layer.weight.shape[1::-1], 3, padding=1)
        else:
            module = nn.Linear(*layer.weight.shape[::-1])
        module.load_state_dict({"weight": layer.weight, "bias": layer.bias})
        modules.append(module)
    one, two, three, four = modules
    net = nn.Sequential(
        one, nn.ReLU(), two, nn.ReLU(), nn.MaxPool2d(2), nn.Flatten(), three, nn.ReLU(), four
    )
    x = torch.from_numpy(random(2, 3, 8, 8))
    source = SourceFile("", "caffe", tuple(layers))
    with torch.no_grad():
        torch.testing.assert_close(forward(source, x), net(x))
