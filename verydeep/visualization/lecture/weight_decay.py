"""Existence of a minimiser of the loss with and without weight decay (section 3.1)."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import torch
from matplotlib.figure import Figure
from torch import Tensor
from torch.nn.functional import one_hot

from verydeep.visualization.lecture.softmax_loss import loss, soft_max

DECAYS = (0.0, 5e-4)
"""No weight decay, and the paper's."""


def draw_minimiser() -> Figure:
    """Draw the data, and norm and loss by step with and without weight decay."""
    points, labels = separable_points()
    # Narrow, so that text is legible on a phone.
    figure = Figure(figsize=(5.5, 10), layout="constrained")
    data, norm, loss = figure.subplots(3, 1, height_ratios=(1.1, 1, 1))
    _draw_points(data, points, labels)
    for decay, colour, style in zip(DECAYS, ("C1", "C0"), ("--", "-"), strict=True):
        descent = descend(points, labels, decay)
        name = f"weight decay {decay:g}" if decay else "no weight decay"
        look: Any = {"color": colour, "ls": style, "label": name}
        steps = descent.steps[1:].numpy()
        norm.plot(steps, descent.norms[1:].numpy(), **look)
        loss.plot(steps, descent.losses[1:].numpy(), **look)
    norm.set_ylabel("norm of the weights")
    norm.set_ylim(bottom=0)
    norm.legend(loc="upper left")
    loss.set_ylabel("cross-entropy (nats)")
    loss.set_yscale("log")
    for axes in (norm, loss):
        axes.set_xlabel(f"gradient descent steps (learning rate {RATE:g})")
        axes.set_xscale("log")
        axes.grid(alpha=0.25)
    return figure


def _draw_points(axes: Any, points: Tensor, labels: Tensor) -> None:
    for label, marker in enumerate("os"):
        x, y = points[labels == label].T.numpy()
        axes.plot(x, y, marker, color=f"C{2 + label}", label=f"class {label + 1}", ms=7)
    axes.set(xlabel="first feature", ylabel="second feature")
    axes.set_aspect("equal", adjustable="datalim")  # same height as its neighbours
    axes.legend(loc="lower left")


MARGIN = 0.5
"""Minimum distance of the points from the line between the classes."""

RATE, STEPS = 2.0, 10_000
"""Learning rate, and number of full-batch updates."""


@dataclass(frozen=True, slots=True)
class Descent:
    """Course of a gradient descent.

    Attributes:
        steps: Number of updates, int64 (T,).
        weights: Weights, float64 (T, 2, K).
        norms: Euclidean norms of the weights, float64 (T,).
        losses: Mean softmax cross-entropy in nats, float64 (T,).
    """

    steps: Tensor
    weights: Tensor
    norms: Tensor
    losses: Tensor


def separable_points(count: int = 40, seed: int = 0) -> tuple[Tensor, Tensor]:
    """Return points on two sides of a line through the origin.

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
    """Run gradient descent from zero weights and record it at logarithmically spaced steps.

    The gradient of softmax cross-entropy in the scores is s − eᵢ: posteriors minus one-hot label.

    Args:
        points: Points, float64 (N, 2).
        labels: Classes, int64 (N,).
        decay: Weight decay: half of it times the squared norm of the weights is added to the loss.
        rate: Learning rate.
        steps: Number of updates.
    """
    recorded = log_spaced_steps(steps)
    weights = points.new_zeros(2, 2)
    truth = one_hot(labels, 2).to(points)
    course = [weights]
    for step in range(1, steps + 1):
        gradient = points.T @ (soft_max(points @ weights) - truth) / len(points)
        weights = weights - rate * (gradient + decay * weights)
        if step in recorded:
            course.append(weights)
    losses = torch.stack([loss(points @ weights, labels).mean() for weights in course])
    all_weights = torch.stack(course)
    return Descent(torch.tensor(recorded), all_weights, all_weights.flatten(1).norm(dim=1), losses)


def log_spaced_steps(steps: int, count: int = 120) -> list[int]:
    """Return 0 and at most ``count`` logarithmically spaced integers from 1 to ``steps``.

    >>> log_spaced_steps(100, 3)
    [0, 1, 10, 100]
    """
    return sorted({0, *(round(steps ** (index / (count - 1))) for index in range(count))})
