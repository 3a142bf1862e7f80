"""Effect of local response normalisation on neighbouring channels (sections 2.1 and 4.1)."""

from __future__ import annotations

from functools import cache
from typing import Any

import torch
from matplotlib.figure import Figure
from torch import Tensor, nn

from verydeep.nets.vgg import VGG
from verydeep.visualization.lecture.theme import soft_colour

CHANNELS = 32
RESPONSE = 100.0
"""Response of an ordinary channel; pixels range from 0 to 255."""


@cache
def lrn() -> nn.Module:
    """Return the normalisation layer of net A-LRN."""
    net = VGG("A-LRN", 1, input_size=32, width=1 / 64, hidden=64)
    return dict(net.named_layers())["lrn1"]


def normalize(responses: Tensor) -> Tensor:
    """Return the normalised responses (N, C) of C channels at N positions."""
    with torch.no_grad():
        output: Tensor = lrn()(responses[:, :, None, None])
    return output[:, :, 0, 0]


def uneven_responses() -> Tensor:
    """Return responses (1, C): equal except for one strong channel and three adjacent ones."""
    responses = torch.full((1, CHANNELS), RESPONSE)
    responses[0, 9] = 8 * RESPONSE
    responses[0, 20:23] = 4 * RESPONSE
    return responses


def kept(response: float, neighbours: Tensor) -> Tensor:
    """Return the remaining share (N,) of a response next to one active neighbour.

    Args:
        response: Response of the middle one of five channels.
        neighbours: Responses (N,) of an adjacent channel; the other three are 0.
    """
    channels = torch.zeros(len(neighbours), 5)
    channels[:, 2] = response
    channels[:, 3] = neighbours
    return normalize(channels)[:, 2] / response


def draw_normalization() -> Figure:
    """Draw responses before and after LRN, and the remaining share next to a strong neighbour."""
    figure = Figure(figsize=(11, 5.2), layout="constrained")
    grid: Any = figure.add_gridspec(2, 2, width_ratios=(1.35, 1))
    before, after = figure.add_subplot(grid[0, 0]), figure.add_subplot(grid[1, 0])
    _draw_responses(before, after)
    _draw_kept(figure.add_subplot(grid[:, 1]))
    return figure


def _draw_responses(before: Any, after: Any) -> None:
    responses = uneven_responses()
    for axes, values, title, colour in (
        (before, responses, "before", "C0"),
        (after, normalize(responses), "after LRN", "C1"),
    ):
        axes.bar(range(CHANNELS), values[0].tolist(), color=colour)
        axes.set(ylabel="response", xlim=(-1, CHANNELS))
        axes.set_title(title, loc="left")
    after.set_xlabel("channel")
    before.tick_params(labelbottom=False)


def _draw_kept(axes: Any) -> None:
    neighbours = torch.linspace(0, 10 * RESPONSE, 201)
    for colour, style, response in (("C0", "-", 10.0), ("C1", "--", 100.0), ("C2", "-.", 300.0)):
        shares = 100 * kept(response, neighbours).numpy()
        axes.plot(neighbours.numpy(), shares, colour, ls=style, label=f"response {response:g}")
    axes.legend(loc="upper right", bbox_to_anchor=(1, 0.85))
    axes.axhline(100 * 2**-0.75, color=soft_colour(), lw=1.2, ls=":")
    axes.text(990, 60.5, "single weak response: 2$^{-0.75}$ = 59 %", ha="right", fontsize=11)
    axes.set(xlabel="response of one neighbouring channel", ylabel="remaining share after LRN (%)")
    axes.set(xlim=(0, 1000), ylim=(0, 66))
