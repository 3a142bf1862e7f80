"""The layers of a Keras model with a configuration, which says what is between them."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

from verydeep.errors import ModelError, printable
from verydeep.models.weights.formats.keras.config import Step
from verydeep.models.weights.formats.keras.planned import EPSILON, Planned
from verydeep.models.weights.formats.keras.preprocessing import Preprocessing
from verydeep.models.weights.formats.keras.store import Parts, Store
from verydeep.models.weights.source import Flatten

PASSED = {
    *("InputLayer", "Dropout", "SpatialDropout2D", "GaussianNoise", "GaussianDropout"),
    *("AlphaDropout", "ActivityRegularization", "Identity", "Softmax", "GlobalAveragePooling2D"),
}
"""Layers that do nothing to the scores of a trained net, and those that need no word."""

OUTPUTS = ("softmax", "linear", "log_softmax")
"""Last activations that keep the order of the scores."""


class KerasLayers:
    """What is found on the way from the images to the scores.

    Attributes:
        layers: Layers in forward order.
        preprocessing: What happens to the images first.
        ignored: Lines about everything that has no place.
        input_size: Side of the images, if the model is for one size only.
    """

    def __init__(self, store: Store) -> None:
        self.store = store
        self.layers: list[Planned] = []
        self.preprocessing = Preprocessing()
        self.ignored: list[str] = []
        self.input_size: int | None = None
        self._bare: str | None = None  # layer whose activation is still to come
        self._plain = False  # directly after a layer, before its activation
        self._shrinks: str | None = None  # convolution without padding
        self._padded = False
        self._flatten: Flatten = "chw"
        self._channels_last = True
        self._head_fault: str | None = None
        self._last = "linear"

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
        elif not self.layers:
            self.preprocessing.take(step, self._statistics(step))
        else:
            self._fault(step, f"is a {printable(step.kind)}")

    def _statistics(self, step: Step) -> Parts:
        return self.store.parts(step) if step.kind == "Normalization" else {}

    def finish(self) -> None:
        """Leave a head out that is none of the paper's, and note the last activation."""
        self.input_size = self.preprocessing.input_size or self.input_size
        self.ignored += self.preprocessing.ignored
        if self._head_fault:
            head = [layer for layer in self.layers if not layer.is_convolution]
            self.layers = [layer for layer in self.layers if layer.is_convolution]
            self.ignored += [f"{layer}: left out, because {self._head_fault}" for layer in head]
        elif self.layers and self._last not in OUTPUTS and not self.layers[-1].is_convolution:
            self.ignored.append(f"{printable(self.layers[-1].name)}: its last {self._last}")

    def _fault(self, step: Step, what: str) -> None:
        """Give up the head, or the whole net if this is in its convolutional part."""
        text = f"{printable(step.name)} {what}"
        if not self.layers or (self.layers[-1].is_convolution and step.kind not in _HEAD):
            raise ModelError(f"is no net of the paper: {text}")
        self._head_fault = self._head_fault or text

    def _note_size(self, step: Step) -> None:
        shape = step.config.get("batch_shape") or step.config.get("batch_input_shape")
        if self.input_size or self.layers or not isinstance(shape, list) or len(shape) != 4:
            return
        sides = [side for side in shape[1:] if side != 3]
        if len(sides) == 2 and sides[0] == sides[1] and type(sides[0]) is int:
            self.input_size = sides[0] if 0 < sides[0] < 2**14 else None

    def _open(self, step: Step) -> None:
        """Refuse a layer with weights that reads another without a ReLU between them."""
        if self._bare is not None:
            text = f"reads {printable(self._bare)} without a ReLU between them"
            if self.layers[-1].is_convolution:
                raise ModelError(f"is no net of the paper: {printable(step.name)} {text}")
            self._fault(step, text)
        activation = _activation(step.config.get("activation"))
        self._bare, self._plain, self._last = step.name, True, "linear"
        if activation != "linear":
            self._activate(step, activation)

    def _activate(self, step: Step, activation: str) -> None:
        self._plain = False
        self._last = activation
        if activation == "relu":
            self._bare = None
        elif activation not in OUTPUTS:
            self._bare = self._bare or step.name

    def _conv(self, step: Step) -> None:
        config = step.config
        for names, usual in _USUAL:
            found = next((config[name] for name in names if name in config), usual)
            if found not in (usual, list(usual) if isinstance(usual, tuple) else usual):
                self._fault(step, f"has {names[0]} {found}")
        if config.get("dim_ordering") == "th":
            raise ModelError(f"{printable(step.name)}: kernels for Theano; convert them in Keras 2")
        if self._shrinks:
            raise ModelError(f"is no net of the paper: {self._shrinks} has no padding")
        self._channels_last = config.get("data_format") != "channels_first"
        self._open(step)
        layer = Planned(step.name, self.store.parts(step))
        _check_kernel(layer, config)
        padding = config.get("padding", config.get("border_mode"))
        if padding != "same" and not self._padded and layer.shape[:2] != (1, 1):
            self._shrinks = printable(step.name)  # right for a fully connected layer only
        self._padded = False
        self.layers.append(layer)

    def _dense(self, step: Step) -> None:
        if not self.layers:
            raise ModelError("is no net of the paper: it begins with a fully connected layer")
        self._open(step)
        self.layers.append(Planned(step.name, self.store.parts(step), self._flatten))
        self._flatten = "chw"

    def _norm(self, step: Step) -> None:
        if not self.layers:
            self.preprocessing.take(step, {})
        elif not self._plain or self.layers[-1].norm:
            self._fault(step, "is a batch normalisation that follows no convolution directly")
        else:
            self.layers[-1].norm = self.store.parts(step)
            self.layers[-1].epsilon = float(step.config.get("epsilon", EPSILON))

    def _activation(self, step: Step) -> None:
        if step.kind == "ReLU":
            leak = step.config.get("negative_slope"), step.config.get("threshold")
            usual = step.config.get("max_value") is None and not any(map(_number, leak))
            self._activate(step, "relu" if usual else "bounded or leaking ReLU")
        else:
            self._activate(step, _activation(step.config.get("activation")))

    def _pool(self, step: Step) -> None:
        sizes = step.config.get("pool_size"), step.config.get("strides") or [2, 2]
        if any(list(size or ()) != [2, 2] for size in sizes):
            self._fault(step, f"pools with size {sizes[0]} and strides {sizes[1]}, not 2x2")
        if self._shrinks:
            raise ModelError(f"is no net of the paper: {self._shrinks} has no padding")

    def _pad(self, step: Step) -> None:
        if str(step.config.get("padding")).replace(" ", "") not in _ONE_AROUND:
            self._fault(step, f"pads by {printable(step.config.get('padding'))}, not by 1")
        self._padded = True

    def _flattened(self, step: Step) -> None:
        if step.kind == "Reshape" and len(step.config.get("target_shape", ())) != 1:
            self._fault(step, "reshapes maps")
        # Keras flattens channels last in any case, if Flatten knows that they come first.
        moved = step.config.get("data_format") == "channels_first"
        if not any(not layer.is_convolution for layer in self.layers):
            self._flatten = "hwc" if self._channels_last or moved else "chw"


