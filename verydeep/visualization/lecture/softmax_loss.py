"""Softmax and its cross-entropy loss over the plane of two scores and along x2 = 0."""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from typing import Any

import numpy as np
import numpy.typing as npt
import torch
from matplotlib.figure import Figure
from torch import Tensor

from verydeep.data.pipeline.micro_batch import MicroBatch
from verydeep.evaluation.posteriors import ANSWERS
from verydeep.training.objective import Classification
from verydeep.visualization.lecture.theme import soft_colour

Array = npt.NDArray[np.float64]

TICKS = (-6, -3, 0, 3, 6)


def draw_soft_max() -> Figure:
    """Draw the first component of the softmax of two scores."""
    levels = (0.01, 0.1, 0.5, 0.9, 0.99)
    figure, line = _plane_and_line(first_likely, levels, "softmax, first component", 1.0, aside=3.0)
    for limit in (0, 1):
        line.axhline(limit, color=soft_colour(), lw=1.2, ls="--")
    line.text(0.6, 0.46, "0.5 at\nequal scores", va="center", fontsize=11)
    line.plot(0, 0.5, "o", color="C1")
    line.set_ylim(-0.05, 1.05)
    return figure


def draw_loss() -> Figure:
    """Draw the loss of two scores where the first class is the true one."""
    levels = (0.01, 0.1, math.log(2), 3, 6, 9)
    figure, line = _plane_and_line(first_true, levels, "loss (nats)", 2 * LIMIT, aside=-0.7)
    x = [-LIMIT, 0.0, LIMIT]
    line.plot(x, [LIMIT, 0, 0], color=soft_colour(), lw=1.2, ls="--")
    line.text(-2.4, 2.0, "asymptote −x₁", ha="right", fontsize=11)
    line.text(0.4, 0.75, "ln 2 at\nequal scores", fontsize=11)
    line.text(4.0, 0.25, "never 0", fontsize=11)
    line.plot(0, math.log(2), "o", color="C1")
    line.set_ylim(-0.2, LIMIT + 0.2)
    return figure


def _plane_and_line(
    function: Callable[[Tensor], Tensor],
    levels: Sequence[float],
    title: str,
    most: float,
    *,
    aside: float,
) -> tuple[Figure, Any]:
    # Narrow, so that text is legible on a phone.
    figure = Figure(figsize=(5.5, 8.2), layout="constrained")
    above, below = figure.subplots(2, 1, height_ratios=(1.25, 1))
    axis, points = plane()
    values = function(points).reshape(len(axis), len(axis)).numpy()
    extent = (-LIMIT, LIMIT, -LIMIT, LIMIT)
    image = above.imshow(values, origin="lower", extent=extent, cmap="viridis", vmin=0, vmax=most)
    _contours(above, axis.numpy(), values, levels, aside)
    above.axhline(0, color="white", lw=1.2, ls="--")
    above.set(xlabel="score x₁", ylabel="score x₂", xticks=TICKS, yticks=TICKS)
    above.set_title(f"{title}, over the plane")
    figure.colorbar(image, ax=above, shrink=0.9, label=title)
    below.plot(axis.numpy(), function(along(axis)).numpy(), color="C0")
    below.set(xlabel="score x₁", ylabel=title, xticks=TICKS, xlim=(-LIMIT, LIMIT))
    below.set_title("along x₂ = 0")
    return figure, below


def _contours(axes: Any, axis: Array, values: Array, levels: Sequence[float], aside: float) -> None:
    """Draw contour lines with labels where x1 + x2 is twice ``aside``."""
    light = [
        float((level - values.min()) / (values.max() - values.min())) > 0.7 for level in levels
    ]
    colours = ["black" if bright else "white" for bright in light]
    lines = axes.contour(axis, axis, values, levels=levels, colors=colours, linewidths=0.9)
    spots = [_spot(axis, values, level, aside) for level in levels]
    for label in axes.clabel(lines, fmt="%.2g", fontsize=10, manual=spots):
        label.set_fontweight("bold")


def _spot(axis: Array, values: Array, level: float, aside: float) -> tuple[float, float]:
    """Return the point of a contour line where x1 + x2 is twice ``aside``.

    The values depend only on x1 − x2, so the diagonal represents the whole plane.
    """
    diagonal = values[::-1].diagonal()
    x = float(axis[np.abs(diagonal - level).argmin()])
    return aside + x, aside - x


LIMIT = 6.0
"""Both scores range from −LIMIT to LIMIT."""


def soft_max(scores: Tensor) -> Tensor:
    """Return the softmax (N, K) of scores (N, K) with the function that tests use.

    >>> soft_max(torch.tensor([[0.0, 0.0]]))
    tensor([[0.5000, 0.5000]])
    """
    return torch.from_numpy(ANSWERS["paper"](scores[:, :, None, None].numpy()))


def loss(scores: Tensor, labels: Tensor) -> Tensor:
    """Return the softmax cross-entropy (N,), in nats, with the loss that training uses.

    Args:
        scores: Scores, (N, K).
        labels: True classes, int64 (N,).

    >>> loss(torch.zeros(1, 2), torch.tensor([0])).exp()
    tensor([2.])
    """
    points, classes = scores.shape
    no_pictures = torch.empty(points, 3, 0, 0, dtype=torch.uint8)
    batch = MicroBatch(no_pictures, labels, torch.zeros(points, 3), 0, points, True)
    return Classification(classes).losses(scores, batch)


def first_true(scores: Tensor) -> Tensor:
    """Return the loss (N,) of scores (N, K) where the first class is the true one."""
    return loss(scores, torch.zeros(len(scores), dtype=torch.long))


def first_likely(scores: Tensor) -> Tensor:
    """Return the first component (N,) of the softmax of scores (N, K)."""
    return soft_max(scores)[:, 0]


def plane(steps: int = 241) -> tuple[Tensor, Tensor]:
    """Return a square grid of two scores.

    Returns:
        Values along each axis, float64 (steps,), and points (x1, x2), float64 (steps², 2), where x1
        varies fastest.
    """
    axis = torch.linspace(-LIMIT, LIMIT, steps, dtype=torch.float64)
    x2, x1 = torch.meshgrid(axis, axis, indexing="ij")
    return axis, torch.stack([x1.flatten(), x2.flatten()], 1)


def along(axis: Tensor) -> Tensor:
    """Return the points (N, 2) of the line x2 = 0."""
    return torch.stack([axis, torch.zeros_like(axis)], 1)
