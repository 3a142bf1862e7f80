"""Layers of a Keras model that prepare the images, as facts about its preprocessing."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from verydeep.errors import printable
from verydeep.models.weights.formats.keras.config import CHANNELS, DEEPEST, Step
from verydeep.models.weights.formats.keras.store import Parts
from verydeep.models.weights.source import Fact

Three = tuple[float, float, float]

_SMALLEST_STD = 1e-7
"""What Keras's Normalization divides by at least."""


@dataclass
class Preprocessing:
    """What the layers before the first convolution do: channel i becomes factor_i x + offset_i.

    Attributes:
        factor: One number for every channel that the first convolution reads.
        offset: The same.
        reversed: Whether the layers reverse the order of the channels.
        names: Names of the layers whose effect on pixels is known.
        ignored: Lines about those that were not.
        facts: Facts about the size of images.
        input_size: Side of the images after a layer that resizes them.
    """

    factor: Three = (1.0, 1.0, 1.0)
    offset: Three = (0.0, 0.0, 0.0)
    reversed: bool = False
    names: list[str] = field(default_factory=list)
    ignored: list[str] = field(default_factory=list)
    facts: dict[str, Fact] = field(default_factory=dict)
    input_size: int | None = None

    def take(self, step: Step, parts: Parts) -> None:
        """Take a layer into account."""
        if step.kind == "Resizing":
            understood = self._resize(step)
        elif understood := self._pixels(step, parts):
            self.names.append(step.name)
        if not understood:
            self.ignored.append(
                f"{printable(step.name)} ({printable(step.kind)}): what it does to the images is "
                "unknown"
            )

    def all_facts(self) -> dict[str, Fact]:
        """Return what the layers tell."""
        facts = dict(self.facts)
        how = f"layers of the file: {printable(', '.join(self.names[:4]))}"
        if self.names:
            facts["channels"] = Fact("bgr" if self.reversed else "rgb", how)
        if (self.factor, self.offset) != ((1.0,) * 3, (0.0,) * 3):
            order = -1 if self.reversed else 1
            pairs = list(zip(self.factor, self.offset, strict=True))[::order]
            facts["mean"] = Fact(tuple(-offset / factor for factor, offset in pairs), how)
            facts["std"] = Fact(tuple(1 / factor for factor, _ in pairs), how)
        return facts

    def _pixels(self, step: Step, parts: Parts) -> bool:
        """Take a layer into account that computes with pixels; False if it is unknown."""
        match step.kind:
            case "Rescaling":
                return self._apply(step.config.get("scale"), step.config.get("offset", 0))
            case "Normalization" if not step.config.get("invert"):
                return self._normalize(*_statistics(step, parts))
            case "GetItem" | "SlicingOpLambda" if _reverses(step.calls):
                return self._reorder([2, 1, 0])
            case _ if step.kind == CHANNELS:
                return self._reorder(step.config["order"])
            case "Add" | "BiasAdd" | "TFOpLambda" if _adds(step):
                return self._apply(1, _constant(step.calls))
        return False

    def _apply(self, scale: Any, offset: Any) -> bool:
        scales, offsets = _three(scale), _three(offset)
        if scales is None or offsets is None or min(map(abs, scales)) < 1e-12:
            return False
        self.factor = _each(lambda a, b: a * b, self.factor, scales)
        moved = _each(lambda a, b: a * b, self.offset, scales)
        self.offset = _each(lambda a, b: a + b, moved, offsets)
        return True

    def _normalize(self, mean: Any, variance: Any) -> bool:
        means, variances = _three(mean), _three(variance)
        if means is None or variances is None or min(variances) < 0:
            return False
        stds = [max(math.sqrt(one), _SMALLEST_STD) for one in variances]
        shifts = [-one / std for one, std in zip(means, stds, strict=True)]
        return self._apply([1 / std for std in stds], shifts)

    def _reorder(self, order: Sequence[int]) -> bool:
        if list(order) not in ([0, 1, 2], [2, 1, 0]):
            return False
        if order[0] == 2:
            self.reversed = not self.reversed
            self.factor, self.offset = self.factor[::-1], self.offset[::-1]
        return True

    def _resize(self, step: Step) -> bool:
        height, width = step.config.get("height"), step.config.get("width")
        cuts = step.config.get("crop_to_aspect_ratio") or step.config.get("pad_to_aspect_ratio")
        method = step.config.get("interpolation", "bilinear")
        if type(height) is not int or height != width or cuts or not 0 < height < 2**14:
            return False
        if method not in ("bilinear", "bicubic"):
            return False
        self.input_size = height
        how = f"layer {printable(step.name)} of the file"
        self.facts = {"resize": Fact(0, how), "interpolation": Fact(method, how)}
        return True


def _each(function: Any, first: Three, second: Three) -> Three:
    a, b, c = (function(x, y) for x, y in zip(first, second, strict=True))
    return a, b, c


def _three(value: Any) -> Three | None:
    """Return one finite number for each channel; None if there are none."""
    for _ in range(DEEPEST):
        if not (isinstance(value, list | tuple) and len(value) == 1):
            break
        value = value[0]
    numbers = value if isinstance(value, list | tuple) else [value] * 3
    if len(numbers) != 3 or not all(type(n) in (int, float) for n in numbers):
        return None
    if not all(abs(n) < 1e12 for n in numbers):  # neither NaN nor infinite
        return None
    return float(numbers[0]), float(numbers[1]), float(numbers[2])


def _statistics(step: Step, parts: Parts) -> tuple[Any, Any]:
    """Return mean and variance of a Normalization: given to it, or found from images."""
    if step.config.get("mean") is not None:
        return step.config["mean"], step.config.get("variance")
    found = []
    for name in ("mean", "variance"):
        node = parts.get(name)
        small = node is not None and node.dtype is not None and node.size <= 64
        found.append(node.read().flatten().tolist() if node and small else None)
    return found[0], found[1]


def _adds(step: Step) -> bool:
    function = str(step.config.get("function", "add"))
    return function.rpartition(".")[2] in ("add", "bias_add", "__operators__.add")


def _reverses(calls: Any, depth: int = 0) -> bool:
    """Return whether a call takes a slice backwards."""
    if depth > DEEPEST:
        return False
    if isinstance(calls, Mapping):
        if calls.get("step") == -1:
            return calls.get("start") is None and calls.get("stop") is None
        calls = list(calls.values())
    return isinstance(calls, list) and any(_reverses(part, depth + 1) for part in calls)


def _constant(calls: Any, depth: int = 0) -> Any:
    """Return the numbers that a call adds."""
    if depth > DEEPEST:
        return None
    if isinstance(calls, Mapping):
        for key in ("value", "bias", "y"):
            if key in calls:
                return calls[key]
        calls = list(calls.values())
    if not isinstance(calls, list):
        return None
    found = (_constant(part, depth + 1) for part in calls)
    return next((value for value in found if value is not None), None)
