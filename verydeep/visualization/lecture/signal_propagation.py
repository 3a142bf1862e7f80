"""Size of activations and gradients by layer and initialisation (section 3.1)."""

from __future__ import annotations

from dataclasses import dataclass
from functools import cache
from typing import Any

import torch
from matplotlib.figure import Figure
from matplotlib.ticker import FixedLocator
from torch import Tensor

from verydeep.nets.initialize import Scheme, initialize
from verydeep.nets.vgg import VGG
from verydeep.visualization.lecture.theme import soft_colour

NET, SIZE = "E", 64
"""The deepest net at full width, and the side of its input in pixels."""

WAYS: dict[str, tuple[Scheme, float]] = {
    "variance 0.01": ("normal", 1e-2),
    "deviation 0.01": ("normal", 1e-4),
    "Glorot": ("glorot", 1e-2),
    "He": ("he", 1e-2),
}
"""Initialisations: the paper's, as published and as probably meant, and two that use the fan-in."""


@dataclass(frozen=True, slots=True)
class Signal:
    """Size of the signals at a convolution.

    Attributes:
        layer: Name of the layer.
        forward: Root mean square of its output before the ReLU, for an image of unit noise.
        backward: Root mean square of the gradient there, scaled to 1 at the last convolution.
    """

    layer: str
    forward: float
    backward: float


@cache
def signals(scheme: Scheme, variance: float = 1e-2, seed: int = 0) -> tuple[Signal, ...]:
    """Return the signals at the convolutions of a newly initialised net, in forward order.

    Args:
        scheme: See :func:`verydeep.nets.initialize.initialize`.
        variance: Variance of scheme ``normal``.
        seed: Random seed of the weights, the image and the gradient at the last convolution.
    """
    generator = torch.Generator().manual_seed(seed)
    net = _net()
    initialize(net, scheme, variance=variance, generator=generator)
    x = torch.randn(1, 3, SIZE, SIZE, generator=generator)
    outputs: dict[str, Tensor] = {}
    for name, layer in net.features.named_children():
        x = layer(x)
        if name.startswith("conv"):
            outputs[name] = x
    *_, last = outputs.values()
    last_gradient = torch.randn(last.shape, generator=generator)
    gradients = torch.autograd.grad(last, tuple(outputs.values()), last_gradient)
    return tuple(
        Signal(name, _root_mean_square(output), _root_mean_square(gradient))
        for (name, output), gradient in zip(outputs.items(), gradients, strict=True)
    )


@cache
def _net() -> VGG:
    with torch.random.fork_rng(devices=()):
        return VGG(NET, 1, input_size=32, hidden=1)


def _root_mean_square(values: Tensor) -> float:
    return values.detach().square().mean().sqrt().item()


def draw_signals() -> Figure:
    """Draw the size of the signals at each convolution, forward and backward."""
    figure = Figure(figsize=(11, 5.2), layout="constrained")
    forward, backward = figure.subplots(1, 2)
    looks = zip("osD^", ("-", "--", "-.", ":"), ("C0", "C1", "C2", "C3"), strict=True)
    for (title, way), (marker, style, colour) in zip(WAYS.items(), looks, strict=True):
        sizes = signals(*way)
        look: Any = {"color": colour, "ls": style, "marker": marker, "label": title}
        layers = [signal.layer.removeprefix("conv") for signal in sizes]
        forward.plot(layers, [signal.forward for signal in sizes], **look)
        backward.plot(layers, [signal.backward for signal in sizes], **look)
    forward.set_title("forward: outputs before training", loc="left")
    forward.set_ylabel("root mean square before the ReLU")
    backward.set_title("backward: gradients", loc="left")
    backward.set_ylabel("root mean square (last layer: 1)")
    for axes in (forward, backward):
        axes.axhline(1, color=soft_colour(), lw=1.2)
        axes.set(xlabel=f"convolution of net {NET}", yscale="log", ylim=(1e-9, 1e9))
        axes.yaxis.set_major_locator(FixedLocator([10.0**power for power in range(-8, 9, 2)]))
        axes.tick_params(axis="x", rotation=90, labelsize=11)
        axes.grid(axis="y", alpha=0.25)
    figure.legend(*forward.get_legend_handles_labels(), ncols=4, loc="outside upper center")
    return figure
