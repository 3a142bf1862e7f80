"""Small files of Keras, made without it: what is read from them, and what damage does to them."""

from __future__ import annotations

import io
import itertools
import json
import zipfile
from pathlib import Path
from typing import Any

import h5py
import numpy as np
import pytest
from damage import assert_damage_named, encrypted, patient, refusal, try_to_read
from hostile import edits, mutate
from hypothesis import given
from hypothesis import strategies as st
from keras_files import SMALL, SMALL_CONFIG, save_small, small_arrays, texts
from scores import narrow

from verydeep.errors import ModelError
from verydeep.models.weights.formats.keras import reader as keras
from verydeep.models.weights.formats.keras.hdf5 import Hdf5, Node
from verydeep.models.weights.formats.keras.reader import matches, read
from verydeep.models.weights.imported import import_file


@pytest.mark.parametrize("way", SMALL)
def test_layers(tmp_path: Path, way: str) -> None:
    save_small(tmp_path / "w", way)
    assert matches((tmp_path / "w").read_bytes()[:4096], tmp_path / "w")
    found = read(tmp_path / "w")
    arrays = small_arrays()
    conv, first, last = found.layers
    assert [layer.name for layer in found.layers] == ["conv", "fc", "out"]
    assert [layer.flatten for layer in found.layers] == ["chw", "hwc", "chw"]
    np.testing.assert_array_equal(conv.weight[3, 2, 0, 1], arrays["conv"][0][0, 1, 2, 3])
    np.testing.assert_array_equal(conv.weight, np.moveaxis(arrays["conv"][0], [3, 2], [0, 1]))
    np.testing.assert_array_equal(first.weight, arrays["fc"][0].T)
    np.testing.assert_array_equal(first.bias, arrays["fc"][1])
    assert last.bias is None
    norm = conv.norm
    assert norm is not None
    for found_part, part in zip(
        (norm.scale, norm.shift, norm.mean, norm.variance), arrays["norm"], strict=True
    ):
        np.testing.assert_array_equal(found_part, part)
    whole = way in ("h5", "keras")
    assert norm.epsilon == (0.25 if whole else 0.001)
    assert found.input_size == (8 if whole else None)
    if whole:  # (0.5 x + (1, 2, 3)) is (x - mean) / std
        assert found.facts["mean"].value == (-2, -4, -6)
        assert found.facts["std"].value == (2, 2, 2)


def walk(node: Node, path: str = "") -> dict[str, Node]:
    found = {path: node}
    for name, child in node.children.items():
        found |= walk(child, f"{path}/{name}")
    return found


@patient
@given(st.data())
def test_hdf5_against_h5py(data: st.DataObject) -> None:
    """Any tree of groups, float arrays and texts reads as h5py reads it."""
    names = st.text("abz_0", min_size=1, max_size=5)
    shapes = st.lists(st.integers(0, 4), max_size=4).map(tuple)
    kinds = st.sampled_from(["f2", "f4", "f8"])
    stream = io.BytesIO()
    with h5py.File(stream, "w") as file:
        for group in data.draw(st.lists(names, max_size=30, unique=True)):
            own = file.create_group(group)
            for name in data.draw(st.lists(names, max_size=3, unique=True)):
                shape, kind = data.draw(shapes), data.draw(kinds)
                own[name] = np.random.default_rng(0).random(shape).astype(kind)
            for name in data.draw(st.lists(names, max_size=3, unique=True)):
                texts = data.draw(st.lists(st.text("aé☃", max_size=9), min_size=1, max_size=40))
                fixed = np.array([text.encode() for text in texts])
                is_fixed = data.draw(st.booleans()) and fixed.dtype.itemsize
                own.attrs[name] = fixed if is_fixed else texts
    found = walk(Hdf5(memoryview(stream.getvalue())).root)
    with h5py.File(stream) as file:
        paths: list[str] = []
        file.visit(paths.append)
        assert {f"/{path}" for path in paths} | {""} == set(found)
        for path in paths:
            same(found[f"/{path}"], file[path])


def same(ours: Node, theirs: Any) -> None:
    if isinstance(theirs, h5py.Dataset):
        assert ours.shape == theirs.shape
        np.testing.assert_array_equal(ours.read().numpy(), theirs[...])
    for name, values in theirs.attrs.items():
        plain = [one.decode() if isinstance(one, bytes) else one for one in values]
        assert list(ours.attributes[name]) == plain


