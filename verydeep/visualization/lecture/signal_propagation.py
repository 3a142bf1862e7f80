"""How large the numbers in a new net are, layer by layer, by initialisation (section 3.1)."""

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
"""The deepest net, at its full width, on an image of so many pixels a side."""

WAYS: dict[str, tuple[Scheme, float]] = {
    "variance 0.01": ("normal", 1e-2),
    "deviation 0.01": ("normal", 1e-4),
    "Glorot": ("glorot", 1e-2),
    "He": ("he", 1e-2),
}
"""To begin: the paper's as published and as it may have been meant, and two that look at fans."""


@dataclass(frozen=True, slots=True)
class Signal:
    """What passes a convolution.

    Attributes:
        layer: Its name.
        forward: Root mean square of what it answers to an image of unit noise, before the ReLU.
        backward: That of the gradient in the same place, if it is 1 at the last convolution.
    """

    layer: str
    forward: float
    backward: float


@cache
def signals(scheme: Scheme, variance: float = 1e-2, seed: int = 0) -> tuple[Signal, ...]:
    """Return what passes the convolutions of a new net, in the order in which an image does.

    Args:
        scheme: See :func:`verydeep.nets.initialize.initialize`.
        variance: That of scheme ``normal``.
        seed: Of the weights, of the image, and of the gradient at the last convolution.
    """
    generator = torch.Generator().manual_seed(seed)
    net = _net()
    initialize(net, scheme, variance=variance, generator=generator)
    x = torch.randn(1, 3, SIZE, SIZE, generator=generator)
    answers: dict[str, Tensor] = {}
    for name, layer in net.features.named_children():
        x = layer(x)
        if name.startswith("conv"):
            answers[name] = x
    *_, last = answers.values()
    slope = torch.randn(last.shape, generator=generator)
    slopes = torch.autograd.grad(last, tuple(answers.values()), slope)
    return tuple(
        Signal(name, _root_mean_square(answer), _root_mean_square(gradient))
        for (name, answer), gradient in zip(answers.items(), slopes, strict=True)
    )


@cache
def _net() -> VGG:
    with torch.random.fork_rng(devices=()):
        return VGG(NET, 1, input_size=32, hidden=1)


def _root_mean_square(values: Tensor) -> float:
    return values.detach().square().mean().sqrt().item()


def draw_signals() -> Figure:
    """Draw what passes each convolution of a new net, forwards and backwards."""
    figure = Figure(figsize=(11, 5.2), layout="constrained")
    forward, backward = figure.subplots(1, 2)
    for place, (title, (scheme, variance)) in enumerate(WAYS.items()):
        seen = signals(scheme, variance)
        look: Any = {"color": f"C{place}", "ls": ("-", "--", "-.", ":")[place], "label": title}
        layers = [signal.layer.removeprefix("conv") for signal in seen]
        forward.plot(layers, [signal.forward for signal in seen], marker="osD^"[place], **look)
        backward.plot(layers, [signal.backward for signal in seen], marker="osD^"[place], **look)
    forward.set_title("forwards: answers of a new net", loc="left")
    forward.set_ylabel("root mean square before the ReLU")
    backward.set_title("backwards: gradients", loc="left")
    backward.set_ylabel("root mean square, 1 at the last")
    for axes in (forward, backward):
        axes.axhline(1, color=soft_colour(), lw=1.2)
        axes.set(xlabel=f"convolution of net {NET}", yscale="log", ylim=(1e-9, 1e9))
        axes.yaxis.set_major_locator(FixedLocator([10.0**power for power in range(-8, 9, 2)]))
        axes.tick_params(axis="x", rotation=90, labelsize=11)
        axes.grid(axis="y", alpha=0.25)
    figure.legend(*forward.get_legend_handles_labels(), ncols=4, loc="outside upper center")
    return figure
