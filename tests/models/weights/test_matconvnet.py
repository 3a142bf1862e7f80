"""MATLAB files as SciPy writes them, 7.3 files as MATLAB lays them out, against their arrays."""

from __future__ import annotations

import os
import struct
import sys
import zlib
from pathlib import Path
from typing import Any

import h5py
import numpy as np
import pytest
import torch
from damage import assert_damage_named
from hostile import edits, mutate
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from matlab_files import cell, save_73, simple_net
from scipy.io import loadmat, savemat
from torch.nn import functional as F

from verydeep.errors import MissingExtra, ModelError
from verydeep.models.weights.formats.matconvnet import reader as matconvnet
from verydeep.models.weights.formats.matconvnet.mat5 import read_mat5
from verydeep.models.weights.formats.matconvnet.reader import matches, read
from verydeep.models.weights.source import SourceFile


def save(path: Path, variables: dict[str, Any], kind: str = "5") -> Path:
    if kind == "7.3":
        save_73(path, variables)
    else:
        savemat(path, variables, do_compression=kind == "compressed", oned_as="row")
    return path


def read_net(folder: Path, variables: dict[str, Any], kind: str = "5") -> SourceFile:
    path = save(folder / "net.mat", variables, kind)
    assert matches(path.read_bytes()[:4096], path)
    return read(path)


KINDS = ("5", "compressed", "7.3")


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("old", [False, True])
def test_weights(tmp_path: Path, kind: str, old: bool) -> None:
    net, values = simple_net(old=old)
    source = read_net(tmp_path, net, kind)
    assert [layer.name for layer in source.layers] == ["conv1", "conv2", "fc1", "fc2"]
    for layer in source.layers:
        filters, biases = values[layer.name]
        height, width, inputs, outputs = filters.shape
        assert layer.weight.shape == (outputs, inputs, height, width)
        assert layer.weight[2, 1, 0, -1] == filters[0, -1, 1, 2]
        np.testing.assert_array_equal(layer.weight, np.moveaxis(filters, [3, 2], [0, 1]))
        np.testing.assert_array_equal(layer.bias, biases.ravel())
    assert (source.family, source.lrn, source.ignored) == ("matconvnet", False, ())
    assert source.facts["mean"].value == (10, 20, 30)
    assert source.facts["mean"].how == "averageImage"
    assert source.facts["resize"].value == 256
    assert source.facts["interpolation"].value == "bicubic"
    assert source.input_size == 224
    assert source.classes == ("a cat", "a dog", "a fish")


@pytest.mark.parametrize(
    "told", [{"border": np.array([[16_300.0, 0.0]])}, {"border": [], "cropSize": 0.001}]
)
def test_images_of_a_size_out_of_bounds_are_not_believed(
    tmp_path: Path, told: dict[str, Any]
) -> None:
    net, _ = simple_net()
    net["meta"]["normalization"] |= told
    assert "resize" not in read_net(tmp_path, net).facts


@pytest.mark.parametrize("kind", KINDS)
def test_net_within_a_variable(tmp_path: Path, kind: str) -> None:
    net, _ = simple_net()
    assert len(read_net(tmp_path, {"info": 3.0, "net": net}, kind).layers) == 4


@pytest.mark.parametrize("kind", KINDS)
def test_dag(tmp_path: Path, kind: str) -> None:
    net, values = simple_net(dag=True)
    source = read_net(tmp_path, net, kind)
    assert [layer.name for layer in source.layers] == ["conv1", "conv2", "fc1", "fc2"]
    for layer in source.layers:
        np.testing.assert_array_equal(layer.weight, values[layer.name][0].transpose(3, 2, 0, 1))
    assert source.ignored == ("side: conv on a branch",)


@pytest.mark.parametrize("kind", KINDS)
def test_one_output_has_no_last_dimension(tmp_path: Path, kind: str) -> None:
    weight = np.arange(1, 13, dtype=np.float32).reshape(2, 2, 3, order="F")
    layer = {
        "type": "conv",
        "name": "a",
        "weights": cell(weight[:1, :1], np.ones((1, 1), np.float32)),
    }
    source = read_net(tmp_path, {"layers": cell(layer)}, kind)
    np.testing.assert_array_equal(source.layers[0].weight, weight[:1, :1].transpose(2, 0, 1)[None])


