"""Files whose convolutions are a column's, and whose maps are not: pools, padding, size of images.

Their convolutions agree with those of net A; imported as such, the net would have other scores.
"""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from caffe_files import Net, random, small_net
from keras_files import save_small
from matlab_files import simple_net
from narrow_nets import SIZE, caffe_net, plain, save_state, torchvision_net
from onnx_files import Graph
from scipy.io import savemat
from torch import nn

from verydeep.errors import ModelError
from verydeep.models.weights.imported import Imported, import_file
from verydeep.models.weights.recognize import read_weights

POOLS = (1, 2, 4, 6, 8)
"""Convolutions of net A before each of its pools, written down again, apart from the package."""

USUAL = "conv1_1, conv2_1, conv3_2, conv4_2, conv5_2"


def convolutions(
    graph: Graph, net: nn.Module, pools: Sequence[int], last: dict[str, Any] | None = None
) -> Graph:
    """Append the convolutions of net A, with pools after so many of them."""
    found = [layer for layer in net.modules() if isinstance(layer, nn.Conv2d)]
    for _ in range(pools.count(0)):
        graph.pool()
    for number, layer in enumerate(found, 1):
        graph.conv(
            plain(layer.weight),
            plain(layer.bias),
            name=f"c{number}",
            **(last or {} if number == len(found) else {}),
        ).relu()
        for _ in range(pools.count(number)):
            graph.pool()
    return graph


def head(graph: Graph, net: nn.Module) -> Graph:
    graph.add("Flatten")
    linear = [layer for layer in net.modules() if isinstance(layer, nn.Linear)]
    for layer in linear:
        graph.add("Gemm", plain(layer.weight), plain(layer.bias), transB=1)
        graph = graph if layer is linear[-1] else graph.relu()
    return graph


def graph_of(
    pools: Sequence[int], size: int | str = SIZE, last: dict[str, Any] | None = None
) -> Graph:
    net = torchvision_net()
    return head(convolutions(Graph(("N", 3, size, size)), net, pools, last), net)


def refusal(path: Path) -> str:
    with pytest.raises(ModelError) as caught:
        import_file(path)
    text = str(caught.value)
    assert text.startswith(f"{path}: ")
    return text.removeprefix(f"{path}: ")


def scores(graph: Graph) -> np.ndarray:
    ort = pytest.importorskip("onnxruntime", reason="onnxruntime is not installed")
    session = ort.InferenceSession(graph.data(), providers=["CPUExecutionProvider"])
    pixels = np.random.default_rng(0).random((1, 3, SIZE, SIZE), np.float32)
    return np.asarray(session.run(None, {"input": pixels})[0])


def test_a_pool_elsewhere(tmp_path: Path) -> None:
    """Two graphs of the same weights with different scores do not become the same net."""
    usual, moved = graph_of(POOLS), graph_of((1, 3, 4, 6, 8))
    assert np.abs(scores(usual) - scores(moved)).max() > 1e-3
    found = import_file(usual.save(tmp_path))
    assert (found.match.name, len(found.match.head), found.match.notes) == ("A", 3, ())
    assert refusal(moved.save(tmp_path)) == (
        "is no net of the paper: its convolutions are those of net A, but a 2x2 max-pool too many "
        "follows conv3_1 (c3) and no 2x2 max-pool follows conv2_1 (c2); net A has its pools after "
        f"{USUAL}"
    )


@pytest.mark.parametrize(
    ("pools", "said"),
    [
        ((0, *POOLS), "but a 2x2 max-pool too many follows the input; net A"),
        ((1, 1, 2, 4, 6, 8), "but a 2x2 max-pool too many follows conv1_1 (c1); net A"),
        ((1, 4, 6, 8), "but no 2x2 max-pool follows conv2_1 (c2); net A"),
        ((), "no 2x2 max-pool follows conv1_1 (c1), conv2_1 (c2), conv3_2 (c4), conv4_2 (c6)"),
    ],
)
def test_more_or_fewer_pools(tmp_path: Path, pools: Sequence[int], said: str) -> None:
    assert said in refusal(graph_of(pools, "side").save(tmp_path))


