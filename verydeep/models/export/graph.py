"""A trained net as an ONNX graph, from pixels to probabilities.

The graph is built from the net's own layers with standard operators, for any number of images.

N images, H height, W width, K classes; D, C channels; h, w: sides of an output map.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING

import numpy as np
from torch import nn

from verydeep.errors import InputError, did_you_mean
from verydeep.models.export.builder import GraphBuilder, Shape
from verydeep.models.export.distance import add_distance, shapes_of_distance
from verydeep.models.export.layers import add_convolution, add_layer, add_layers, as_array
from verydeep.models.exported.session import INPUT, PROBABILITIES, SCORES
from verydeep.models.trained_net import TrainedNet
from verydeep.nets.dense import as_convolution
from verydeep.nets.interface import Net

if TYPE_CHECKING:
    from onnx import ModelProto


__all__ = ["INPUT", "PROBABILITIES", "SCORES", "onnx_graph", "output_names"]


def onnx_graph(
    model: TrainedNet, *, dense: bool = False, outputs: Sequence[str] | None = None
) -> ModelProto:
    """Return a net as an ONNX model, including preprocessing, softmax and temperature.

    A multi-label classifier has a sigmoid in place of the softmax.

    The input ``images`` holds pixels, uint8 (N, H, W, 3), as Pillow and NumPy give them. Outputs:

    - ``probabilities``: float32 (N, K). As in section 3.2 of the paper, scores are averaged over
      the positions of the map before the softmax. The temperature of a calibrated model divides
      them.
    - ``scores``: float32 (N, K, h, w), before softmax and temperature; of a box regressor, its
      outputs.
    - a layer that describes images, ``fc7``, ``fc6`` or ``pool5``: float32 (N, D, h, w), as from
      :meth:`verydeep.nets.interface.Net.activation_map`.
    - ``distance``, ``features`` and ``projections``, of a model that tells images unlike the
      training images: see :func:`verydeep.models.export.distance.add_distance`.

    The mean is subtracted in the graph, not folded into the first bias: padding is zero after the
    subtraction, so a folded mean would be wrong at the border. Batch normalisation is folded into
    the convolutions.

    Args:
        model: Classifier or box regressor.
        dense: Accept any H, W ≥ ``input_size``, with the fully connected layers as convolutions;
            otherwise H = W = ``input_size``.
        outputs: Names of the outputs, in order; None means ``probabilities``, ``scores`` and those
            that tell unlike images, if there are some, or the last map for a net without classes.
            Layers that no output needs are left out.

    Raises:
        InputError: The net has no such output.
        MissingExtra: onnx is not installed.
    """
    net, reference = model.net, getattr(model, "reference", None)
    told = shapes_of_distance(reference) if reference else {}
    wanted = _checked(net, outputs, tuple(told))
    build = GraphBuilder(f"verydeep_{net.name}")
    side: Shape = ("height", "width") if dense else (net.input_size, net.input_size)
    build.input(INPUT, build.types.UINT8, ("batch", *side, 3))
    _add_preprocessing(build, model)
    found = {net.last_map: add_layers(build, "features", net.features.named_children())}
    if net.num_classes:
        found |= _add_dense_classifier(build, net) if dense else _add_classifier(build, net)
        found[PROBABILITIES] = add_probabilities(build, model, dense=dense)
    if reference:
        found |= add_distance(build, found[net.feature_layers[0]], reference)
    for name in wanted:
        build.output(name, found[name], told.get(name) or _shape(net, name, dense=dense))
    build.prune()
    return build.model


def output_names(net: Net) -> tuple[str, ...]:
    """Return the names of all outputs that the graph of a net can have."""
    answers = (PROBABILITIES, SCORES) if net.num_classes else ()
    return (*answers, *net.feature_layers)


def _checked(net: Net, outputs: Sequence[str] | None, told: tuple[str, ...]) -> tuple[str, ...]:
    known = output_names(net)
    if outputs is None:
        return (*known[:2], *told) if net.num_classes else known[:1]
    for name in outputs:
        if name not in (*known, *told):
            raise InputError(
                f"net {net.name} has no output {name!r}; it has {', '.join(known)}"
                f"{did_you_mean(name, known)}"
            )
    return tuple(outputs)


def _add_preprocessing(build: GraphBuilder, model: TrainedNet) -> None:
    mean = np.array(model.preprocessing.mean, np.float32).reshape(1, -1, 1, 1)
    divisor = np.array(model.preprocessing.divisor, np.float32)
    build.then("Transpose", "planes", perm=[0, 3, 1, 2])
    build.then("Cast", "pixels", to=build.types.FLOAT)
    build.then("Sub", "centred", build.constant("mean", mean))
    build.then("Div", "input", build.constant("divisor", divisor))
    if model.preprocessing.channels == 1:
        build.then("ReduceMean", "grey", axes=[1], keepdims=1)


def _add_classifier(build: GraphBuilder, net: Net) -> dict[str, str]:
    """Add the fully connected layers for one position, and return their outputs by name."""
    found = {}
    build.then("Flatten", "flattened", axis=1)
    for name, module in net.classifier.named_children():
        output = f"classifier.{name}"
        if isinstance(module, nn.Linear):
            weight = build.constant(f"{output}.weight", as_array(module.weight))
            bias = build.constant(f"{output}.bias", as_array(module.bias))
            build.then("Gemm", output, weight, bias, transB=1)
        else:
            add_layer(build, output, module)
            found[name.replace("relu", "fc")] = build.last
    found[SCORES] = build.last
    positions = build.constant("positions", np.array([2, 3], np.int64))
    return {
        name: build.node("Unsqueeze", [source, positions], f"{source}.{name}.map")
        for name, source in found.items()
    }


def _add_dense_classifier(build: GraphBuilder, net: Net) -> dict[str, str]:
    """Add the fully connected layers as convolutions, and return their outputs by name."""
    found = {}
    side = net.final_map
    for name, module in net.classifier.named_children():
        output = f"classifier.{name}"
        if isinstance(module, nn.Linear):
            kernel = as_convolution(module, module.in_features // side**2)
            add_convolution(build, output, as_array(kernel), as_array(module.bias), 0)
            side = 1
        else:
            add_layer(build, output, module)
            found[name.replace("relu", "fc")] = build.last
    return {**found, SCORES: build.last}


def add_probabilities(build: GraphBuilder, model: TrainedNet, *, dense: bool) -> str:
    """Add mean over positions, temperature and softmax to scores; return the probabilities.

    A multi-label classifier has a sigmoid and no temperature.
    """
    if dense:
        build.then("GlobalAveragePool", "mean_scores.map")
        build.then("Flatten", "mean_scores", axis=1)
    if getattr(model, "multi_label", False):
        return build.then("Sigmoid", "sigmoid")
    calibration = getattr(model, "calibration", None)
    if calibration:
        temperature = np.array(calibration.temperature, np.float32)
        build.then("Div", "tempered_scores", build.constant("temperature", temperature))
    return build.then("Softmax", "softmax", axis=1)


def _shape(net: Net, output: str, *, dense: bool) -> Shape:
    if output == PROBABILITIES:
        return ("batch", net.num_classes)
    channels = net.num_classes if output == SCORES else net.activations(output)
    if output == net.last_map:
        sides = (f"{output}_rows", f"{output}_columns") if dense else (net.final_map, net.final_map)
    else:
        sides = ("rows", "columns") if dense else (1, 1)
    return ("batch", channels, *sides)
