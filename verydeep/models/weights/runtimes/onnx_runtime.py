"""ONNX graphs by ONNX Runtime.

N images, S input size, K classes, C channels, s side of the last map.
"""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from verydeep.errors import ModelError, printable
from verydeep.models.weights.formats.onnx.layers import layer_name
from verydeep.models.weights.formats.onnx.reader import open_graph
from verydeep.models.weights.imported import Imported
from verydeep.models.weights.runtimes.layout import before_preprocessing
from verydeep.models.weights.runtimes.library import library, running

NAME = "ONNX Runtime"
KINDS = {"tensor(float)": "f4", "tensor(double)": "f8", "tensor(float16)": "f2"}


def run(imported: Imported, pixels: NDArray[np.float32]) -> NDArray[np.float32]:
    """Return class scores or probabilities (N, K), or the last map (N, C, s, s) without head.

    The whole graph runs, with the preprocessing that stands in it: it is given images that become
    the pixels at its first convolution.

    Args:
        imported: The net made of the file.
        pixels: Images as the source's net reads them, (N, 3, S, S), channels in its order.

    Raises:
        MissingExtra: onnxruntime is not installed.
        ModelError: ONNX Runtime cannot run the file.
    """
    runtime = library("onnxruntime", NAME)
    with running(imported, NAME):
        model, walk = open_graph(imported.path)
        before = walk.preprocessing
        given = before_preprocessing(
            pixels, before.scale, before.shift, reversed_channels=before.reversed
        )
        if not walk.starts_with_channels:
            given = given.transpose(0, 2, 3, 1)
        pool = None if imported.match.head else _last_pool(imported, model.graph)
        session = _session(runtime, imported.path, pool)
        images = given.astype(KINDS[session.get_inputs()[0].type])
        answers = [_answer(session, image[None], imported, pool) for image in images]
    return np.concatenate(answers).astype(np.float32)


def _session(runtime: Any, path: Path, pool: str | None) -> Any:
    """Return a session, with the output of the last pool as an output if it is asked for."""
    content: str | bytes = str(path)
    if pool is not None:
        import onnx

        model = onnx.load(str(path))
        model.graph.output.append(onnx.ValueInfoProto(name=pool))
        content = model.SerializeToString()
    options = runtime.SessionOptions()
    options.log_severity_level = 3
    return runtime.InferenceSession(content, options, providers=["CPUExecutionProvider"])


def _answer(session: Any, image: Any, imported: Imported, pool: str | None) -> NDArray[Any]:
    feed = {session.get_inputs()[0].name: np.ascontiguousarray(image)}
    if pool is not None:
        return np.asarray(session.run([pool], feed)[0])
    count = imported.match.num_classes
    for output in session.run(None, feed):
        if isinstance(output, np.ndarray) and output.size == count:
            return output.reshape(1, count)
    raise ModelError(f"{printable(imported.path)}: no output of the graph has {count:,} scores")


def _last_pool(imported: Imported, graph: Any) -> str:
    """Return the output of the pool after the last convolution."""
    last = imported.match.convolutions[-1].source.name
    at = None
    for node in graph.node:
        if at is None and node.op_type == "Conv" and layer_name(node) == last:
            at = node.output[0]
        elif at in node.input:
            at = node.output[0]
            if node.op_type == "MaxPool":
                return str(at)
    raise ModelError(f"{printable(imported.path)}: no pool follows {printable(last)} in the graph")