def without_head(found: Imported, why: str) -> None:
    assert (found.match.name, found.match.head) == ("A", ())
    assert [one.why for one in found.match.left_out].count(why) == 3


def test_four_pools_of_small_images(tmp_path: Path) -> None:
    """Its head reads 2x2 of images of 32x32: it was taken for one of images of 64x64."""
    found = import_file(graph_of(POOLS[:-1], 32).save(tmp_path))
    without_head(found, "it stands behind no max-pools of 2x2, where the paper's reads pool5")
    assert found.config.net.input_size == 32
    assert found.match.notes == (
        "no 2x2 max-pool follows conv5_2 in the file; pool5 of the net is added",
    )


def test_two_pools_at_the_end(tmp_path: Path) -> None:
    found = import_file(graph_of((*POOLS, 8), "side").save(tmp_path))
    without_head(found, "it stands behind 2 max-pools of 2x2, where the paper's reads pool5")
    assert found.match.notes == ("2 max-pools of 2x2 follow conv5_2 in the file, one in the net",)


def test_convolutions_only_without_the_last_pool(tmp_path: Path) -> None:
    graph = convolutions(Graph(), torchvision_net(), POOLS[:-1])
    graph.shape = ("N", 3, SIZE, SIZE)
    found = import_file(graph.save(tmp_path))
    assert found.match.left_out == ()
    assert len(found.match.notes) == 1


def test_one_convolution_more(tmp_path: Path) -> None:
    """A last 3x3 convolution that keeps its maps is no fully connected layer that reads 3x3."""
    graph = convolutions(Graph(("N", 3, "side", "side")), torchvision_net(), POOLS)
    graph.conv(random(5, 32, 3, 3)).add("GlobalAveragePool")
    found = import_file(graph.save(tmp_path)).match
    assert found.head == ()
    assert found.left_out[0].why.startswith("it goes on with a convolution")


def test_last_convolution_without_padding(tmp_path: Path) -> None:
    graph = graph_of(POOLS[:-1], SIZE, last={"pads": [0, 0, 0, 0]})
    assert refusal(graph.save(tmp_path)).startswith(
        "is no net of the paper: c8 (32x32x3x3) has no padding, where conv5_2 of net A keeps"
    )


def test_declared_size_of_images(tmp_path: Path) -> None:
    """The head fixes the size of images but for rounding; another one is a contradiction."""
    assert import_file(graph_of(POOLS, 95).save(tmp_path)).config.net.input_size == 95
    said = refusal(graph_of(POOLS, 96).save(tmp_path))
    assert "images of 96x96 pixels, of which five 2x2 pools leave a map of 3x3, but Gemm_" in said
    assert said.endswith("reads a map of 2x2, as of images of 64x64")
    small = convolutions(Graph(("N", 3, 16, 16)), torchvision_net(), POOLS)
    assert "images of 16x16 pixels, of which five 2x2 pools" in refusal(small.save(tmp_path))
    assert "leave a map of 0x0" in refusal(graph_of(POOLS, 16).save(tmp_path))


def test_convolutional_head_for_larger_images(tmp_path: Path) -> None:
    """Its fully connected layers slide over larger maps, so the size is no contradiction."""
    net = torchvision_net()
    graph = convolutions(Graph(("N", 3, 160, 160)), net, POOLS)
    linear = [layer for layer in net.modules() if isinstance(layer, nn.Linear)]
    for number, layer in enumerate(linear):
        kernel = plain(layer.weight).reshape(len(layer.weight), -1, *(1, 1) if number else (2, 2))
        graph.conv(kernel, plain(layer.bias), pads=[0] * 4)
        graph = graph if layer is linear[-1] else graph.relu()
    found = import_file(graph.save(tmp_path))
    assert (len(found.match.head), found.config.net.input_size) == (3, SIZE)


