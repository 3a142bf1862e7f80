"""Files of Keras made without Keras: small ones, and such as its earlier versions wrote."""

from __future__ import annotations

import io
import json
import zipfile
from pathlib import Path
from typing import Any

import h5py
import numpy as np

SMALL = ("h5", "weights.h5", "keras", "names")
"""Ways to save the small net; ``names`` is weights alone, as older versions save them."""


def small_arrays() -> dict[str, list[Any]]:
    """Return the weights of a convolution, its normalisation and two fully connected layers."""
    random = np.random.default_rng(0)
    shapes = {
        "conv": [(3, 3, 3, 4), (4,)],
        "norm": [(4,)] * 4,
        "fc": [(64, 5), (5,)],
        "out": [(5, 2)],
    }
    return {name: [random.random(shape) for shape in own] for name, own in shapes.items()}


PARTS = {"norm": ("gamma", "beta", "moving_mean", "moving_variance")}
CLASSES = {"conv": "Conv2D", "norm": "BatchNormalization", "fc": "Dense", "out": "Dense"}
PATHS = {"conv": "conv2d", "norm": "batch_normalization", "fc": "dense", "out": "dense_1"}
SMALL_CONFIG = {
    "class_name": "Sequential",
    "config": {
        "name": "small",
        "layers": [
            {"class_name": "InputLayer", "config": {"name": "in", "batch_shape": [None, 8, 8, 3]}},
            {"class_name": "Rescaling", "config": {"name": "r", "scale": 0.5, "offset": [1, 2, 3]}},
            {"class_name": "Conv2D", "config": {"name": "conv", "padding": "same"}},
            {"class_name": "BatchNormalization", "config": {"name": "norm", "epsilon": 0.25}},
            {"class_name": "ReLU", "config": {"name": "relu"}},
            {"class_name": "MaxPooling2D", "config": {"name": "p", "pool_size": [2, 2]}},
            {"class_name": "Flatten", "config": {"name": "f"}},
            {"class_name": "Dense", "config": {"name": "fc", "activation": "relu"}},
            {"class_name": "Dense", "config": {"name": "out", "use_bias": False}},
        ],
    },
}


def save_small(path: Path, way: str) -> None:
    """Write a small net."""
    stream = io.BytesIO()
    with h5py.File(stream, "w") as file:
        if way in ("h5", "names"):
            _by_name(file.create_group("model_weights") if way == "h5" else file)
            if way == "h5":
                file.attrs["model_config"] = json.dumps(SMALL_CONFIG)
        else:
            for name, arrays in small_arrays().items():
                own = file.create_group(f"layers/{PATHS[name]}/vars")
                own.attrs["name"] = name
                for number, array in enumerate(arrays):
                    own[str(number)] = array
    if way != "keras":
        path.write_bytes(stream.getvalue())
        return
    with zipfile.ZipFile(path, "w") as archive:
        archive.writestr("metadata.json", "{}")
        archive.writestr("config.json", json.dumps(SMALL_CONFIG))
        archive.writestr("model.weights.h5", stream.getvalue())


def _by_name(group: Any) -> None:
    arrays = small_arrays()
    group.attrs["layer_names"] = texts(["in", *arrays])
    group.create_group("in").attrs["weight_names"] = np.array([])
    for name, own in arrays.items():
        names = [f"{name}/{part}:0" for part in PARTS.get(name, ("kernel", "bias"))][: len(own)]
        group.create_group(name).attrs["weight_names"] = texts(names)
        for path, array in zip(names, own, strict=True):
            group[name][path] = array


def layers_of(file: h5py.File) -> dict[str, tuple[Any, Any]]:
    """Return kernel and bias of every layer with weights, in the order of the model."""
    group = file["model_weights"]
    found = {}
    for name in group.attrs["layer_names"]:
        paths = list(group[name].attrs["weight_names"])
        if paths:
            values = [group[name][path][...] for path in paths]
            found[str(name)] = (values[0], values[1] if len(values) > 1 else None)
    return found