SEEDS: dict[str, bytes] = {}


@pytest.fixture(scope="module", autouse=True)
def seeds(tmp_path_factory: pytest.TempPathFactory) -> None:
    folder = tmp_path_factory.mktemp("seeds")
    for way in SMALL:
        save_small(folder / way, way)
        SEEDS[way] = (folder / way).read_bytes()


COMPRESSIONS = {
    "stored": zipfile.ZIP_STORED,
    "deflate": zipfile.ZIP_DEFLATED,
    "bzip2": zipfile.ZIP_BZIP2,
    "lzma": zipfile.ZIP_LZMA,
}


@pytest.mark.parametrize("kind", COMPRESSIONS)
def test_damage_to_compressed_members(tmp_path: Path, kind: str) -> None:
    """Whatever the compression, the library's own error becomes the one message."""
    path = tmp_path / "w"
    stream = io.BytesIO()
    with (
        zipfile.ZipFile(io.BytesIO(SEEDS["keras"])) as old,
        zipfile.ZipFile(stream, "w", COMPRESSIONS[kind]) as new,
    ):
        for name in old.namelist():
            new.writestr(name, old.read(name))
        new.writestr("assets/long", bytes(40_000), zipfile.ZIP_STORED)  # what unpacks is bounded
        weights = new.getinfo("model.weights.h5")
    data = bytearray(stream.getvalue())
    path.write_bytes(data)
    assert len(read(path).layers) == 3
    begin = weights.header_offset + 30 + len(weights.filename) + weights.compress_size // 3
    data[begin : begin + 40] = b"\xff" * 40
    path.write_bytes(data)
    if kind == "bzip2":  # whose module raises an OSError
        assert "cannot be read" in refusal(keras, path)
    else:
        assert_damage_named(keras, path, "a Keras file")


def test_encrypted_archive(tmp_path: Path) -> None:
    (tmp_path / "w").write_bytes(encrypted(SEEDS["keras"]))
    assert_damage_named(keras, tmp_path / "w", "a Keras file")
    assert "is encrypted" in refusal(keras, tmp_path / "w")


@patient
@given(way=st.sampled_from(SMALL), data=st.data())
def test_mutated_files(tmp_path: Path, way: str, data: st.DataObject) -> None:
    harm = data.draw(st.lists(edits([SEEDS[way]]), min_size=1, max_size=6))
    (tmp_path / "w").write_bytes(mutate(SEEDS[way], harm))
    try_to_read(keras, tmp_path / "w")


NUMBERS = st.one_of(
    st.sampled_from([0, 1, 2**16 - 1, 2**31 - 1, 2**32 - 1, 2**63 - 1, 2**64 - 1]),
    st.integers(0, 40_000),
)


