"""Nets that Keras saved in every way, against the scores of Keras itself."""

from __future__ import annotations

import importlib.util
import json
import re
import zipfile
from collections.abc import Callable
from pathlib import Path
from typing import Any

import h5py
import numpy as np
import pytest
import torch
from keras_files import save_applications, save_keras_1
from scores import assert_close, images, imported, our_scores, run_keras
from torch.nn import functional as F

from verydeep.errors import ModelError
from verydeep.models.weights.formats.keras.reader import matches, read
from verydeep.models.weights.source import SourceFile

if not importlib.util.find_spec("keras"):  # an import would look for TensorFlow
    pytest.skip("Keras is not installed", allow_module_level=True)

pytestmark = pytest.mark.slow  # Keras takes its time to start and to save

WAYS = ("keras", "h5", "weights.h5")
FLOAT32 = 2e-6
"""Where Keras on PyTorch computes in float32 in any case: normalisations."""

NORMALIZED = ("norm", "nested", "twice_nested", "given_statistics", "adapted", "own_preprocessing")


@pytest.fixture
def nets(keras_nets: Path) -> Path:
    return keras_nets


@pytest.fixture
def others(keras_others: Path) -> Path:
    return keras_others


def compare(folder: Path, name: str, way: str, tolerance: float, **said: Any) -> SourceFile:
    """Compare the scores of Keras with those of the net made from its file."""
    path = folder / f"{name}.{way}"
    assert matches(path.read_bytes()[:4096], path)
    made = imported(path, **said)
    found = our_scores(made, images(64, 64))
    assert found.shape[2:] == (1, 1)
    theirs = torch.from_numpy(np.load(folder / f"{name}.scores.npy")).double()
    assert_close(found[:, :, 0, 0], theirs, tolerance)
    return read(path)


NETS = ("plain", "norm", "nested", "twice_nested", "sequential", "first", "mixed")
BARE = ("plain", "nested", "twice_nested", "sequential", "first")
"""Nets that are the same without their configuration."""


@pytest.mark.parametrize(
    ("name", "way"),
    [(name, way) for name in NETS for way in WAYS if way != "weights.h5" or name in BARE],
)
def test_scores(nets: Path, name: str, way: str) -> None:
    source = compare(nets, name, way, FLOAT32 if name in NORMALIZED else 1e-9)
    assert (source.family, source.facts) == ("keras", {})
    if way != "weights.h5":
        assert source.input_size == 64
        assert source.ignored == ()


@pytest.mark.parametrize("way", ["keras", "h5"])
@pytest.mark.parametrize("name", ["no_scale", "no_centre"])
def test_norm_without_a_part(nets: Path, name: str, way: str) -> None:
    compare(nets, name, way, FLOAT32)


def test_softmax(nets: Path) -> None:
    """The last activation is left to the softmax that scores go through here."""
    made = imported(nets / "softmax.keras")
    scores = F.softmax(our_scores(made, images(64, 64))[:, :, 0, 0], 1)
    assert_close(scores, torch.from_numpy(np.load(nets / "softmax.scores.npy")), 1e-9)


FACTS: dict[str, Any] = {
    "rescaling": ("rgb", (127.5,) * 3, (127.5,) * 3),
    "augmented": ("rgb", (0,) * 3, (255,) * 3),
    "own_preprocessing": ("bgr", (123.68, 116.779, 103.939), (1,) * 3),
    "given_statistics": ("rgb", (100, 90, 80), (90**0.5, 20, 10)),
    "adapted": ("rgb", None, None),
}


@pytest.mark.parametrize("way", ["keras", "h5"])
@pytest.mark.parametrize("name", FACTS)
def test_preprocessing_in_the_net(nets: Path, name: str, way: str) -> None:
    """Whatever layers do to pixels is a fact about the file, and the scores are those of Keras."""
    source = compare(nets, name, way, FLOAT32 if name in NORMALIZED else 1e-9)
    channels, mean, std = FACTS[name]
    assert source.facts["channels"].value == channels
    if mean is not None:
        assert source.facts["mean"].value == pytest.approx(mean, abs=1e-4)
        assert source.facts["std"].value == pytest.approx(std)
    assert source.facts["mean"].how.startswith("layers of the file: ")
    assert source.ignored == ()


def test_epsilon_unknown(nets: Path) -> None:
    """A file of weights alone says that an epsilon was taken for granted."""
    found = read(nets / "norm.weights.h5")
    assert found.ignored == (
        "batch normalisations: the file does not say their epsilon; Keras's 0.001 is taken",
    )
    assert found.layers[0].norm is not None
    assert found.layers[0].norm.epsilon == 0.001
    assert read(nets / "norm.keras").layers[0].norm.epsilon == 0.01  # type: ignore[union-attr]


