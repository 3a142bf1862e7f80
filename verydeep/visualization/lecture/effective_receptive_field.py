"""What a unit can see, and what of it changes the unit: nets with random weights (section 2.3).

After Luo et al., "Understanding the Effective Receptive Field in Deep Convolutional Neural
Networks" (2016).
"""

from __future__ import annotations

from collections.abc import Sequence
from functools import cache
from typing import Any

import torch
from matplotlib.colors import LogNorm
from matplotlib.figure import Figure
from matplotlib.patches import Rectangle
from torch import Tensor
from torch.nn.functional import avg_pool2d

from verydeep.data.geometry import Window
from verydeep.inspection.activations import Unit
from verydeep.inspection.receptive_field import Sight, theoretical_field
from verydeep.nets.anatomy import anatomy
from verydeep.nets.initialize import initialize
from verydeep.nets.layer_outputs import trace
from verydeep.nets.vgg import VGG
from verydeep.visualization.lecture.theme import paper_colour

NAME = "D"
"""Of the net that is drawn."""

SIDE = 256
"""Of the images of noise, in pixels: what the middle units of the net see lies within."""

BLOCK = 4
"""Pixels a side that are drawn as one, their mean: single pixels are all noise."""

NETS = 3
"""Random nets, each with an image of its own, that gradients are averaged over."""


@cache
def middle_sights(name: str) -> tuple[Sight, ...]:
    """Return what the middle unit behind every convolution sees, averaged over random nets.

    Nets at a sixteenth of their width, weights after He, images of Gaussian noise.

    Args:
        name: Of the net.
    """
    convolutions = [part for part in anatomy(name).parts if part.layer.kind == "conv"]
    places = {part.layer.name: SIDE // part.stride // 2 for part in convolutions}
    total = {layer: torch.zeros(SIDE, SIDE) for layer in places}
    for seed in range(NETS):
        net, x = _random(name, seed)
        for layer, values in trace(net, x, places).items():
            unit = values[0, 0, places[layer], places[layer]]
            (gradient,) = torch.autograd.grad(unit, x, retain_graph=True)
            spread = gradient[0].abs().sum(0)
            total[layer] += spread / spread.sum() / NETS
    return tuple(
        Sight(
            Unit(layer, 0, place, place, 0.0),
            theoretical_field(net, layer, place, place, (SIDE, SIDE)),
            total[layer],
        )
        for layer, place in places.items()
    )


def _random(name: str, seed: int) -> tuple[VGG, Tensor]:
    """Return a random net and an image of noise that gradients reach."""
    generator = torch.Generator().manual_seed(seed)
    with torch.random.fork_rng():
        net = VGG(name, 1, input_size=32, width=1 / 16, hidden=16).eval().requires_grad_(False)
    initialize(net, generator=generator)
    return net, torch.randn(1, 3, SIDE, SIDE, generator=generator).requires_grad_()


def draw_effective_field() -> Figure:
    """Draw the gradient of a unit behind the last convolution, and how both fields grow."""
    figure = Figure(figsize=(11, 4.9), layout="constrained")
    left, right = figure.subplots(1, 2, width_ratios=(1, 1.1))
    sights = middle_sights(NAME)
    _draw_gradient(figure, left, sights[-1])
    _draw_growth(right, sights)
    return figure


def _draw_gradient(figure: Figure, axes: Any, sight: Sight) -> None:
    blocks = avg_pool2d(sight.gradient[None], BLOCK)[0]
    image = axes.imshow(
        (blocks / blocks.max()).clamp(min=1e-9).numpy(),
        cmap="cividis",
        norm=LogNorm(1e-3, 1),
        extent=(0, SIDE, SIDE, 0),
        interpolation="nearest",
    )
    field, side = sight.field.whole, sight.effective_side or 0
    middle_y, middle_x = field.top + field.height / 2, field.left + field.width / 2
    effective = Window(round(middle_y - side / 2), round(middle_x - side / 2), side, side)
    for window, dashes in ((field, "--"), (effective, "-")):
        corner, size = (window.left, window.top), (window.width, window.height)
        axes.add_patch(Rectangle(corner, *size, fill=False, edgecolor="white", lw=1.8, ls=dashes))
    axes.set(xlabel="pixels", ylabel="pixels")
    axes.set_title(f"a unit of {sight.unit.layer}")
    figure.colorbar(image, ax=axes, label="|gradient|, share of the largest", shrink=0.9)


def _draw_growth(axes: Any, sights: Sequence[Sight]) -> None:
    places = range(1, len(sights) + 1)
    can = [sight.field.whole.height for sight in sights]
    does = [sight.effective_side or 0 for sight in sights]
    axes.plot(places, can, "o--", color="C0", mfc=paper_colour(), ms=6, label="all it can see")
    axes.plot(places, does, "o-", color="C1", ms=6, label="95 % of |gradient|")
    for line in (can, does):
        axes.text(len(sights) + 0.25, line[-1], str(line[-1]), va="center")
    axes.set(xlabel="convolutions passed", ylabel="side (pixels of the image)")
    axes.set(xlim=(0.5, len(sights) + 1.2), ylim=(0, 210))
    axes.legend(loc="upper left")
    axes.set_title(f"net {NAME}, random weights")