@pytest.mark.parametrize("kind", KINDS)
def test_batch_norm_of_deviations(tmp_path: Path, kind: str) -> None:
    rng = np.random.default_rng(0)
    weight = rng.normal(size=(3, 3, 3, 4)).astype(np.float32)
    scale, shift, mean = rng.normal(size=(3, 4)).astype(np.float32)
    deviation = (rng.normal(size=4) ** 2 + 1).astype(np.float32)
    layers = cell(
        {"type": "conv", "weights": cell(weight, np.zeros((1, 4), np.float32)), "pad": 1.0},
        {
            "type": "bnorm",
            "weights": cell(scale[:, None], shift[:, None], np.stack([mean, deviation], 1)),
        },
        {"type": "relu"},
    )
    layer = read_net(tmp_path, {"layers": layers}, kind).layers[0]
    norm = layer.norm
    assert norm is not None
    x = torch.randn(1, 4, 5, 5, generator=torch.Generator().manual_seed(0))
    ours = F.batch_norm(x, norm.mean, norm.variance, norm.scale, norm.shift, eps=norm.epsilon)
    at = [torch.from_numpy(one).view(1, 4, 1, 1) for one in (scale, mean, deviation, shift)]
    torch.testing.assert_close(ours, at[0] * (x - at[1]) / at[2] + at[3])


def conv(**options: Any) -> dict[str, Any]:
    weight = np.ones((3, 3, 3, 4), np.float32)
    return {
        "type": "conv",
        "name": "c",
        "weights": cell(weight, np.ones((1, 4), np.float32)),
    } | options


def test_local_response_normalisation(tmp_path: Path) -> None:
    paper = np.array([[5, 2, 1e-4, 0.75]])
    layers = [conv(pad=1.0), {"type": "relu"}, {"type": "normalize", "name": "n", "param": paper}]
    assert read_net(tmp_path, {"layers": cell(*layers)}).lrn is True
    layers[2]["param"] = np.array([[5, 1, 1e-4, 0.75]])
    with pytest.raises(ModelError, match="n: a local response normalisation"):
        read_net(tmp_path, {"layers": cell(*layers, conv(pad=1.0), {"type": "relu"})})


def test_padding_is_top_bottom_left_right(tmp_path: Path) -> None:
    pool = {"type": "pool", "name": "p", "pool": np.array([[2.0, 2.0]]), "stride": 2.0}
    for pad, fits in (([0, 1, 0, 1], True), ([1, 0, 0, 0], False)):
        layers = [conv(pad=1.0), {"type": "relu"}, pool | {"pad": np.array([pad], float)}]
        variables = {"layers": cell(*layers, conv(pad=1.0), {"type": "relu"})}
        if fits:
            assert len(read_net(tmp_path, variables).layers) == 2
        else:
            with pytest.raises(ModelError, match="p: a 2x2 max-pool"):
                read_net(tmp_path, variables)


def test_mean_image_that_varies(tmp_path: Path) -> None:
    image = np.zeros((2, 2, 3), np.float32)
    image[..., 1], image[0, 0, 2] = 100, 8
    normalization = {"averageImage": image}
    fact = read_net(
        tmp_path, {"layers": cell(conv(pad=1.0)), "normalization": normalization}
    ).facts["mean"]
    assert fact.value == (0, 100, 2)
    assert fact.how == "mean over the pixels of averageImage, which differ by up to 8"


def test_wordnet_ids_are_ilsvrc(tmp_path: Path) -> None:
    ids = [f"n{number:08}" for number in range(1000)]
    classes = {"name": cell(*ids), "description": cell(*["crane"] * 1000)}
    source = read_net(tmp_path, {"layers": cell(conv(pad=1.0)), "classes": classes})
    assert source.facts["classes"].value == "ilsvrc"
    assert source.classes == tuple(ids)
    classes["name"] = cell(*ids[::-1])
    source = read_net(tmp_path, {"layers": cell(conv(pad=1.0)), "classes": classes})
    assert "classes" not in source.facts


