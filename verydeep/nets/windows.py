"""How layers slide: kernel, stride and padding of a module along one axis."""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Any, cast

from torch import nn


@dataclass(frozen=True, slots=True)
class Window:
    """How a layer slides over a line.

    Attributes:
        kernel: Inputs that an output depends on.
        stride: Inputs between neighbouring outputs.
        padding: Inputs added at each end.
        ceil: Whether a last window may begin inside the line and end beyond it.
    """

    kernel: int = 1
    stride: int = 1
    padding: int = 0
    ceil: bool = False

    def outputs(self, length: int) -> int:
        """Return the number of outputs for a line of inputs.

        >>> Window(3, 2, ceil=True).outputs(112), Window(3, 2).outputs(112)
        (56, 55)
        """
        places = (length + 2 * self.padding - self.kernel) / self.stride
        count = (math.ceil(places) if self.ceil else math.floor(places)) + 1
        # As in PyTorch, no window begins beyond the line.
        beyond = self.ceil and (count - 1) * self.stride >= length + self.padding
        return count - beyond


def window_of(module: nn.Module) -> Window:
    """Return how a layer slides; composite layers say so themselves, in ``window``."""
    own = getattr(module, "window", None)
    if isinstance(own, Window):
        return own
    if not isinstance(module, nn.Conv2d | nn.MaxPool2d | nn.AvgPool2d):
        return Window()
    kernel, stride, padding = (_side(getattr(module, n)) for n in _NAMES)
    return Window(kernel, stride, padding, bool(getattr(module, "ceil_mode", False)))


_NAMES = ("kernel_size", "stride", "padding")


def _side(value: Any) -> int:
    return cast(int, value[0] if isinstance(value, tuple) else value)
