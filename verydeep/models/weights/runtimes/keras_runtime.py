"""Keras files by Keras, on the backend that the user has chosen, else on PyTorch.

N images, S input size, K classes, C channels, s side of the last map.
"""

from __future__ import annotations

import os
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from verydeep.errors import ModelError, printable
from verydeep.models.weights.formats.keras.preprocessing import Preprocessing
from verydeep.models.weights.formats.keras.reader import preprocessing_of
from verydeep.models.weights.imported import Imported
from verydeep.models.weights.match import Taken
from verydeep.models.weights.runtimes.layout import (
    POOL,
    before_preprocessing,
    channels_and_pools,
)
from verydeep.models.weights.runtimes.library import library, running

NAME = "Keras"
BACKEND = "KERAS_BACKEND"
ENDINGS = (".keras", ".h5", ".hdf5")


def run(imported: Imported, pixels: NDArray[np.float32]) -> NDArray[np.float32]:
    """Return class scores or probabilities (N, K), or the last map (N, C, s, s) without head.

    A file of a whole model runs as it is, with the preprocessing that stands in it: it is given
    images that become the pixels at its first convolution. A file of weights alone is loaded into
    the column of Table 1, made of Keras's layers. No code in a file is run.

    Args:
        imported: The net made of the file.
        pixels: Images as the source's net reads them, (N, 3, S, S), channels in its order.

    Raises:
        MissingExtra: Keras is not installed.
        ModelError: Keras cannot run the file.
    """
    if imported.path.suffix not in ENDINGS:
        raise ModelError(
            f"{printable(imported.path)}: Keras tells formats by the ending of the name; rename "
            f"the file, so that it ends in one of {', '.join(ENDINGS)}"
        )
    keras = _keras()
    with running(imported, NAME):
        before = preprocessing_of(imported.path)
        model = _whole(keras, imported.path) if before else _column(keras, imported)
        given = _before(pixels, before or Preprocessing())
        first = model.input_shape[1] == 3
        images = given if first else given.transpose(0, 2, 3, 1)
        pools = [] if imported.match.head else _recorded_pools(keras, model)
        answers = [_answer(keras, model, image[None], pools) for image in images]
    return np.concatenate(answers).astype(np.float32)


def _keras() -> Any:
    """Import Keras; its choice of a backend takes effect at the first import alone."""
    if "keras" in sys.modules or BACKEND in os.environ:
        return library("keras", NAME)
    os.environ[BACKEND] = "torch"
    try:
        return library("keras", NAME)
    finally:
        del os.environ[BACKEND]


def _whole(keras: Any, path: Path) -> Any:
    return keras.models.load_model(str(path), compile=False, safe_mode=True)


def _before(pixels: NDArray[np.float32], before: Preprocessing) -> NDArray[np.float32]:
    factor, offset = np.array(before.factor), np.array(before.offset)
    return before_preprocessing(pixels, factor, offset, reversed_channels=before.reversed)


def _column(keras: Any, imported: Imported) -> Any:
    """Return the column made of Keras's layers, with the weights of the file."""
    size = imported.config.net.input_size
    begin = keras.Input((size, size, 3))
    x = begin
    for layer in _layers(keras, imported):
        x = layer(x)
    model = keras.Model(begin, x)
    model.load_weights(str(imported.path))
    return model


def _layers(keras: Any, imported: Imported) -> Iterator[Any]:
    layers, match = keras.layers, imported.match
    convolutions = iter(match.convolutions)
    for part in channels_and_pools(match):
        if part == POOL:
            yield layers.MaxPooling2D(2, data_format="channels_last")
            continue
        source = next(convolutions).source
        yield layers.Conv2D(
            part,
            source.weight.shape[2],
            padding="same",
            use_bias=source.bias is not None,
            data_format="channels_last",
        )
        if source.norm:
            yield layers.BatchNormalization(epsilon=source.norm.epsilon)
        yield layers.ReLU()
    if match.head:
        yield layers.Flatten(data_format="channels_last")
    for number, taken in enumerate(match.head, 1):
        yield _dense(layers, taken, last=number == len(match.head))


def _dense(layers: Any, taken: Taken, *, last: bool) -> Any:
    has_bias = taken.source.bias is not None
    outputs = len(taken.source.weight)
    return layers.Dense(outputs, None if last else "relu", use_bias=has_bias)


def _recorded_pools(keras: Any, model: Any) -> list[Any]:
    """Return the outputs of all max-pools, once the model has run: the last one's is the last."""
    outputs: list[Any] = []
    for pool in model._flatten_layers():
        if isinstance(pool, keras.layers.MaxPooling2D):
            pool.call = _recording(pool, outputs)
    return outputs


def _recording(pool: Any, outputs: list[Any]) -> Any:
    call, first = pool.call, pool.data_format == "channels_first"

    def recorded(inputs: Any) -> Any:
        output = call(inputs)
        outputs.append((output, first))
        return output

    return recorded


def _answer(keras: Any, model: Any, image: NDArray[np.float32], pools: list[Any]) -> NDArray[Any]:
    scores = model(image, training=False)
    if not pools:
        return _plain(keras, scores).reshape(1, -1)
    output, first = pools[-1]
    last = _plain(keras, output)
    return last if first else last.transpose(0, 3, 1, 2)


def _plain(keras: Any, values: Any) -> NDArray[Any]:
    return np.asarray(keras.ops.convert_to_numpy(values))
