"""Why the loss has no minimiser unless the weights are held back (section 3.1)."""

from __future__ import annotations

from typing import Any

from matplotlib.figure import Figure
from torch import Tensor

from verydeep.insight.figures.descent import RATE, descend, separable_points

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
