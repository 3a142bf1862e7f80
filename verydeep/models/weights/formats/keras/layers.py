"""The layers of a Keras model with a configuration, which says what is between them.

h, w sides of a kernel.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from typing import Any

from verydeep.errors import ModelError, printable
from verydeep.models.weights.formats.chain import NO_PADDING, Chain, Padding, Window
from verydeep.models.weights.formats.keras.config import Step
from verydeep.models.weights.formats.keras.planned import (
    EPSILON,
    Planned,
    read_layer,
    read_norm,
)
from verydeep.models.weights.formats.keras.preprocessing import Preprocessing
from verydeep.models.weights.formats.keras.store import Parts, Store
from verydeep.models.weights.formats.values import check_sizes
from verydeep.models.weights.source import Flatten

PASSED = {
    *("InputLayer", "Dropout", "SpatialDropout2D", "GaussianNoise", "GaussianDropout"),
    *("AlphaDropout", "ActivityRegularization", "Identity", "GlobalAveragePooling2D"),
}
"""Layers that do nothing to the scores of a trained net, and those that need no word."""


class KerasLayers:
    """What is found on the way from the images to the scores.

    Attributes:
        chain: Layers in forward order.
        preprocessing: What happens to the images first.
    """

    def __init__(self, store: Store) -> None:
        self.store = store
        self.chain = Chain(complete=True)
        self.preprocessing = Preprocessing()
        self._declared: int | None = None
        self._padding = NO_PADDING
        self._flatten: Flatten = "chw"
        self._channels_last = True

    @property
    def input_size(self) -> int | None:
        """Side of the images, if the model is for one size only."""
        return self.preprocessing.input_size or self._declared

    def take(self, step: Step) -> None:
        """Take the next layer into account.

        Raises:
            ModelError: No net of the paper has such a layer in its convolutional part.
        """
        self._note_size(step)
        handler = _HANDLERS.get(step.kind)
        if handler:
            handler(self, step)
        elif step.kind in PASSED or step.kind.startswith("Random"):
            pass
        elif not self.chain.layers:
            self.preprocessing.take(step, self._statistics(step))
        else:
            self.chain.other(step.name, f"a layer of type {printable(step.kind)}")

    def _statistics(self, step: Step) -> Parts:
        return self.store.parts(step) if step.kind == "Normalization" else {}

    def _note_size(self, step: Step) -> None:
        shape = step.config.get("batch_shape") or step.config.get("batch_input_shape")
        if self._declared or self.chain.layers or not isinstance(shape, list) or len(shape) != 4:
            return
        sides = [side for side in shape[1:] if side != 3]
        if len(sides) == 2 and sides[0] == sides[1] and type(sides[0]) is int:
            self._declared = sides[0] if 0 < sides[0] < 2**14 else None

    def _activate(self, step: Step, activation: str) -> None:
        if activation == "relu":
            self.chain.relu()
        elif activation in ("softmax", "log_softmax"):
            self.chain.softmax(step.name)
        elif activation != "linear":
            self.chain.other(step.name, f"the activation {printable(activation)}")

    def _conv(self, step: Step) -> None:
        config = step.config
        if config.get("dim_ordering") == "th":
            raise ModelError(f"{printable(step.name)}: kernels for Theano; convert them in Keras 2")
        self._channels_last = config.get("data_format") != "channels_first"
        layer = Planned(step.name, self.store.parts(step))
        _check_kernel(layer, config)
        window = Window(
            (layer.shape[0], layer.shape[1]),
            _pair(config, "strides", "subsample"),
            self._padded(_own_padding(config, layer.shape[:2])),
            _pair(config, "dilation_rate"),
            _pair(config, "groups")[0],
        )
        self.chain.convolution(read_layer(layer), window)
        self._activate(step, _activation(config.get("activation")))

    def _padded(self, own: Padding) -> Padding:
        """Return the padding of a layer, with that of layers before it."""
        (top, left, bottom, right), self._padding = self._padding, NO_PADDING
        return top + own[0], left + own[1], bottom + own[2], right + own[3]

    def _dense(self, step: Step) -> None:
        if not self.chain.layers:
            raise ModelError("is no net of the paper: it begins with a fully connected layer")
        if any(self._padded(NO_PADDING)):
            self.chain.other(step.name, "reads a padded map")
        layer = Planned(step.name, self.store.parts(step), self._flatten)
        self.chain.fully_connected(read_layer(layer))
        self._flatten = "chw"
        self._activate(step, _activation(step.config.get("activation")))

    def _norm(self, step: Step) -> None:
        if not self.chain.layers:
            self.preprocessing.take(step, {})
            return
        epsilon = float(step.config.get("epsilon", EPSILON))
        self.chain.norm(step.name, read_norm(step.name, self.store.parts(step), epsilon))

    def _activation(self, step: Step) -> None:
        if step.kind == "Softmax":
            self.chain.softmax(step.name)
        elif step.kind == "ReLU":
            leak = step.config.get("negative_slope"), step.config.get("threshold")
            usual = step.config.get("max_value") is None and not any(map(_number, leak))
            self._activate(step, "relu" if usual else "bounded or leaking ReLU")
        else:
            self._activate(step, _activation(step.config.get("activation")))

    def _pool(self, step: Step) -> None:
        sides = _pair(step.config, "pool_size", usual=2)
        strides = _pair(step.config, "strides") if step.config.get("strides") else sides
        # "same" pads nothing on maps of even sides.
        self.chain.pool(step.name, Window(sides, strides, self._padded(NO_PADDING)))

    def _pad(self, step: Step) -> None:
        self._padding = self._padded(_padding(step.config.get("padding")))

    def _flattened(self, step: Step) -> None:
        if step.kind == "Reshape" and len(step.config.get("target_shape", ())) != 1:
            self.chain.other(step.name, "reshapes maps")
        # Keras flattens channels last in any case, if Flatten knows that they come first.
        moved = step.config.get("data_format") == "channels_first"
        if all(layer.is_convolution for layer in self.chain.layers):
            self._flatten = "hwc" if self._channels_last or moved else "chw"


def has_weights(step: Step) -> bool:
    """Return whether a layer is a convolution or fully connected."""
    return step.kind in _WEIGHTED


def check_weights(store: Store, steps: Iterable[Step], held: int) -> None:
    """Refuse weights that are too many, or more than the file holds, before any are read.

    Args:
        store: The weights.
        steps: All layers.
        held: Size of the file in bytes.

    Raises:
        ModelError: They are.
    """
    kinds = (*_WEIGHTED, *_NORMS)
    nodes = [node for step in steps if step.kind in kinds for node in store.parts(step).values()]
    check_sizes([node.shape for node in nodes], [node.size for node in nodes], held)


def _number(value: Any) -> bool:
    """Return whether a setting is anything but 0."""
    return bool(value[0] if isinstance(value, list) and value else value)


def _pair(config: Mapping[str, Any], *names: str, usual: int = 1) -> tuple[int, int]:
    """Return a setting for height and width, which may be one number for both.

    Raises:
        ValueError: It is neither.
    """
    value = next((config[name] for name in names if config.get(name) is not None), usual)
    height, width = value if isinstance(value, list | tuple) else (value, value)
    if type(height) is not int or type(width) is not int:
        raise ValueError(f"{names[0]} {value}")
    return height, width


def _own_padding(config: Mapping[str, Any], kernel: tuple[int, ...]) -> Padding:
    """Return the padding by a convolution itself."""
    if config.get("padding", config.get("border_mode")) != "same":
        return NO_PADDING
    height, width = (side - 1 for side in kernel)
    return height // 2, width // 2, height - height // 2, width - width // 2


def _padding(value: Any) -> Padding:
    """Return the padding by a layer: a number, one for each axis, or one for each side.

    Raises:
        ValueError, TypeError: It is none of them.
    """
    height, width = value if isinstance(value, list | tuple) else (value, value)
    top, bottom = height if isinstance(height, list | tuple) else (height, height)
    left, right = width if isinstance(width, list | tuple) else (width, width)
    if any(type(side) is not int for side in (top, left, bottom, right)):
        raise ValueError(f"padding {value}")
    return top, left, bottom, right


def _activation(value: Any) -> str:
    """Return the name of an activation in any of the forms Keras writes."""
    if isinstance(value, dict):
        inner = value.get("config")
        value = inner if isinstance(inner, str) else value.get("class_name", "")
    return str(value or "linear").lower()


def _check_kernel(layer: Planned, config: Mapping[str, Any]) -> None:
    """Refuse kernels that are laid out for another framework."""
    h, w = layer.shape[:2]
    size = config.get("kernel_size")
    if len(layer.shape) != 4 or h != w or (size is not None and list(size) != [h, w]):
        raise ModelError(f"{layer}: its kernel is not (height, width, inputs, outputs)")


_WEIGHTED = ("Conv2D", "Convolution2D", "Dense")
_NORMS = ("BatchNormalization", "BatchNormalizationV1")
_HANDLERS: dict[str, Callable[[KerasLayers, Step], None]] = {
    "Conv2D": KerasLayers._conv,
    "Convolution2D": KerasLayers._conv,
    "Dense": KerasLayers._dense,
    **dict.fromkeys(_NORMS, KerasLayers._norm),
    **dict.fromkeys(("Activation", "ReLU", "Softmax"), KerasLayers._activation),
    "MaxPooling2D": KerasLayers._pool,
    "ZeroPadding2D": KerasLayers._pad,
    "Flatten": KerasLayers._flattened,
    "Reshape": KerasLayers._flattened,
}
