"""Response of the plateau schedule to a stagnating validation loss (section 3.1)."""

from __future__ import annotations

import math
import random
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

from matplotlib.figure import Figure

from verydeep.recipe.recipe import load_recipe
from verydeep.training.schedule import Schedule, make_schedule
from verydeep.visualization.lecture.theme import paper_colour, soft_colour

Answer = Callable[[float], float]
"""Returns the validation loss after an epoch at a learning rate."""


@dataclass(frozen=True, slots=True)
class Epoch:
    """One epoch.

    Attributes:
        rate: Learning rate of the epoch.
        loss: Validation loss at its end.
        drops: Number of drops so far, including one at its end.
    """

    rate: float
    loss: float
    drops: int


def step_response(schedule: Schedule, answer: Answer, limit: int = 500) -> list[Epoch]:
    """Run a schedule until it ends training, for at most ``limit`` epochs."""
    epochs: list[Epoch] = []
    while len(epochs) < limit:
        rate = schedule.rate(len(epochs))
        loss = answer(rate)
        over = schedule.end_epoch(loss)
        epochs.append(Epoch(rate, loss, schedule.drops))
        if over:
            break
    return epochs


def made_up_losses(highest: float, seed: int = 0) -> Answer:
    """Return a simulated training, which settles at a higher loss for a higher rate.

    Each epoch covers 30 % of the distance to 1 + √(rate / highest), with noise that shrinks with
    the rate.
    """
    generator = random.Random(seed)
    loss = 4.6  # chance level of a hundred classes, ln 100

    def answer(rate: float) -> float:
        nonlocal loss
        part = math.sqrt(rate / highest)
        loss += 0.3 * (1 + part - loss)
        return loss + generator.gauss(0, 0.06) * part

    return answer


def drop_epochs(epochs: list[Epoch]) -> list[int]:
    """Return the epochs, counted from 1, at whose end the rate dropped."""
    before = [0, *(epoch.drops for epoch in epochs)]
    return [number for number, epoch in enumerate(epochs, 1) if epoch.drops > before[number - 1]]


def lowest(losses: list[float]) -> list[bool]:
    """Return for each loss whether it is lower than all previous ones.

    >>> lowest([2.0, 1.0, 1.0, 0.5])
    [True, True, False, True]
    """
    return [all(loss < before for before in losses[:n]) for n, loss in enumerate(losses)]


def draw_plateau() -> Figure:
    """Draw a simulated loss and the learning rates that the recipe ``paper`` derives from it."""
    recipe = load_recipe("paper")
    answer = made_up_losses(recipe.training.learning_rate)
    epochs = step_response(make_schedule(recipe), answer)
    figure = Figure(figsize=(10, 6), layout="constrained")
    upper, lower = figure.subplots(2, height_ratios=(1.4, 1), sharex=True)
    _draw_losses(upper, epochs)
    edges = [number - 0.5 for number in range(1, len(epochs) + 2)]
    lower.stairs([epoch.rate for epoch in epochs], edges, color="C1", lw=2, baseline=None)
    lower.set(xlabel="epoch", ylabel="learning rate", yscale="log", xlim=(0, len(epochs) + 1))
    for axes in (upper, lower):
        for number in drop_epochs(epochs):
            axes.axvline(number + 0.5, color=soft_colour(), lw=1.2, ls=":")
    _name_drops(upper, epochs)
    upper.set_title(
        f"the rate drops after {recipe.plateau.patience} epochs without improvement", loc="left"
    )
    return figure


def _draw_losses(axes: Any, epochs: list[Epoch]) -> None:
    losses = [epoch.loss for epoch in epochs]
    axes.plot(range(1, len(losses) + 1), losses, color="C0", lw=1.2)
    better = lowest(losses)
    for name, kind, fill in (
        ("new minimum", True, "C0"),
        ("no improvement", False, paper_colour()),
    ):
        numbers = [number for number, is_lowest in enumerate(better, 1) if is_lowest == kind]
        points = [losses[number - 1] for number in numbers]
        axes.plot(numbers, points, "o", color="C0", mfc=fill, ms=5, label=name)
    axes.legend(loc="lower right", bbox_to_anchor=(1.0, 0.99), ncols=2)
    axes.set_ylabel("validation loss (simulated)")
    axes.set_ylim(bottom=0)


def _name_drops(axes: Any, epochs: list[Epoch]) -> None:
    """Label the drops and the end of training."""
    top = axes.get_ylim()[1]
    for number in drop_epochs(epochs):
        axes.text(number + 0.8, 0.97 * top, "÷10", va="top")
    axes.text(len(epochs) + 0.4, 0.97 * top, "end", va="top", ha="right")
