"""Theoretical and effective receptive fields of nets with random weights (section 2.3).

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
from torch import Tensor
from torch.nn.functional import avg_pool2d

from verydeep.data.geometry import Window
from verydeep.inspection.activations import Unit
from verydeep.inspection.receptive_field import ReceptiveField, theoretical_field
from verydeep.nets.anatomy import anatomy
from verydeep.nets.initialize import initialize
from verydeep.nets.layer_outputs import trace
from verydeep.nets.vgg import VGG
from verydeep.visualization.lecture.theme import paper_colour
from verydeep.visualization.plots.style import outline

NAME = "D"
"""Name of the drawn net."""

SIDE = 256
"""Side of the noise images, in pixels; it contains the receptive fields of the centre units."""

BLOCK = 4
"""Side of the pixel blocks that are averaged for drawing, since single pixels are noisy."""

NETS = 3
"""Number of random nets, each with its own image, over which gradients are averaged."""


@cache
def centre_fields(name: str) -> tuple[ReceptiveField, ...]:
    """Return the receptive fields of the centre unit after every convolution, averaged over nets.

    The nets have 1/16 of their width and He initialisation; the images are Gaussian noise.
    """
    convolutions = [part for part in anatomy(name).parts if part.layer.kind == "conv"]
    centres = {part.layer.name: SIDE // part.stride // 2 for part in convolutions}
    total = {layer: torch.zeros(SIDE, SIDE) for layer in centres}
    for seed in range(NETS):
        net, x = _random(name, seed)
        for layer, values in trace(net, x, centres).items():
            unit = values[0, 0, centres[layer], centres[layer]]
            (gradient,) = torch.autograd.grad(unit, x, retain_graph=True)
            spread = gradient[0].abs().sum(0)
            total[layer] += spread / spread.sum() / NETS
    return tuple(
        ReceptiveField(
            Unit(layer, 0, centre, centre, 0.0),
            theoretical_field(net, layer, centre, centre, (SIDE, SIDE)),
            total[layer],
        )
        for layer, centre in centres.items()
    )


def _random(name: str, seed: int) -> tuple[VGG, Tensor]:
    """Return a random net and a noise image that requires gradients."""
    generator = torch.Generator().manual_seed(seed)
    with torch.random.fork_rng():
        net = VGG(name, 1, input_size=32, width=1 / 16, hidden=16).eval().requires_grad_(False)
    initialize(net, generator=generator)
    return net, torch.randn(1, 3, SIDE, SIDE, generator=generator).requires_grad_()


def draw_effective_field() -> Figure:
    """Draw the gradient of a unit after the last convolution, and the growth of both fields."""
    figure = Figure(figsize=(11, 4.9), layout="constrained")
    left, right = figure.subplots(1, 2, width_ratios=(1, 1.1))
    fields = centre_fields(NAME)
    _draw_gradient(figure, left, fields[-1])
    _draw_growth(right, fields)
    return figure


def _draw_gradient(figure: Figure, axes: Any, unit_field: ReceptiveField) -> None:
    blocks = avg_pool2d(unit_field.gradient[None], BLOCK)[0]
    image = axes.imshow(
        (blocks / blocks.max()).clamp(min=1e-9).numpy(),
        cmap="cividis",
        norm=LogNorm(1e-3, 1),
        extent=(0, SIDE, SIDE, 0),
        interpolation="nearest",
    )
    field, side = unit_field.field.whole, unit_field.effective_side or 0
    centre_y, centre_x = field.top + field.height / 2, field.left + field.width / 2
    effective = Window(round(centre_y - side / 2), round(centre_x - side / 2), side, side)
    outline(axes, field.corners, "white", 1.8, ls="--", halo=False)
    outline(axes, effective.corners, "white", 1.8, halo=False)
    axes.set(xlabel="pixels", ylabel="pixels")
    axes.set_title(f"a unit of {unit_field.unit.layer}")
    figure.colorbar(image, ax=axes, label="|gradient|, share of the maximum", shrink=0.9)


def _draw_growth(axes: Any, fields: Sequence[ReceptiveField]) -> None:
    depths = range(1, len(fields) + 1)
    theoretical = [unit_field.field.whole.height for unit_field in fields]
    effective = [unit_field.effective_side or 0 for unit_field in fields]
    look: Any = {"color": "C0", "mfc": paper_colour(), "ms": 6}
    axes.plot(depths, theoretical, "o--", label="theoretical", **look)
    axes.plot(depths, effective, "o-", color="C1", ms=6, label="effective: 95 % of |gradient|")
    for sides in (theoretical, effective):
        axes.text(len(fields) + 0.25, sides[-1], str(sides[-1]), va="center")
    axes.set(xlabel="convolutions passed", ylabel="side (pixels of the image)")
    axes.set(xlim=(0.5, len(fields) + 1.2), ylim=(0, 210))
    axes.legend(loc="upper left")
    axes.set_title(f"net {NAME}, random weights")