def refusal(path: Path) -> str:
    assert matches(path.read_bytes()[:4096], path)
    with pytest.raises(ModelError) as caught:
        read(path)
    text = str(caught.value)
    assert text.startswith(f"{path}: ")
    assert "\n" not in text
    return text.removeprefix(f"{path}: ")


def test_norm_of_three_variables_alone(nets: Path) -> None:
    assert refusal(nets / "no_scale.weights.h5") == (
        "holds a batch normalisation of three variables, and not which they are; save the whole "
        'model: model.save("model.keras")'
    )


@pytest.mark.parametrize("name", ["float32", "float16", "bfloat16"])
def test_dtypes(others: Path, name: str) -> None:
    """Half precision is only in the numbers; what Keras computes with them is less exact."""
    for way in WAYS[:1] if name == "bfloat16" else WAYS:
        source = compare(others, name, way, 1e-4 if name == "float32" else 0.05)
        assert source.layers[0].weight.dtype == torch.float32


LEFT_OUT = {
    "maximum": r"global_max_pooling2d: a layer of type GlobalMaxPooling2D",
    "tanh": r"dense\w*: the activation tanh",
    "norm_in_head": r"batch_norm\w*: a batch normalisation that does not follow a convolution .*",
    "no_relu_in_head": r"dense\w*: no ReLU follows",
    "leaky": r"leaky_re_lu: a layer of type LeakyReLU",
    "softmax_in_head": r"softmax: a softmax before other layers",
    "sigmoid": r"dense\w*: the activation sigmoid",
}


@pytest.mark.parametrize("name", LEFT_OUT)
def test_heads_left_out(others: Path, name: str) -> None:
    """Heads that are not as the paper's, by the same rules as in the other formats."""
    source = read(others / f"{name}.keras")
    assert re.fullmatch(LEFT_OUT[name], source.head_fault or "")
    assert source.head_fault in source.ignored
    found = imported(others / f"{name}.keras").match
    assert (found.name, found.head) == ("A", ())
    assert sum(not one.source.endswith(tuple(source.ignored)) for one in found.left_out) == sum(
        not layer.is_convolution for layer in source.layers
    )


def test_other_heads(others: Path) -> None:
    assert [layer.weight.shape for layer in read(others / "average.h5").layers][-1] == (5, 32)
    assert len(read(others / "body.keras").layers) == 8
    end = read(others / "end_at_average.keras")
    assert len(end.layers) == 8
    assert end.ignored == ("average_pooling2d: a layer of type AveragePooling2D",)


def test_resizing(others: Path) -> None:
    found = read(others / "resizing.keras")
    facts = {name: fact.value for name, fact in found.facts.items()}
    assert facts == {"resize": 0, "interpolation": "bilinear"}
    assert found.input_size == 96


def test_unknown_preprocessing(others: Path) -> None:
    assert read(others / "odd_layer.keras").ignored == (
        "layer_normalization (LayerNormalization): what it does to the images is unknown",
    )


REFUSED = {
    "no_relu": "must be followed by a ReLU",
    "late_norm": "a batch normalisation that does not follow a convolution directly",
    "strides": "with stride 2x2, padding",
    "valid": "with stride 1x1, padding 0",
    "mean_pool": "a layer of type AveragePooling2D",
    "branches": "branches at",
    "dense_first": "it begins with a fully connected layer",
}


@pytest.mark.parametrize("way", ["keras", "h5"])
@pytest.mark.parametrize("name", REFUSED)
def test_other_nets_refused(others: Path, name: str, way: str) -> None:
    assert REFUSED[name] in refusal(others / f"{name}.{way}")


def test_a_pool_elsewhere(others: Path) -> None:
    with pytest.raises(ModelError, match=r"too many follows conv3_1 \(c3\) and no .* \(c2\)"):
        imported(others / "moved_pool.keras")


@pytest.mark.parametrize("kind", ["tf_1", "tf_2", "cut"])
def test_files_of_keras_applications(nets: Path, tmp_path: Path, kind: str) -> None:
    """Weights as keras.applications publishes them, named by several versions of Keras."""
    path = tmp_path / "vgg16_weights_tf_dim_ordering_tf_kernels.h5"
    save_applications(nets / "plain.h5", path, kind)
    found = compare_file(path, nets, "plain")
    assert found.format == "Keras weights (.h5)"
    assert [layer.name for layer in found.layers][:2] == ["block1_conv1", "block1_conv2"]


