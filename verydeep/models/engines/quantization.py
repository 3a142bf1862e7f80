"""Post-training quantization of a net to int8, as a graph that other runtimes read.

Weights of convolutions get one scale per channel, activations one per layer from the range seen on
calibration images. The last layer stays in float32. Weights use seven bits, so that sums of two
products never overflow on processors without VNNI, and the answers are the same everywhere.

N images, H height, W width.
"""

from __future__ import annotations

import logging
import warnings
from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from verydeep.errors import InputError, MissingExtra
from verydeep.models.engines.runner import Pixels
from verydeep.models.exported.session import SCORES
from verydeep.system.engine_names import KINDS
from verydeep.system.files import write_atomically

if TYPE_CHECKING:
    from verydeep.models.trained_net import TrainedNet


def write_int8(model: TrainedNet, images: Iterable[Pixels], path: Path) -> None:
    """Quantize a net, and write its graph.

    Args:
        model: The net.
        images: Calibration images, uint8 (N, H, W, 3); H, W ≥ the input size.
        path: File to write, ending in ``.onnx``.

    Raises:
        MissingExtra: onnx or ONNX Runtime is not installed.
        InputError: The net has no classes, or the path is not writable.
    """
    if KINDS["onnxruntime"].version is None:
        raise MissingExtra("quantization", "onnxruntime")
    if not model.net.num_classes:
        raise InputError("this model has no classes: only a net with its head is quantized")
    from verydeep.models.export.graph import onnx_graph

    graph = onnx_graph(model, dense=True, outputs=[SCORES])
    write_atomically(path, lambda target: _quantize(graph, images, target))


def _quantize(graph: Any, images: Iterable[Pixels], target: Path) -> None:
    from onnxruntime.quantization import QuantFormat, QuantType, quantize_static

    last = [node.name for node in graph.graph.node if node.op_type == "Conv"][-1]
    root = logging.getLogger()
    level = root.level
    try:
        root.setLevel(logging.ERROR)  # advice on preprocessing, which our graph does not need
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            quantize_static(
                graph,
                str(target),
                _reader(images),
                quant_format=QuantFormat.QDQ,
                op_types_to_quantize=["Conv", "MaxPool"],
                nodes_to_exclude=[last],
                per_channel=True,
                reduce_range=True,
                activation_type=QuantType.QUInt8,
                weight_type=QuantType.QInt8,
            )
    finally:
        root.setLevel(level)


def _reader(images: Iterable[Pixels]) -> Any:
    from onnxruntime.quantization import CalibrationDataReader

    class Reader(CalibrationDataReader):  # type: ignore[misc]
        """Gives one image at a time."""

        def __init__(self) -> None:
            self._each: Iterator[Pixels] = iter(images)

        def get_next(self) -> dict[str, Pixels] | None:
            """Return the next image, or None at the end."""
            image = next(self._each, None)
            return None if image is None else {"images": np.ascontiguousarray(image)}

    return Reader()