def test_pool_within_a_head(tmp_path: Path) -> None:
    graph = convolutions(Graph(("N", 3, 192, 192)), torchvision_net(), POOLS)
    graph.conv(random(20, 32, 5, 5), pads=[0] * 4).relu().pool(name="p").add("Flatten")
    graph.add("Gemm", random(20, 20), transB=1).relu().add("Gemm", random(5, 20), transB=1)
    graph.shape = ("N", 3, "side", "side")
    found = import_file(graph.save(tmp_path)).match
    assert found.head == ()
    assert "because of p: a max-pool between fully connected layers" in found.left_out[0].why


def test_what_stands_behind_a_pool(tmp_path: Path) -> None:
    """A normalisation after a pool is another than one before it."""
    ones = [np.ones(4, np.float32)] * 4
    graph = Graph().conv(random(4, 3, 3, 3)).pool().add("BatchNormalization", *ones, name="n")
    with pytest.raises(ModelError, match="n: a batch normalisation that does not follow"):
        read_weights(graph.relu().conv(random(4, 4, 3, 3)).relu().save(tmp_path))
    graph = Graph().conv(random(4, 3, 3, 3)).relu().pool()
    graph.add("LRN", alpha=5e-4, beta=0.75, bias=2.0, size=5, name="n")
    with pytest.raises(ModelError, match="n: a local response normalisation"):
        read_weights(graph.conv(random(4, 4, 3, 3)).relu().save(tmp_path))


def test_last_pool_without_a_relu_before_it(tmp_path: Path) -> None:
    graph = convolutions(Graph(("N", 3, SIZE, SIZE)), torchvision_net(), POOLS)
    last = [node for node in graph.nodes if node.op_type == "Relu"][-1]
    last.op_type = "Identity"
    assert refusal(graph.save(tmp_path)).startswith("c8 must be followed by a ReLU")


def test_caffe(tmp_path: Path) -> None:
    net = torchvision_net()
    path = tmp_path / "net.caffemodel"
    path.write_bytes(caffe_net(net).data())
    assert read_weights(path).pools == POOLS
    file = Net()
    found = [layer for layer in net.modules() if isinstance(layer, nn.Conv2d)]
    for number, layer in enumerate(found, 1):
        file.conv(f"c{number}", plain(layer.weight), plain(layer.bias)).relu()
        file = file.pool(f"p{number}") if number in (1, 2, 4, 5, 8) else file
    path.write_bytes(file.data())
    assert "follows conv4_1 (c5) and no 2x2 max-pool follows conv4_2 (c6); net" in refusal(path)


def test_what_files_tell_of_pools(tmp_path: Path) -> None:
    """Every format; weights alone tell nothing."""
    (tmp_path / "net.caffemodel").write_bytes(small_net()[0].data())
    assert read_weights(tmp_path / "net.caffemodel").pools == (2,)
    alone = Net(wired=False).add("a", "Convolution", [random(4, 3, 3, 3), random(4)])
    (tmp_path / "net.caffemodel").write_bytes(alone.data())
    assert read_weights(tmp_path / "net.caffemodel").pools is None
    savemat(tmp_path / "net.mat", simple_net()[0])
    assert read_weights(tmp_path / "net.mat").pools == (2,)
    for way, pools in (("keras", (1,)), ("h5", (1,)), ("weights.h5", None)):
        save_small(tmp_path / "net", way)
        assert read_weights(tmp_path / "net").pools == pools
    assert read_weights(save_state(torchvision_net(), tmp_path / "net.pth")).pools is None


def test_convolutions_for_images_out_of_bounds_are_refused(tmp_path: Path) -> None:
    graph = convolutions(Graph(("N", 3, 5000, 5000)), torchvision_net(), POOLS)
    with pytest.raises(ModelError, match="declares images of 5000x5000 pixels; nets are imported"):
        import_file(graph.save(tmp_path))
