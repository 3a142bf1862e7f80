"""Habits of the frameworks that publish VGG nets: what a file of weights does not say.

Sources: torchvision's transforms of its VGG weights; timm's configurations of ``vgg*.tv_in1k``
(torchvision's weights); ``keras.applications.vgg16.preprocess_input``; the notes of the authors'
Caffe release; the ONNX model zoo.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import torch
from torch import Tensor

from verydeep.errors import InputError
from verydeep.models.folder import LARGEST_SCALE
from verydeep.models.weights.convert import Pixels
from verydeep.models.weights.source import FACTS, Fact, Family, SourceFile

AUTHORS_MEAN = (123.68, 116.779, 103.939)
"""Mean red, green and blue of ImageNet's training set, as in the authors' release."""

TORCHVISION_MEAN = (0.485 * 255, 0.456 * 255, 0.406 * 255)
TORCHVISION_STD = (0.229 * 255, 0.224 * 255, 0.225 * 255)

GIVEN = "given"
"""How a fact is known that the user has said."""

_TORCHVISION = {
    "channels": Fact("rgb", "torchvision's nets read red, green, blue"),
    "mean": Fact(TORCHVISION_MEAN, "mean (0.485, 0.456, 0.406) of pixels divided by 255"),
    "std": Fact(TORCHVISION_STD, "std (0.229, 0.224, 0.225) of pixels divided by 255"),
    "resize": Fact(256, "torchvision's tests: smallest side 256, central crop of 224"),
    "interpolation": Fact("bilinear", "torchvision's tests, with antialiasing"),
    "classes": Fact("ilsvrc", "1,000 outputs in the order of WordNet ids"),
}
_AUTHORS = {
    "channels": Fact("bgr", "Caffe reads images by OpenCV: blue, green, red"),
    "mean": Fact(AUTHORS_MEAN, "the authors' mean of ImageNet's training set"),
    "std": Fact((1.0, 1.0, 1.0), "the authors only subtract the mean"),
    "resize": Fact(256, "the paper: smallest side 256, as the smallest training scale"),
    "interpolation": Fact("bilinear", "what Caffe's and MATLAB's tools take by default"),
    "classes": Fact("ilsvrc", "1,000 outputs in the order of WordNet ids"),
}

HABITS: Mapping[Family, Mapping[str, Fact]] = {
    "torchvision": _TORCHVISION,
    "timm": _TORCHVISION
    | {"channels": Fact("rgb", "timm's nets read red, green, blue"),
       "resize": Fact(256, "timm's crop_pct of 0.875: smallest side 256, central crop of 224")},
    "caffe": _AUTHORS,
    "keras": _AUTHORS
    | {"channels": Fact("bgr", "Keras' preprocess_input of VGG nets reorders to blue, green, red"),
       "mean": Fact(AUTHORS_MEAN, "Keras' preprocess_input subtracts the authors' mean"),
       "std": Fact((1.0, 1.0, 1.0), "Keras' preprocess_input does not divide")},
    "matconvnet": _AUTHORS | {"channels": Fact("rgb", "MATLAB reads red, green, blue")},
    "onnx": _TORCHVISION
    | {"channels": Fact("rgb", "the ONNX model zoo's nets read red, green, blue")},
}  # fmt: skip


def known_facts(
    file: SourceFile,
    said: Mapping[str, Any] | None = None,
    known: Mapping[str, Fact] | None = None,
) -> dict[str, Fact]:
    """Return what is taken for granted about a file, by the names in ``FACTS``.

    What the user says goes before what the file says, that before what its weights betray, and that
    before the habits of its framework.

    Args:
        file: What was read.
        said: Values given by the user, by the same names; None values are not given.
        known: Facts about these very weights; None takes the habits of the framework.

    Raises:
        InputError: A given value makes no sense.
    """
    given = {key: value for key, value in (said or {}).items() if value is not None}
    check_said(given)
    facts = {**(known or HABITS[_family(file)]), **_of_weights(file), **file.facts}
    facts |= {key: Fact(value, GIVEN) for key, value in given.items()}
    return {name: facts[name] for name in FACTS}


SENSIBLE = {"mean": (0.0, 255.0, "0 to 255"), "std": (1e-6, 1e4, "0.000001 to 10,000")}
"""Least and greatest values that the user may give, and both in words."""


def check_said(given: Mapping[str, Any]) -> None:
    """Refuse values that make no sense.

    Raises:
        InputError: A value makes no sense.
    """
    for name, (least, most, rule) in SENSIBLE.items():
        values = given.get(name)
        if values is None:
            continue
        if len(values) != 3 or not all(least <= value <= most for value in values):
            raise InputError(
                f"{name} must be three numbers (red, green, blue) from {rule}, got {values!r} "
                "instead"
            )
    if not 0 <= given.get("resize", 0) <= LARGEST_SCALE:
        raise InputError(
            f"resize must be from 1 to {LARGEST_SCALE:,} pixels, got {given['resize']!r} instead"
        )
    if given.get("channels", "rgb") not in ("rgb", "bgr"):
        raise InputError(f"channels must be rgb or bgr, got {given['channels']!r} instead")


def pixels_of(facts: Mapping[str, Fact]) -> Pixels:
    """Return the preprocessing of these facts."""
    return Pixels(facts["channels"].value == "bgr", facts["mean"].value, facts["std"].value)


def _family(file: SourceFile) -> Family:
    """Return the family; ONNX files of TensorFlow's exporter are Keras'."""
    if file.family == "onnx" and any(layer.flatten == "hwc" for layer in file.layers):
        return "keras"
    return file.family


_AUTHORS_D = ((0.4800154, 0.4085474, -0.0651456), (0.73429835, 0.09340367))
"""Begin of ``conv1_1`` of the authors' net D: weights of output 0, input red, row 0; biases."""


def _of_weights(file: SourceFile) -> Mapping[str, Fact]:
    """Return what the weights betray: the authors' first convolution is known by its values."""
    first = file.layers[0]
    if first.bias is None or len(first.bias) < 2 or first.weight.shape[1:] != (3, 3, 3):
        return {}
    if not _close(first.bias[:2], _AUTHORS_D[1]):
        return {}
    how = "conv1_1 has the values of the authors' net D"
    for channel, order in ((2, "bgr"), (0, "rgb")):
        if _close(first.weight[0, channel, 0], _AUTHORS_D[0]):
            return {
                "channels": Fact(order, f"{how}, {order.upper()}"),
                "mean": Fact(AUTHORS_MEAN, how),
                "std": Fact((1.0, 1.0, 1.0), how),
            }
    return {}


def _close(found: Tensor, known: tuple[float, ...]) -> bool:
    return bool(torch.allclose(found.double(), torch.tensor(known).double(), rtol=1e-4, atol=1e-6))
