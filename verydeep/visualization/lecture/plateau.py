"""How the plateau schedule answers a loss that stops falling (section 3.1)."""

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
"""Gives the validation loss after an epoch at a learning rate."""


@dataclass(frozen=True, slots=True)
class Epoch:
    """One epoch.

    Attributes:
        rate: Learning rate that it was trained at.
        loss: Validation loss at its end.
        drops: Drops of the rate, the one at its end included.
    """

    rate: float
    loss: float
    drops: int


def step_response(schedule: Schedule, answer: Answer, limit: int = 500) -> list[Epoch]:
    """Run a schedule on validation losses until it ends the training, or for ``limit`` epochs."""
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
    """Return a training that is made up: the higher the rate, the higher the loss it settles at.

    Each epoch goes three tenths of the way to a level of 1 + √(rate / highest), give or take noise
    that shrinks with the rate.
    """
    generator = random.Random(seed)
    loss = 4.6  # a guess among a hundred classes, ln 100

    def answer(rate: float) -> float:
        nonlocal loss
        part = math.sqrt(rate / highest)
        loss += 0.3 * (1 + part - loss)
        return loss + generator.gauss(0, 0.06) * part

    return answer


def drop_epochs(epochs: list[Epoch]) -> list[int]:
    """Return the numbers of the epochs, counted from one, at whose end the rate dropped."""
    before = [0, *(epoch.drops for epoch in epochs)]
    return [place for place, epoch in enumerate(epochs, 1) if epoch.drops > before[place - 1]]


def lowest(losses: list[float]) -> list[bool]:
    """Return which losses are lower than all before them.

    >>> lowest([2.0, 1.0, 1.0, 0.5])
    [True, True, False, True]
    """
    return [all(loss < before for before in losses[:n]) for n, loss in enumerate(losses)]


def draw_plateau() -> Figure:
    """Draw a made-up loss, and the rate that the recipe ``paper`` answers it with."""
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
        f"the rate drops after {recipe.plateau.patience} epochs without a lower loss", loc="left"
    )
    return figure


def _draw_losses(axes: Any, epochs: list[Epoch]) -> None:
    losses = [epoch.loss for epoch in epochs]
    axes.plot(range(1, len(losses) + 1), losses, color="C0", lw=1.2)
    better = lowest(losses)
    for name, kind, fill in (
        ("lower than all before", True, "C0"),
        ("not lower", False, paper_colour()),
    ):
        numbers = [number for number, is_lowest in enumerate(better, 1) if is_lowest == kind]
        points = [losses[number - 1] for number in numbers]
        axes.plot(numbers, points, "o", color="C0", mfc=fill, ms=5, label=name)
    axes.legend(loc="lower right", bbox_to_anchor=(1.0, 0.99), ncols=2)
    axes.set_ylabel("validation loss (made up)")
    axes.set_ylim(bottom=0)


def _name_drops(axes: Any, epochs: list[Epoch]) -> None:
    """Write what happens above the lines, and when the training ends."""
    top = axes.get_ylim()[1]
    for number in drop_epochs(epochs):
        axes.text(number + 0.8, 0.97 * top, "÷10", va="top")
    axes.text(len(epochs) + 0.4, 0.97 * top, "end", va="top", ha="right")