def compare_file(path: Path, nets: Path, name: str) -> SourceFile:
    made = imported(path)
    theirs = torch.from_numpy(np.load(nets / f"{name}.scores.npy"))
    assert_close(our_scores(made, images(64, 64))[:, :, 0, 0], theirs, 1e-9)
    return read(path)


def test_keras_1_model(nets: Path, tmp_path: Path) -> None:
    """A Sequential model of Keras 1: its layers are a list, and its settings had other names."""
    save_keras_1(nets / "sequential.h5", tmp_path / "w")
    found = compare_file(tmp_path / "w", nets, "sequential")
    assert found.format == "Keras model (.h5), Keras 1.2.2"
    assert found.input_size == 64


def test_theano_kernels_refused(nets: Path, tmp_path: Path) -> None:
    save_applications(nets / "plain.h5", tmp_path / "w", "theano")
    assert "kernels for Theano have to be converted" in refusal(tmp_path / "w")


def rezip(
    source: Path, target: Path, change: Callable[[str, bytes], bytes | None], **how: Any
) -> None:
    with zipfile.ZipFile(source) as old, zipfile.ZipFile(target, "w", **how) as new:
        for name in old.namelist():
            data = change(name, old.read(name))
            if data is not None:
                new.writestr(name, data)


def test_archives(nets: Path, tmp_path: Path) -> None:
    path = tmp_path / "w"

    def of(change: Callable[[str, bytes], bytes | None], **how: Any) -> Path:
        rezip(nets / "plain.keras", path, change, **how)
        return path

    plain = read(nets / "plain.keras")
    packed = read(of(lambda _, data: data, compression=zipfile.ZIP_DEFLATED))
    assert all(
        torch.equal(a.weight, b.weight) for a, b in zip(plain.layers, packed.layers, strict=True)
    )
    assert "holds no model.weights.h5" in refusal(moved(nets, path))
    bomb = of(
        lambda name, data: bytes(2**28) if name.endswith("h5") else data,
        compression=zipfile.ZIP_DEFLATED,
    )
    assert "more than its own size allows" in refusal(bomb)
    assert "damaged" in refusal(of(lambda name, data: b"{" if "config" in name else data))
    assert "damaged" in refusal(of(lambda name, data: b"[" * 10**6 if "config" in name else data))
    data = bytearray((nets / "plain.keras").read_bytes())
    data[len(data) // 2] ^= 1
    path.write_bytes(data)
    assert "damaged" in refusal(path)


def moved(nets: Path, path: Path) -> Path:
    """Write a model whose weights are in another format."""
    with zipfile.ZipFile(nets / "plain.keras") as old, zipfile.ZipFile(path, "w") as new:
        new.writestr("config.json", old.read("config.json"))
        new.writestr("model.weights.npz", b"")
    return path


def changed(nets: Path, path: Path, change: Callable[[h5py.File], Any]) -> Path:
    path.write_bytes((nets / "plain.h5").read_bytes())
    with h5py.File(path, "r+") as file:
        change(file)
    return path


KERNEL = "model_weights/block1_conv1/block1_conv1/kernel"


def replace(file: h5py.File, path: str = KERNEL, **settings: Any) -> None:
    old = file[path][...]
    del file[path]
    file.create_dataset(path, **{"data": old, **settings})


def link(file: h5py.File, made: Any) -> None:
    del file[KERNEL]
    file[KERNEL] = made


def configure(change: Callable[[Any], Any]) -> Callable[[h5py.File], None]:
    """Return a change of the configuration of a model."""

    def changing(file: h5py.File) -> None:
        config = json.loads(file.attrs["model_config"])
        file.attrs["model_config"] = json.dumps(change(config) or config)

    return changing


def virtual(file: h5py.File) -> None:
    del file[KERNEL]
    layout = h5py.VirtualLayout((3, 3, 3, 4), "f8")
    layout[...] = h5py.VirtualSource("/etc/passwd", "x", (3, 3, 3, 4))
    file.create_virtual_dataset(KERNEL, layout)


def size(file: h5py.File, *sides: int) -> None:
    """Declare a data set of that size, of which nothing is written."""
    replace(file, data=None, shape=sides, dtype="f8")


def elsewhere(file: h5py.File) -> None:
    external = [("/etc/passwd", 0, 864)]
    replace(file, data=None, shape=(3, 3, 3, 4), dtype="f8", external=external)


def circle(config: Any) -> None:
    layers = config["config"]["layers"]
    layers[1]["inbound_nodes"][0] = layers[-1]["inbound_nodes"][0]


def no_list(config: Any) -> None:
    config["config"]["layers"] = 3


def without(config: Any) -> None:
    del config["config"]["layers"][5]


def deep(config: Any) -> Any:
    for _ in range(40):
        config = {"class_name": "Sequential", "config": {"name": "a", "layers": [config]}}
    return config


BIAS = KERNEL.replace("kernel", "bias")
HOSTILE: dict[str, tuple[Callable[[h5py.File], Any], str]] = {
    "external link": (lambda f: link(f, h5py.ExternalLink("/etc/passwd", "x")), "newer form"),
    "soft link": (lambda f: link(f, h5py.SoftLink("/")), "holds a link"),
    "compressed": (lambda f: replace(f, compression="gzip"), "compressed"),
    "in pieces": (lambda f: replace(f, chunks=(3, 3, 3, 2)), "in pieces"),
    "virtual": (virtual, "in pieces"),
    "elsewhere": (elsewhere, "in another file"),
    "integers": (lambda f: replace(f, data=np.ones((3, 3, 3, 4), int)), "no floating-point"),
    "texts": (lambda f: replace(f, data=["a", "b"]), "1 dimensions"),
    "big-endian": (lambda f: replace(f, dtype=">f8"), "no floating-point"),
    "vast": (lambda f: size(f, 2**20, 2**20, 3, 4), "more than the"),
    "many": (lambda f: size(f, 3, 3, 2**20, 2**20), "more than the"),
    "unwritten": (lambda f: size(f, 3, 3, 3, 40_000), "declares"),
    "no weights": (lambda f: f.__delitem__(KERNEL), "which it does not hold"),
    "other bias": (lambda f: replace(f, BIAS, data=np.ones(5)), "a bias of 5"),
    "no names": (lambda f: f["model_weights"].attrs.pop("layer_names"), "weights are missing"),
    "no list of layers": (configure(no_list), "damaged"),
    "a layer less": (configure(without), "damaged"),
    "a circle": (configure(circle), "their own output"),
    "models in models": (configure(deep), "more layers"),
}


@pytest.mark.parametrize("name", HOSTILE)
def test_hostile_contents(nets: Path, tmp_path: Path, name: str) -> None:
    change, said = HOSTILE[name]
    text = refusal(changed(nets, tmp_path / "w", change))
    assert said in text


def test_groups_in_a_circle(nets: Path, tmp_path: Path) -> None:
    path = tmp_path / "w"
    path.write_bytes((nets / "plain.weights.h5").read_bytes())
    with h5py.File(path, "r+") as file:
        file["layers/conv2d/again"] = file["layers"]
    assert refusal(path) == "holds groups that hold themselves"


def test_lambda_is_not_run(nets: Path, tmp_path: Path) -> None:
    """A Lambda layer, whose code Keras would unmarshal, is only named."""

    def with_lambda(config: Any) -> None:
        layers = config["config"]["layers"]
        code = {"class_name": "__lambda__", "config": {"code": "4wEAAAAAAAAAAAAA"}}
        nodes = layers[1]["inbound_nodes"]
        own = {"name": "cut", "function": code}
        layers.insert(
            1, {"class_name": "Lambda", "name": "cut", "config": own, "inbound_nodes": nodes}
        )
        text = json.dumps(nodes).replace(layers[0]["config"]["name"], "cut")
        layers[2]["inbound_nodes"] = json.loads(text)

    found = read(changed(nets, tmp_path / "w", configure(with_lambda)))
    assert found.ignored == ("cut (Lambda): what it does to the images is unknown",)


def test_newer_hdf5_refused(tmp_path: Path) -> None:
    with h5py.File(tmp_path / "w", "w", libver="latest") as file:
        file.attrs["layer_names"] = ["a"]
    assert "newer form of HDF5" in refusal(tmp_path / "w")


def test_not_ours(tmp_path: Path) -> None:
    with h5py.File(tmp_path / "h5", "w") as file:
        file["measured"] = np.ones(3)
    with zipfile.ZipFile(tmp_path / "zip", "w") as archive:
        archive.writestr("config.json", "{}")
    for name in ("h5", "zip"):
        assert not matches((tmp_path / name).read_bytes()[:4096], tmp_path / name)
    with pytest.raises(ModelError, match="HDF5 file, but not one of Keras: it names no layers"):
        read(tmp_path / "h5")
    with pytest.raises(ModelError, match="cannot be read"):
        read(tmp_path / "none")


def test_keras_applications(tmp_path: Path) -> None:
    """VGG16 of keras.applications as it is, with and without its head."""
    run_keras("applications", tmp_path)
    for way in WAYS:
        compare(tmp_path, "whole", way, 1e-4)
        (tmp_path / f"whole.{way}").unlink()
    for way in WAYS:
        found = read(tmp_path / f"without.{way}")
        assert len(found.layers) == 13
        assert all(layer.is_convolution for layer in found.layers)