@pytest.mark.parametrize(
    ("variables", "message"),
    [
        ({"x": 1.0}, "must have a variable 'layers', or a struct with it; it has x"),
        ({"layers": cell(conv(pad=1.0, stride=2.0))}, "with stride 2x2"),
        ({"layers": cell(conv())}, "padding 0"),
        ({"layers": cell({"type": "conv", "name": "c"})}, "filters of c must be an array"),
        ({"layers": cell({"type": "relu"})}, "no convolution"),
        ({"layers": cell(3.0)}, "layer 1 is no struct"),
        (
            {"layers": cell(conv(weights=cell(np.ones((3, 3, 3, 4), np.int8)), pad=1.0))},
            "c: its weights are int8, not floating-point numbers",
        ),
    ],
)
@pytest.mark.parametrize("kind", ["5", "7.3"])
def test_refusals(tmp_path: Path, variables: dict[str, Any], message: str, kind: str) -> None:
    with pytest.raises(ModelError, match=message) as caught:
        read_net(tmp_path, variables, kind)
    assert str(caught.value).startswith(f"{tmp_path / 'net.mat'}: ")


def test_values_are_those_of_scipy(tmp_path: Path) -> None:
    """Also doubles that are stored as bytes, big numbers, text that is not ASCII, and nothing."""
    variables = {
        "a": np.arange(24.0).reshape(2, 3, 4),
        "b": np.array([[1.5, -2e300]]),
        "c": "Zürich",
        "d": np.zeros((0, 0)),
        "e": np.array([[7]], np.uint16),
        "f": np.array([True, False]),
    }
    for compressed in (False, True):
        path = tmp_path / "x.mat"
        savemat(path, variables, do_compression=compressed)
        ours, theirs = read_mat5(memoryview(path.read_bytes())), loadmat(path)
        for name in "abdef":
            np.testing.assert_array_equal(ours[name].load(), theirs[name])
        assert ours["c"] == theirs["c"][0]


