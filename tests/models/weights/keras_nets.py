"""Nets made and saved by Keras on PyTorch: ``python keras_nets.py FUNCTION FOLDER``.

Every net is saved in all ways, as ``NAME.keras``, ``NAME.h5`` and ``NAME.weights.h5``, with its
images, RGB from 0 to 255, in ``NAME.images.npy`` and its scores in ``NAME.scores.npy``.
"""

from __future__ import annotations

import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import keras
import numpy as np
import torch
from keras import layers as L
from keras.applications.vgg16 import VGG16, preprocess_input
from keras.src.layers.core import dense
from scores import CHANNELS, CONVOLUTIONS, WIDTH, images

FOLDER = Path(sys.argv[2])
SIZE = 64
CLASSES = 5


def shake(model: Any) -> Any:
    """Give a model weights that differ everywhere."""
    random = np.random.default_rng(3)
    for weight in model.weights:
        shape, name = tuple(weight.shape), weight.path
        if "seed" in name or "count" in name:
            continue
        if len(shape) > 1:
            values = (random.random(shape) - 0.5) * (24 / np.prod(shape[:-1])) ** 0.5
        else:
            values = random.random(shape) + (0.5 if "variance" in name else -0.3)
        weight.assign(values)
    return model


def save(name: str, model: Any, *, prepare: Callable[[Any], Any] = preprocess_input) -> None:
    """Save a model and what it answers."""
    shake(model)
    rgb = images(SIZE, SIZE)
    given = prepare(rgb.permute(0, 2, 3, 1).numpy().copy())
    if model.input_shape[1] == 3:
        given = np.moveaxis(given, -1, 1)
    with torch.no_grad():
        scores = model(torch.from_numpy(given.copy()), training=False)
    np.save(FOLDER / f"{name}.scores.npy", scores.double().numpy())
    model.save(FOLDER / f"{name}.keras")
    model.save(FOLDER / f"{name}.h5")
    model.save_weights(FOLDER / f"{name}.weights.h5")


def plain(pixels: Any) -> Any:
    return pixels


def body(x: Any, name: str = "A", *, norm: Any = None, order: str = "channels_last") -> Any:
    """Apply the convolutions of a narrow net, with the names of keras.applications."""
    how = {"padding": "same", "data_format": order}
    blocks = zip(CONVOLUTIONS[name], CHANNELS, strict=True)
    for block, (count, channels) in enumerate(blocks, 1):
        for number in range(1, count + 1):
            kernel = f"block{block}_conv{number}"
            activation = None if norm else "relu"
            x = L.Conv2D(int(channels * WIDTH), 3, name=kernel, activation=activation, **how)(x)
            if norm:
                x = L.ReLU()(norm()(x))
        x = L.MaxPooling2D(2, data_format=order, name=f"block{block}_pool")(x)
    return x


def head(x: Any, last: str | None = None) -> Any:
    for number in (1, 2):
        x = L.Dense(20, "relu", name=f"fc{number}")(x)
        x = L.Dropout(0.5)(x)
    return L.Dense(CLASSES, last, name="predictions")(x)


def vgg(before: Callable[[Any], Any] = plain, last: str | None = None, **settings: Any) -> Any:
    begin = keras.Input((SIZE, SIZE, 3))
    return keras.Model(begin, head(L.Flatten()(body(before(begin), **settings)), last))


def compute_in_float64() -> None:
    """Let Keras compute in float64: on PyTorch it multiplies matrices in float32 in any case."""
    keras.config.set_floatx("float64")
    theirs = dense.ops.matmul

    def multiply(x: Any, kernel: Any) -> Any:
        return x @ kernel.value if isinstance(x, torch.Tensor) else theirs(x, kernel)

    dense.ops.matmul = multiply


def nets() -> None:
    """Save nets of every kind."""
    compute_in_float64()
    save("plain", vgg(name="D"))
    save("softmax", vgg(last="softmax"))
    save("norm", vgg(norm=lambda: L.BatchNormalization(epsilon=0.01)))
    save("no_scale", vgg(norm=lambda: L.BatchNormalization(scale=False)))
    save("no_centre", vgg(norm=lambda: L.BatchNormalization(center=False)))
    save("rescaling", vgg(L.Rescaling(1 / 127.5, offset=-1)), prepare=plain)
    save("augmented", vgg(lambda x: L.Rescaling(1 / 255)(L.RandomFlip()(x))), prepare=plain)
    save("own_preprocessing", vgg(preprocess_input), prepare=plain)
    known = L.Normalization(mean=[100.0, 90.0, 80.0], variance=[90.0, 400.0, 100.0])
    save("given_statistics", vgg(known), prepare=plain)
    adapted = L.Normalization()
    adapted.adapt(images(8, 8).permute(0, 2, 3, 1).numpy())
    save("adapted", vgg(adapted), prepare=plain)
    for name, flatten in (("first", "channels_first"), ("mixed", "channels_last")):
        begin = keras.Input((3, SIZE, SIZE))
        x = L.Flatten(data_format=flatten)(body(begin, order="channels_first"))
        save(name, keras.Model(begin, head(x)))
    begin = keras.Input((SIZE, SIZE, 3))
    base = keras.Model(begin, body(begin, norm=L.BatchNormalization), name="vgg16")
    for layer in base.layers[:9]:
        layer.trainable = False
    save("nested", keras.Sequential([keras.Input((SIZE, SIZE, 3)), base, L.Flatten(), *tail()]))
    again = keras.Input((SIZE, SIZE, 3))
    inner = keras.Sequential([keras.Input((2, 2, 32)), L.Flatten(), *tail()], name="top")
    save("twice_nested", keras.Model(again, inner(base(again))))
    save("sequential", keras.Sequential([keras.Input((SIZE, SIZE, 3)), *padded(), *tail()]))