@patient
@given(way=st.sampled_from(["h5", "weights.h5", "names"]), data=st.data())
def test_overwritten_addresses(tmp_path: Path, way: str, data: st.DataObject) -> None:
    """Addresses and lengths, which lie at multiples of 8 or 4, are replaced."""
    content = bytearray(SEEDS[way])
    for _ in range(data.draw(st.integers(1, 3))):
        size = data.draw(st.sampled_from([2, 4, 8]))
        place = data.draw(st.integers(0, len(content) // 4 - 2)) * 4
        value = data.draw(NUMBERS) % 2 ** (8 * size)
        content[place : place + size] = value.to_bytes(size, "little")
    (tmp_path / "w").write_bytes(content)
    try_to_read(keras, tmp_path / "w")


VALUES = st.recursive(
    st.one_of(st.none(), st.booleans(), st.integers(-3, 300), st.floats(), st.text(max_size=3)),
    lambda inner: st.one_of(
        st.lists(inner, max_size=3), st.dictionaries(st.text(max_size=3), inner, max_size=3)
    ),
    max_leaves=5,
)


def places(value: Any, path: tuple[Any, ...] = ()) -> list[tuple[Any, ...]]:
    """Return the way to every part of a configuration."""
    items = value.items() if isinstance(value, dict) else enumerate(value)
    found = [(*path, key) for key, _ in items] if isinstance(value, dict | list) else []
    if isinstance(value, dict | list):
        items = value.items() if isinstance(value, dict) else enumerate(value)
        for key, part in items:
            if isinstance(part, dict | list):
                found += places(part, (*path, key))
    return found


PLACES = places(SMALL_CONFIG)


@patient
@given(place=st.sampled_from(PLACES), value=VALUES)
def test_changed_settings(tmp_path: Path, place: tuple[Any, ...], value: Any) -> None:
    """A configuration with anything in any place."""
    config = json.loads(json.dumps(SMALL_CONFIG))
    inner = config
    for key in place[:-1]:
        inner = inner[key]
    inner[place[-1]] = value
    save_configured(tmp_path / "w", config)
    try_to_read(keras, tmp_path / "w")


def save_configured(path: Path, config: Any) -> None:
    """Write the small net's weights with another configuration."""
    with zipfile.ZipFile(io.BytesIO(SEEDS["keras"])) as archive:
        weights = archive.read("model.weights.h5")
    with zipfile.ZipFile(path, "w") as archive:
        archive.writestr("config.json", json.dumps(config))
        archive.writestr("model.weights.h5", weights)


@pytest.mark.parametrize("padding", [1, [1, 1], [[1, 1], [1, 1]]])
def test_padding_by_a_layer(tmp_path: Path, padding: Any) -> None:
    """It counts as the next layer's own: 2 in all are refused, and so is a padded head."""
    layers = json.loads(json.dumps(SMALL_CONFIG["config"]["layers"]))  # type: ignore[index]
    config = {"class_name": "Sequential", "config": {"name": "small", "layers": layers}}
    pad = {"class_name": "ZeroPadding2D", "config": {"name": "pad", "padding": padding}}
    layers.insert(2, pad)
    save_configured(tmp_path / "w", config)
    assert "conv must be a convolution of a VGG net" in refusal(keras, tmp_path / "w")
    assert "padding 2" in refusal(keras, tmp_path / "w")
    layers[3]["config"]["padding"] = "valid"
    save_configured(tmp_path / "w", config)
    assert read(tmp_path / "w").head_fault is None
    layers.insert(7, pad)
    save_configured(tmp_path / "w", config)
    assert read(tmp_path / "w").head_fault == "fc: reads a padded map"


def test_endless_files(tmp_path: Path) -> None:
    """A small file that names one long text thousands of times is refused before it is read."""
    stream = io.BytesIO()
    with h5py.File(stream, "w") as file:
        file.attrs.create("layer_names", ["a" * 60_000], dtype=h5py.string_dtype())
        for number in range(10):
            file.attrs.create(f"layer_names{number}", ["b"] * 2000, dtype=h5py.string_dtype())
    data = stream.getvalue()
    place = data.index(b"GCOL")
    long = (60_000).to_bytes(4, "little") + place.to_bytes(8, "little") + (1).to_bytes(4, "little")
    changed = bytearray(data)
    position = 0
    one = (1).to_bytes(4, "little")
    while (position := changed.find(one, position)) >= 0:
        address = int.from_bytes(changed[position + 4 : position + 12], "little")
        if data[address : address + 4] == b"GCOL":
            changed[position : position + 16] = long
        position += 4
    (tmp_path / "w").write_bytes(changed)
    with pytest.raises(ModelError, match="bytes of names and settings"):
        read(tmp_path / "w")


def test_a_normalisation_of_other_channels_is_refused(tmp_path: Path) -> None:
    """In a file of weights alone, nothing but the order tells whose normalisation it is."""
    widths = [side for side in narrow("A") if side != "M"]
    with h5py.File(tmp_path / "a.h5", "w") as file:
        names = [f"{kind}{number}" for number in range(8) for kind in ("conv", "norm")]
        file.attrs["layer_names"] = texts(names)
        for number, (inputs, outputs) in enumerate(itertools.pairwise([3, *widths])):
            _write(file, f"conv{number}", {"kernel": (3, 3, inputs, outputs)})
            channels = outputs + (number == 5)
            parts = ("gamma", "beta", "moving_mean", "moving_variance")
            _write(file, f"norm{number}", dict.fromkeys(parts, (channels,)))
    with pytest.raises(ModelError, match="conv5: a batch normalisation of 33 channels for 32 out"):
        import_file(tmp_path / "a.h5")


def _write(file: h5py.File, name: str, parts: dict[str, tuple[int, ...]]) -> None:
    group = file.create_group(name)
    group.attrs["weight_names"] = texts([f"{name}/{part}:0" for part in parts])
    for part, shape in parts.items():
        group[f"{name}/{part}:0"] = np.ones(shape, np.float32)