def texts(names: list[str]) -> Any:
    return np.array([name.encode() for name in names])


def save_applications(source: Path, target: Path, kind: str) -> None:
    """Write weights alone, as for keras.applications: by names of TensorFlow or of Theano.

    Args:
        source: A model of today's Keras.
        target: File to write.
        kind: ``tf_1`` and ``tf_2`` for the names of Keras 1 and 2, ``cut`` for lists of names in
            several attributes, ``theano`` for kernels (O, I, h, w).
    """
    with h5py.File(source) as file:
        layers = layers_of(file)
    with h5py.File(target, "w") as file:
        names = ["input_1", *layers]
        if kind == "cut":
            file.attrs["layer_names0"], file.attrs["layer_names1"] = (
                texts(names[:4]),
                texts(names[4:]),
            )
        else:
            file.attrs["layer_names"] = texts(names)
        file.create_group("input_1").attrs["weight_names"] = np.array([])
        for name, (kernel, bias) in layers.items():
            of = {"tf_1": ("{}_W_1:0", "{}_b_1:0"), "theano": ("{}_W", "{}_b")}
            weights = [part.format(name) for part in of.get(kind, ("{}/kernel:0", "{}/bias:0"))]
            group = file.create_group(name)
            group.attrs["weight_names"] = texts(weights)
            turned = (
                kernel.transpose(3, 2, 0, 1) if kind == "theano" and kernel.ndim == 4 else kernel
            )
            group[weights[0]], group[weights[1]] = turned, bias


def save_keras_1(source: Path, target: Path) -> None:
    """Write a Sequential model as Keras 1 did."""
    with h5py.File(source) as file:
        layers = layers_of(file)
        config = json.loads(file.attrs["model_config"])
    old = [old_layer(layer) for layer in config["config"]["layers"][1:]]
    old[0]["config"]["batch_input_shape"] = [None, 64, 64, 3]
    with h5py.File(target, "w") as file:
        file.attrs["keras_version"] = b"1.2.2"
        file.attrs["model_config"] = json.dumps(
            {"class_name": "Sequential", "config": old}
        ).encode()
        group = file.create_group("model_weights")
        names = [layer["config"]["name"] for layer in old]
        group.attrs["layer_names"] = texts(names)
        for name in names:
            own = group.create_group(name)
            parts = [part for part in layers.get(name, ()) if part is not None]
            weights = [f"{name}_{part}" for part in "Wb"[: len(parts)]]
            own.attrs["weight_names"] = texts(weights) if weights else np.array([])
            for weight, values in zip(weights, parts, strict=True):
                own[weight] = values


def old_layer(layer: Any) -> Any:
    """Return a layer's configuration in the words of Keras 1."""
    config = layer["config"]
    own: dict[str, Any] = {"name": config["name"]}
    match layer["class_name"]:
        case "Conv2D":
            own |= {"nb_filter": config["filters"], "nb_row": 3, "nb_col": 3, "bias": False}
            own |= {"border_mode": "valid", "subsample": [1, 1], "dim_ordering": "tf"}
            return {"class_name": "Convolution2D", "config": own | {"activation": "linear"}}
        case "Dense":
            own |= {"output_dim": config["units"], "activation": config["activation"]}
        case "ReLU":
            return {"class_name": "Activation", "config": own | {"activation": "relu"}}
        case "ZeroPadding2D":
            own |= {"padding": [1, 1], "dim_ordering": "tf"}
        case "MaxPooling2D":
            own |= {"pool_size": [2, 2], "strides": [2, 2], "border_mode": "valid"}
        case "Reshape":
            return {"class_name": "Flatten", "config": own}
        case "Activation":
            own |= {"activation": "relu"}
    return {"class_name": layer["class_name"], "config": own}
