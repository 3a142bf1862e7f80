"""Weights of Keras 1 to 3: ``.h5``, ``.weights.h5`` and ``.keras``, read without Keras."""

from __future__ import annotations

import json
import mmap
import struct
import zipfile
import zlib
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from itertools import takewhile
from pathlib import Path
from typing import Any

from verydeep.errors import ModelError, printable
from verydeep.models.weights.formats.keras.bare import NORM_NOTE, named_layers, numbered_layers
from verydeep.models.weights.formats.keras.config import forward_steps
from verydeep.models.weights.formats.keras.hdf5 import SIGNATURE, Hdf5, Node
from verydeep.models.weights.formats.keras.layers import KerasLayers, check_weights, has_weights
from verydeep.models.weights.formats.keras.planned import read_planned
from verydeep.models.weights.formats.keras.preprocessing import Preprocessing
from verydeep.models.weights.formats.keras.store import DEPENDENCIES, NamedStore, NumberedStore
from verydeep.models.weights.formats.values import faults_of
from verydeep.models.weights.source import SourceFile

ZIP = b"PK\x03\x04"
CONFIG, VARIABLES = "config.json", "model.weights.h5"
LONGEST_CONFIG = 2**24
WHAT = "a Keras file"


@dataclass(frozen=True)
class _Opened:
    """A Keras file before its layers are read.

    Attributes:
        format: Its format in words.
        store: Its weights.
        config: Configuration of the model; None if it holds weights alone.
        size: Its size in bytes.
    """

    format: str
    store: NamedStore | NumberedStore
    config: Mapping[str, Any] | None
    size: int


def matches(head: bytes, path: Path) -> bool:
    """Return whether a file is one that Keras writes; damaged HDF5 files are taken for that.

    Args:
        head: The first 4,096 bytes of the file.
        path: The file.
    """
    if head.startswith(ZIP):
        try:
            with zipfile.ZipFile(path) as archive:
                names = set(archive.namelist())
        except (OSError, ValueError, zipfile.BadZipFile, NotImplementedError):
            return False
        return CONFIG in names and any(name.startswith("model.weights") for name in names)
    if not head.startswith(SIGNATURE):
        return False
    try:
        with _mapped(path) as data:
            return _holds_keras(Hdf5(data).root)
    except (OSError, ValueError, LookupError, RecursionError, struct.error):
        return True


def read(path: Path) -> SourceFile:
    """Read a model or the weights of one.

    Args:
        path: A file of Keras 1, 2 or 3.

    Raises:
        ModelError: The file is damaged, or what it holds is no chain of layers.
    """
    with faults_of(path, WHAT), _mapped(path) as data:
        opened = _open_zip(path, data) if bytes(data[:4]) == ZIP else _open_hdf5(data)
        return _read(opened)


def preprocessing_of(path: Path) -> Preprocessing | None:
    """Return what the layers of a model do to images; None if the file holds weights alone.

    Raises:
        ModelError: The file is damaged, or what it holds is no chain of layers.
    """
    with faults_of(path, WHAT), _mapped(path) as data:
        opened = _open_zip(path, data) if bytes(data[:4]) == ZIP else _open_hdf5(data)
        if opened.config is None:
            return None
        steps, _ = forward_steps(opened.config)
        found = KerasLayers(opened.store)
        for step in takewhile(lambda step: not has_weights(step), steps):
            found.take(step)
        return found.preprocessing


@contextmanager
def _mapped(path: Path) -> Iterator[memoryview]:
    """Yield the bytes of a file; nothing may refer to them afterwards."""
    with path.open("rb") as file:
        whole = mmap.mmap(file.fileno(), 0, access=mmap.ACCESS_READ)
        yield memoryview(whole)  # closed with its last reference


def _holds_keras(root: Node) -> bool:
    known = {"model_weights", "layers", DEPENDENCIES, "vars", "layer_names", "model_config"}
    return bool(known & {*root.children, *root.attributes, *_cut(root)})


