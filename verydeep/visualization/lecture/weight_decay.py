"""Why the loss has no minimiser unless the weights are held back (section 3.1)."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import torch
from matplotlib.figure import Figure
from torch import Tensor
from torch.nn.functional import one_hot

from verydeep.visualization.lecture.softmax_loss import loss, soft_max

DECAYS = (0.0, 5e-4)
"""None, and the paper's."""


def draw_minimiser() -> Figure:
    """Draw the data, and how norm and loss go with and without weight decay."""
    points, labels = separable_points()
    # As narrow as a telephone needs it to be, so that letters can be read there.
    figure = Figure(figsize=(5.5, 10), layout="constrained")
    data, norm, loss = figure.subplots(3, 1, height_ratios=(1.1, 1, 1))
    _draw_points(data, points, labels)
    for place, decay in enumerate(DECAYS):
        seen = descend(points, labels, decay)
        name = f"weight decay {decay:g}" if decay else "no weight decay"
        look: Any = {"color": f"C{1 - place}", "ls": ("--", "-")[place], "label": name}
        steps = seen.steps[1:].numpy()
        norm.plot(steps, seen.norms[1:].numpy(), **look)
        loss.plot(steps, seen.losses[1:].numpy(), **look)
    norm.set_ylabel("norm of the weights")
    norm.set_ylim(bottom=0)
    norm.legend(loc="upper left")
    loss.set_ylabel("cross entropy (nats)")
    loss.set_yscale("log")
    for axes in (norm, loss):
        axes.set_xlabel(f"steps of gradient descent, rate {RATE:g}")
        axes.set_xscale("log")
        axes.grid(alpha=0.25)
    return figure


def _draw_points(axes: Any, points: Tensor, labels: Tensor) -> None:
    for label, marker in enumerate("os"):
        x, y = points[labels == label].T.numpy()
        axes.plot(x, y, marker, color=f"C{2 + label}", label=f"class {label + 1}", ms=7)
    axes.set(xlabel="first feature", ylabel="second feature")
    axes.set_aspect("equal", adjustable="datalim")  # as high as its neighbours
    axes.legend(loc="lower left")


MARGIN = 0.5
"""Distance of the nearest points from the line between the classes."""

RATE, STEPS = 2.0, 10_000
"""Learning rate, and updates on all points."""


@dataclass(frozen=True, slots=True)
class Descent:
    """What was seen on the way.

    Attributes:
        steps: int64 (T,), updates done.
        weights: float64 (T, 2, K).
        norms: float64 (T,), Euclidean, of the weights.
        losses: float64 (T,), softmax and cross entropy in nats, mean over the points.
    """

    steps: Tensor
    weights: Tensor
    norms: Tensor
    losses: Tensor


def separable_points(count: int = 40, seed: int = 0) -> tuple[Tensor, Tensor]:
    """Return points on both sides of a line through the origin.

    Returns:
        Points, float64 (N, 2); classes, int64 (N,).
    """
    generator = torch.Generator().manual_seed(seed)
    drawn = torch.randn(2, count, generator=generator, dtype=torch.float64)
    labels = torch.arange(count) % 2
    across, beside = torch.tensor([[0.8, 0.6], [-0.6, 0.8]], dtype=torch.float64)
    distance = (1 - 2 * labels) * (MARGIN + 0.4 * drawn[0].abs())
    return distance[:, None] * across + 0.6 * drawn[1][:, None] * beside, labels


def descend(
    points: Tensor, labels: Tensor, decay: float, *, rate: float = RATE, steps: int = STEPS
) -> Descent:
    """Follow the gradient from zero weights, and look at it at steps spread evenly in log time.

    The gradient of softmax and cross entropy in the scores is s − eᵢ: posteriors minus the true
    class.

    Args:
        points: float64 (N, 2).
        labels: int64 (N,).
        decay: Of the weights, as in stochastic gradient descent: half of it times their squared
            norm is added to the loss.
        rate: Learning rate.
        steps: Updates.
    """
    wanted = looked_at(steps)
    weights = points.new_zeros(2, 2)
    truth = one_hot(labels, 2).to(points)
    seen = [weights]
    for step in range(1, steps + 1):
        slope = points.T @ (soft_max(points @ weights) - truth) / len(points)
        weights = weights - rate * (slope + decay * weights)
        if step in wanted:
            seen.append(weights)
    return _seen(points, labels, torch.tensor(wanted), torch.stack(seen))


def looked_at(steps: int, count: int = 120) -> list[int]:
    """Return 0 and at most ``count`` numbers up to ``steps``, spread evenly in their logarithm.

    >>> looked_at(100, 3)
    [0, 1, 10, 100]
    """
    return sorted({0, *(round(steps ** (place / (count - 1))) for place in range(count))})


def _seen(points: Tensor, labels: Tensor, steps: Tensor, weights: Tensor) -> Descent:
    losses = torch.stack([loss(points @ w, labels).mean() for w in weights])
    return Descent(steps, weights, weights.flatten(1).norm(dim=1), losses)