def _number(value: Any) -> bool:
    """Return whether a setting is anything but 0."""
    return bool(value[0] if isinstance(value, list) and value else value)


def _activation(value: Any) -> str:
    """Return the name of an activation in any of the forms Keras writes."""
    if isinstance(value, dict):
        inner = value.get("config")
        value = inner if isinstance(inner, str) else value.get("class_name", "")
    return str(value or "linear").lower()


def _check_kernel(layer: Planned, config: Any) -> None:
    """Refuse kernels that are laid out for another framework."""
    h, w = layer.shape[:2]
    size = config.get("kernel_size")
    if len(layer.shape) != 4 or h != w or (size is not None and list(size) != [h, w]):
        raise ModelError(f"{layer}: its kernel is not (height, width, inputs, outputs)")


_HEAD = {"Dense", "GlobalMaxPooling2D"}
_ONE_AROUND = {"1", "(1,1)", "[1,1]", "[[1,1],[1,1]]"}
_USUAL: Sequence[tuple[tuple[str, ...], Any]] = (
    (("strides", "subsample"), (1, 1)),
    (("dilation_rate",), (1, 1)),
    (("groups",), 1),
)
_HANDLERS: dict[str, Callable[[KerasLayers, Step], None]] = {
    "Conv2D": KerasLayers._conv,
    "Convolution2D": KerasLayers._conv,
    "Dense": KerasLayers._dense,
    "BatchNormalization": KerasLayers._norm,
    "BatchNormalizationV1": KerasLayers._norm,
    "Activation": KerasLayers._activation,
    "ReLU": KerasLayers._activation,
    "MaxPooling2D": KerasLayers._pool,
    "ZeroPadding2D": KerasLayers._pad,
    "Flatten": KerasLayers._flattened,
    "Reshape": KerasLayers._flattened,
}