def _cut(root: Node) -> Iterator[str]:
    if "layer_names0" in root.attributes:
        yield "layer_names"


def _open_hdf5(data: memoryview) -> _Opened:
    root = Hdf5(data).root
    text = root.attributes.get("model_config")
    config = _parsed(text[0]) if text else None
    version = (root.attributes.get("keras_version") or ("",))[0]
    if "model_weights" in root.children:
        group = root.children["model_weights"]
        version = version or (group.attributes.get("keras_version") or ("",))[0]
        return _Opened(f"Keras model (.h5){_of(version)}", NamedStore(group), config, len(data))
    if "layer_names" in root.attributes or "layer_names0" in root.attributes:
        return _Opened(f"Keras weights (.h5){_of(version)}", NamedStore(root), config, len(data))
    if not _holds_keras(root):
        raise ModelError(
            "is an HDF5 file, but not one of Keras: it names no layers; save the model with "
            'model.save("model.keras")'
        )
    return _Opened("Keras 3 weights (.weights.h5)", NumberedStore(root), None, len(data))


def _of(version: str) -> str:
    return f", Keras {printable(version[:20])}" if version else ""


def _parsed(text: str | bytes) -> Mapping[str, Any]:
    config = json.loads(text)
    if not isinstance(config, dict):
        raise TypeError("the configuration is no object")
    return config


def _open_zip(path: Path, data: memoryview) -> _Opened:
    with zipfile.ZipFile(path) as archive:
        names = archive.namelist()
        if VARIABLES not in names:
            raise ModelError(
                f"holds no {VARIABLES}; save the model where h5py is installed, in one piece"
            )
        config = _member(archive, CONFIG, LONGEST_CONFIG)
        weights = _stored(archive, VARIABLES, data)
        if weights is None:
            weights = memoryview(_member(archive, VARIABLES, 3 * len(data)))
    store = NumberedStore(Hdf5(weights).root)
    return _Opened("Keras 3 model (.keras)", store, _parsed(config), max(len(data), len(weights)))


def _stored(archive: zipfile.ZipFile, name: str, data: memoryview) -> memoryview | None:
    """Return the bytes of a member in place; None if it is compressed."""
    member = archive.getinfo(name)
    if member.compress_type != zipfile.ZIP_STORED or member.flag_bits & 1:
        return None
    lengths = struct.unpack_from("<HH", data, member.header_offset + 26)
    begin = member.header_offset + 30 + sum(lengths)
    content = data[begin : begin + member.file_size]
    if len(content) != member.file_size or zlib.crc32(content) != member.CRC:
        raise ValueError(f"{name} is damaged")
    return content


def _member(archive: zipfile.ZipFile, name: str, most: int) -> bytes:
    """Read a member that may be compressed, but not unpack to more than it should."""
    with archive.open(name) as stream:
        content = stream.read(most + 1)
    if len(content) > most:
        raise ModelError(f"holds {name} of more than {most:,} bytes, more than its own size allows")
    return content


def _read(opened: _Opened) -> SourceFile:
    if opened.config is None:
        return _read_bare(opened)
    steps, unused = forward_steps(opened.config)
    check_weights(opened.store, steps, opened.size)
    found = KerasLayers(opened.store)
    for step in steps:
        found.take(step)
    for line in (
        *found.preprocessing.ignored,
        *(f"{printable(one)}: not on the way" for one in unused),
    ):
        found.chain.ignore(line)
    return SourceFile(
        format=opened.format,
        family="keras",
        facts=found.preprocessing.all_facts(),
        input_size=found.input_size,
        **found.chain.finish()._asdict(),
    )


def _read_bare(opened: _Opened) -> SourceFile:
    if isinstance(opened.store, NamedStore):
        layers, ignored = named_layers(opened.store)
    else:
        layers, ignored = numbered_layers(opened.store)
    if any(layer.norm for layer in layers):
        ignored.append(NORM_NOTE)
    return SourceFile(
        format=opened.format,
        family="keras",
        layers=read_planned(layers, opened.size),
        ignored=tuple(ignored),
    )