def test_missing_library(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    path = save(tmp_path / "net.mat", simple_net()[0], "7.3")
    monkeypatch.setitem(sys.modules, "h5py", None)
    with pytest.raises(MissingExtra, match=r"pip install 'verydeep\[matlab\]'"):
        read(path)


def test_layers_that_share_weights(tmp_path: Path) -> None:
    """One array that many layers of a DagNN name would become gigabytes."""
    net, _ = simple_net(dag=True)
    net["params"][0, 0] = ("conv1f", np.ones((3, 3, 100, 100), np.float32))
    net["layers"] = np.repeat(net["layers"], 100, axis=1)
    with pytest.raises(ModelError, match=r"layers with .* weights in a file of"):
        read_net(tmp_path, net)


def test_bombs(tmp_path: Path) -> None:
    header = b"MATLAB 5.0 MAT-file".ljust(124) + b"\x00\x01IM"
    packed = zlib.compress(struct.pack("<II", 14, 2**31) + bytes(2**24), 9)
    path = tmp_path / "bomb.mat"
    path.write_bytes(header + struct.pack("<II", 15, len(packed)) + packed)
    with pytest.raises(ModelError, match="unpack to too many bytes"):
        read(path)
    flags, dims = struct.pack("<IIII", 6, 8, 1, 0), struct.pack("<IIii", 5, 8, 1, 1)
    inner = b""
    for _ in range(2000):
        body = flags + dims + struct.pack("<II", 1, 0) + inner
        inner = struct.pack("<II", 14, len(body)) + body
    path.write_bytes(header + inner)
    with pytest.raises(ModelError, match="more than 12 deep"):
        read(path)
    dims = struct.pack("<IIii", 5, 8, 2**30, 2**30)
    for kind, message in ((1, "more than 100,000"), (7, "an array of .* numbers in 0 bytes")):
        body = struct.pack("<IIII", 6, 8, kind, 0) + dims + struct.pack("<IIII", 1, 0, 7, 0)
        path.write_bytes(header + struct.pack("<II", 14, len(body)) + body)
        with pytest.raises(ModelError, match=message):
            read(path)


def test_data_outside_the_file(tmp_path: Path) -> None:
    net, _ = simple_net()
    path = save(tmp_path / "net.mat", net, "7.3")
    secret = tmp_path / "secret"
    secret.write_bytes(bytes(432))
    with h5py.File(path, "r+") as file:
        old = file["#refs#"]
        name = next(key for key in old if getattr(old[key], "shape", ()) == (4, 3, 3, 3))
        attributes = dict(old[name].attrs)
        layer = file[file["layers"][0, 0]]
        cells = file[layer["weights"].name][()]
        stolen = old.create_dataset(
            "stolen", (4, 3, 3, 3), "f4", external=[(os.fspath(secret), 0, 432)]
        )
        stolen.attrs.update(attributes)
        cells[0, 0] = stolen.ref
        layer["weights"][...] = cells
    with pytest.raises(ModelError, match="data in another file"):
        read(path)
    with h5py.File(path, "r+") as file:
        file["link"] = h5py.ExternalLink(os.fspath(secret), "/x")
    with pytest.raises(ModelError, match="a link to another place"):
        read(path)


def test_cells_that_hold_themselves(tmp_path: Path) -> None:
    path = tmp_path / "loop.mat"
    save_73(path, {"layers": cell(3.0)})
    with h5py.File(path, "r+") as file:
        file["layers"][0, 0] = file["layers"].ref
    with pytest.raises(ModelError, match="more than 12 deep"):
        read(path)


@pytest.mark.parametrize(
    ("side", "message"),
    [
        (2**13, "layers with 201,326,5.. weights in a file of"),
        (2**9, "data of 3,145,728 bytes in 0"),
    ],
)
def test_unwritten_data_allocate_nothing(tmp_path: Path, side: int, message: str) -> None:
    path = tmp_path / "vast.mat"
    save_73(path, {"layers": cell(conv(pad=1.0))})
    with h5py.File(path, "r+") as file:
        vast = file["#refs#"].create_dataset("v", (side, side, 3, 1), "f4", chunks=True)
        vast.attrs["MATLAB_class"] = np.bytes_("single")
        layer = file[file["layers"][0, 0]]
        cells = layer["weights"][()]
        cells[0, 0] = vast.ref
        layer["weights"][...] = cells
    with pytest.raises(ModelError, match=message):
        read(path)


def test_other_files_are_not_recognised(tmp_path: Path) -> None:
    path = tmp_path / "x.mat"
    for data in (b"", b"MATLAB", bytes(200)):
        path.write_bytes(data)
        assert not matches(data, path)


@pytest.mark.parametrize("kind", KINDS)
def test_message_of_damage(tmp_path: Path, kind: str) -> None:
    path = save(tmp_path / "net.mat", simple_net()[0], kind)
    path.write_bytes(path.read_bytes()[:-9])
    assert_damage_named(matconvnet, path, "a MATLAB file of a net")


@pytest.fixture(scope="module")
def seeds(tmp_path_factory: pytest.TempPathFactory) -> list[bytes]:
    folder = tmp_path_factory.mktemp("seeds")
    nets = [(simple_net()[0], "5"), (simple_net(dag=True)[0], "5"), (simple_net()[0], "compressed")]
    return [save(folder / "net.mat", net, kind).read_bytes() for net, kind in nets]


@settings(max_examples=150, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(data=st.data())
def test_damaged_files(tmp_path: Path, seeds: list[bytes], data: st.DataObject) -> None:
    path = tmp_path / "damaged.mat"
    seed = data.draw(st.sampled_from(seeds))
    harm = data.draw(st.lists(edits(seeds), min_size=1, max_size=4))
    path.write_bytes(seed[:128] + mutate(seed[128:], harm))
    try:
        assert read(path).layers
    except ModelError as error:
        assert str(error).isprintable()  # noqa: PT017


@settings(max_examples=60, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(data=st.data())
def test_damaged_files_of_73(tmp_path: Path, data: st.DataObject) -> None:
    seed = save(tmp_path / "net.mat", simple_net()[0], "7.3").read_bytes()
    path = tmp_path / "damaged.mat"
    place = data.draw(st.integers(512, len(seed) - 1))
    kind = data.draw(st.sampled_from(["cut", "zero", "flip"]))
    changed = bytearray(seed[:place] if kind == "cut" else seed)
    if kind != "cut":
        changed[place] = 0 if kind == "zero" else changed[place] ^ 0x55
    path.write_bytes(changed)
    try:
        assert read(path).layers
    except ModelError as error:
        assert str(error).isprintable()  # noqa: PT017
