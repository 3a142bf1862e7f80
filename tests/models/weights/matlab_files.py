"""Nets of MatConvNet, and a writer of MATLAB 7.3 files, which lays them out as MATLAB does."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import h5py
import numpy as np


def cell(*values: Any) -> np.ndarray:
    """Return a cell array, as SciPy writes them."""
    out = np.empty((1, len(values)), object)
    out[0, :] = [*values]
    return out


def simple_net(*, old: bool = False, dag: bool = False) -> tuple[dict[str, Any], dict[str, Any]]:
    """Return a net with two convolutions and two layers of a head, and its filters and biases."""
    rng = np.random.default_rng(0)
    shapes = {
        "conv1": (3, 3, 3, 4),
        "conv2": (3, 3, 4, 5),
        "fc1": (4, 4, 5, 6),
        "fc2": (1, 1, 6, 3),
    }
    values = {
        name: (
            rng.normal(size=shape).astype(np.float32),
            rng.normal(size=(1, shape[3])).astype(np.float32),
        )
        for name, shape in shapes.items()
    }
    layers: list[dict[str, Any]] = []
    for name, (filters, biases) in values.items():
        weights: dict[str, Any] = {"weights": cell(filters, biases)}
        if old:
            weights = {"filters": filters, "biases": biases}
        pad = 1.0 if "conv" in name else 0.0
        layers.append({"type": "conv", "name": name, "pad": np.full((1, 4), pad)} | weights)
        layers.append({"type": "relu", "name": f"relu_{name}"})
        if name == "conv2":
            sides = np.array([[2.0, 2.0]])
            layers.append(
                {"type": "pool", "name": "pool", "pool": sides, "stride": 2.0, "pad": 0.0}
            )
    layers[-1] = {"type": "softmax", "name": "prob"}
    image = np.broadcast_to(np.array([10, 20, 30], np.float32), (2 if old else 1, 1, 3))
    meta = {
        "normalization": {
            **{"averageImage": image, "imageSize": np.array([[224.0, 224.0, 3.0]])},
            **{"interpolation": "bicubic", "keepAspect": True, "border": np.array([[32.0, 32.0]])},
        },
        "classes": {
            "name": cell("n1", "n2", "n3"),
            "description": cell("a cat", "a dog", "a fish"),
        },
    }
    if dag:
        return _dag(layers, values) | {"meta": meta}, values
    return ({"layers": cell(*layers)} | (meta if old else {"meta": meta})), values


def struct_array(structs: list[dict[str, Any]]) -> np.ndarray:
    out = np.empty((1, len(structs)), [(name, object) for name in structs[0]])
    for place, one in enumerate(structs):
        out[0, place] = tuple(one.values())
    return out


def _dag(layers: list[dict[str, Any]], values: dict[str, Any]) -> dict[str, Any]:
    kinds = {"conv": "Conv", "relu": "ReLU", "pool": "Pooling", "softmax": "SoftMax"}
    out, params = [], []
    at = "input"
    for layer in layers:
        name = layer["name"]
        block = {key: layer[key] for key in ("pad", "stride") if key in layer}
        if "pool" in layer:
            block["poolSize"] = layer["pool"]
        names = cell(f"{name}f", f"{name}b") if layer["type"] == "conv" else cell()
        out.append(
            {
                **{"name": name, "type": f"dagnn.{kinds[layer['type']]}", "inputs": cell(at)},
                **{"outputs": cell(f"x_{name}"), "params": names, "block": block},
            }
        )
        at = f"x_{name}"
    side = out[0] | {"name": "side", "inputs": cell("x_conv1"), "outputs": cell("aside")}
    out.insert(1, side)
    for name, (filters, biases) in values.items():
        params.append({"name": f"{name}f", "value": filters})
        params.append({"name": f"{name}b", "value": biases})
    return {"layers": struct_array(out), "params": struct_array(params)}


def save_73(path: Path, variables: dict[str, Any]) -> None:
    """Write a MATLAB 7.3 file."""
    with h5py.File(path, "w", userblock_size=512) as file:
        writer = _Writer(file)
        for name, value in variables.items():
            writer.write(file, name, value)
    header = b"MATLAB 7.3 MAT-file, Platform: none".ljust(124) + b"\x00\x02IM"
    with path.open("r+b") as raw:
        raw.write(header)


class _Writer:
    def __init__(self, file: h5py.File) -> None:
        self.file = file
        self.count = 0

    def write(self, group: h5py.Group, name: str, value: Any) -> None:
        if isinstance(value, dict):
            inner = group.create_group(name)
            inner.attrs["MATLAB_class"] = np.bytes_("struct")
            for key, one in value.items():
                self.write(inner, key, one)
        elif isinstance(value, str):
            self._data(group, name, np.array([[ord(one)] for one in value], np.uint16), "char")
        elif isinstance(value, np.ndarray) and value.dtype == object:
            self._data(group, name, self._references(value), "cell" if value.size else "")
            if not value.size:
                group[name].attrs["MATLAB_class"] = np.bytes_("cell")
                group[name].attrs["MATLAB_empty"] = 1
        elif isinstance(value, np.ndarray) and value.dtype.names:
            inner = group.create_group(name)
            inner.attrs["MATLAB_class"] = np.bytes_("struct")
            for key in value.dtype.names:
                self._data(inner, key, self._references(value[key]), "")
        else:
            array = np.atleast_2d(np.asarray(value))
            kinds = {"float64": "double", "float32": "single", "bool": "logical"}
            kind = kinds.get(array.dtype.name, array.dtype.name)
            self._data(
                group, name, array.T.astype(np.uint8) if kind == "logical" else array.T, kind
            )

    def _references(self, values: np.ndarray) -> np.ndarray:
        out = np.empty((values.size, 1), h5py.ref_dtype)
        for place, value in enumerate(values.ravel("F")):
            self.count += 1
            name = f"r{self.count}"
            self.write(self.file.require_group("#refs#"), name, value)
            out[place, 0] = self.file["#refs#"][name].ref
        return out

    def _data(self, group: h5py.Group, name: str, values: np.ndarray, kind: str) -> None:
        if values.dtype == object and not values.size:
            group.create_dataset(name, data=np.zeros(2, np.uint64))
        else:
            references = values.dtype.kind == "O"
            group.create_dataset(name, data=values, dtype=h5py.ref_dtype if references else None)
        if kind:
            group[name].attrs["MATLAB_class"] = np.bytes_(kind)