def tail() -> list[Any]:
    return [L.Dense(20, "relu"), L.Dropout(0.5), L.Dense(20), L.ReLU(), L.Dense(CLASSES)]


def padded() -> list[Any]:
    """Return layers of net A with padding and activations of their own, without biases."""
    layers: list[Any] = []
    for count, channels in zip(CONVOLUTIONS["A"], CHANNELS, strict=True):
        for _ in range(count):
            layers += [L.ZeroPadding2D(1), L.Conv2D(int(channels * WIDTH), 3, use_bias=False)]
            layers.append(L.Activation("relu"))
        layers.append(L.MaxPooling2D())
    return [*layers, L.Reshape((-1,))]


def pool_elsewhere(x: Any) -> Any:
    """Apply the convolutions of net A with a pool after conv3_1, not after conv2_1."""
    channels = [
        int(c * WIDTH) for n, c in zip(CONVOLUTIONS["A"], CHANNELS, strict=True) for _ in range(n)
    ]
    for number, outputs in enumerate(channels, 1):
        x = L.Conv2D(outputs, 3, padding="same", activation="relu", name=f"c{number}")(x)
        x = L.MaxPooling2D()(x) if number in (1, 3, 4, 6, 8) else x
    return x


def others() -> None:
    """Save nets that are none of the paper's, or not whole."""
    begin = keras.Input((SIZE, SIZE, 3))

    def of(*layers: Any, before: Any = None) -> Any:
        x = body(begin) if before is None else before(begin)
        for layer in layers:
            x = layer(x)
        return keras.Model(begin, x)

    save("average", of(L.GlobalAveragePooling2D(), L.Dense(CLASSES)))
    save("maximum", of(L.GlobalMaxPooling2D(), L.Dense(CLASSES)))
    save("tanh", of(L.Flatten(), L.Dense(20, "tanh"), L.Dense(CLASSES)))
    save("norm_in_head", of(L.Flatten(), L.Dense(20), L.BatchNormalization(), L.Dense(CLASSES)))
    save("no_relu_in_head", of(L.Flatten(), L.Dense(20), L.Dense(20, "relu"), L.Dense(CLASSES)))
    save("leaky", of(L.Flatten(), L.Dense(20), L.LeakyReLU(), L.Dense(CLASSES)))
    save("softmax_in_head", of(L.Flatten(), L.Dense(20, "relu"), L.Softmax(), L.Dense(CLASSES)))
    save("moved_pool", of(before=pool_elsewhere))
    save("end_at_average", of(L.AveragePooling2D(2)))
    save("sigmoid", of(L.Flatten(), L.Dense(CLASSES, "sigmoid")))
    save("body", of())
    whole = of()
    save("no_last_pool", keras.Model(whole.inputs, whole.layers[-2].output))
    save("resizing", of(before=lambda x: body(L.Resizing(96, 96)(x))))
    save("odd_layer", of(before=lambda x: body(L.RandomContrast(0.1)(L.LayerNormalization()(x)))))
    again = {"padding": "same", "activation": "relu"}
    save("no_relu", of(L.Conv2D(4, 3, padding="same"), L.Conv2D(4, 3, **again)))
    save("late_norm", of(L.Conv2D(4, 3, **again), L.BatchNormalization(), L.Conv2D(4, 3, **again)))
    save("strides", of(L.Conv2D(4, 3, strides=2, padding="same", activation="relu")))
    save("valid", of(before=lambda x: L.MaxPooling2D()(L.Conv2D(4, 3, activation="relu")(x))))
    save("mean_pool", of(before=lambda x: body(L.AveragePooling2D(2)(L.Conv2D(3, 1, **again)(x)))))
    save("branches", of(before=lambda x: L.Add()([body(x), L.MaxPooling2D(32)(x)[..., :1]])))
    save("dense_first", of(L.Dense(3), before=L.Flatten()))
    for kind in ("float16", "bfloat16", "float32"):
        keras.config.set_dtype_policy(kind)
        save(kind, vgg())


def applications() -> None:
    """Save the nets of keras.applications as they are."""
    save("whole", VGG16(weights=None, classifier_activation=None, input_shape=(SIZE, SIZE, 3)))
    save("without", VGG16(weights=None, include_top=False, input_shape=(SIZE, SIZE, 3)))


if __name__ == "__main__":
    FOLDER.mkdir(exist_ok=True)
    {one.__name__: one for one in (nets, others, applications)}[sys.argv[1]]()
