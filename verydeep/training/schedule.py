"""Learning-rate schedules behind one small interface: the paper's plateau, and two fixed curves."""

from __future__ import annotations

import bisect
import math
from collections.abc import Callable, Mapping, Sequence
from dataclasses import asdict, replace
from typing import Any, Protocol

from verydeep.recipe.recipe import Recipe
from verydeep.training.plateau import PlateauRule, PlateauState, advance


class Schedule(Protocol):
    """Says the learning rate at every moment of a training, and when it is over."""

    @property
    def highest(self) -> float:
        """The highest learning rate."""

    @property
    def drops(self) -> int:
        """Drops of the rate so far; 0 for a curve."""

    def rate(self, epochs_done: float) -> float:
        """Return the learning rate after so many epochs; a fraction counts the updates."""

    def warm_after(self) -> float:
        """Return the epochs after which the rate rises no more."""

    def go_on(self) -> None:
        """Train on although the schedule had ended."""

    def end_epoch(self, value: float) -> str | None:
        """Take note of an epoch's validation value; return why training is over, or None."""

    def state(self) -> dict[str, Any]:
        """Return what a checkpoint must hold."""

    def restore(self, state: Mapping[str, Any]) -> None:
        """Go on from a checkpoint."""


class PlateauSchedule:
    """The paper's: see :mod:`verydeep.training.plateau`."""

    def __init__(self, highest: float, factor: float, rule: PlateauRule) -> None:
        self.highest = highest
        self.factor = factor
        self.rule = rule
        self.plateau = PlateauState()

    @property
    def drops(self) -> int:
        """Drops of the rate so far."""
        return self.plateau.drops

    def rate(self, epochs_done: float) -> float:
        """Return the learning rate, constant between drops."""
        return self.highest / self.factor**self.plateau.drops

    def warm_after(self) -> float:
        """Return 0: the rate never rises."""
        return 0.0

    def go_on(self) -> None:
        """Wait for the end of the last plateau anew, at the lowest rate."""
        self.plateau = replace(self.plateau, waited=0, ended=False)

    def end_epoch(self, value: float) -> str | None:
        """Take note of an epoch's validation value."""
        self.plateau = advance(self.plateau, value, self.rule)
        if not self.plateau.ended:
            return None
        return f"no improvement for {self.rule.patience} epochs after {self.drops} drops"

    def state(self) -> dict[str, Any]:
        """Return what a checkpoint must hold."""
        return asdict(self.plateau)

    def restore(self, state: Mapping[str, Any]) -> None:
        """Go on from a checkpoint."""
        self.plateau = PlateauState(**state)


class CurveSchedule:
    """A curve over a number of epochs that is known beforehand; it never ends early.

    Args:
        highest: The highest learning rate.
        epochs: After which training ends.
        curve: Factor on the rate (0 to 1) at each part of a cycle (0 to 1).
        warmup: Part of a cycle in which the curve rises.
        restarts: Epochs after which the curve begins again (Loshchilov & Hutter 2017); the cycles
            are as long as these are apart.
    """

    drops = 0

    def __init__(
        self,
        highest: float,
        epochs: int,
        curve: Callable[[float], float],
        *,
        warmup: float = 0.0,
        restarts: Sequence[int] = (),
    ) -> None:
        self.highest = highest
        self.curve = curve
        self.warmup = warmup
        self.bounds = (0, *restarts, epochs)

    def rate(self, epochs_done: float) -> float:
        """Return the learning rate at this point of the curve."""
        cycle = min(bisect.bisect_right(self.bounds, epochs_done), len(self.bounds) - 1)
        start, end = self.bounds[cycle - 1], self.bounds[cycle]
        return self.highest * self.curve((epochs_done - start) / (end - start))

    def warm_after(self) -> float:
        """Return the epochs after which the first cycle falls."""
        return self.warmup * self.bounds[1]

    def go_on(self) -> None:
        """Take nothing: the curve follows from the epoch."""

    def end_epoch(self, value: float) -> str | None:
        """Go on until the epochs are over."""
        return None

    def state(self) -> dict[str, Any]:
        """Return nothing: the curve follows from the epoch."""
        return {}

    def restore(self, state: Mapping[str, Any]) -> None:
        """Take nothing."""


def cosine(progress: float) -> float:
    """Return half a cosine wave, from 1 to 0 (Loshchilov & Hutter 2017, without restarts).

    >>> cosine(0.0), cosine(1.0)
    (1.0, 0.0)
    """
    return 0.5 * (1 + math.cos(math.pi * progress))


def one_cycle(progress: float, warmup: float = 0.25) -> float:
    """Return one cycle: a rise in the first part, then half a cosine (Smith & Topin 2017).

    Args:
        progress: Part of the training done, 0 to 1.
        warmup: Part of it that rises, from a 25th of the highest rate.

    >>> one_cycle(0.0), one_cycle(0.25), one_cycle(1.0)
    (0.04, 1.0, 0.0)
    """
    if progress < warmup:
        return 0.04 + 0.96 * (1 - cosine(progress / warmup))
    return cosine((progress - warmup) / (1 - warmup))


def make_schedule(recipe: Recipe) -> Schedule:
    """Return the schedule that a recipe asks for."""
    training, plateau = recipe.training, recipe.plateau
    match training.schedule:
        case "plateau":
            rule = PlateauRule(plateau.patience, plateau.drops, plateau.min_improvement)
            return PlateauSchedule(training.learning_rate, plateau.factor, rule)
        case "cosine":
            return CurveSchedule(
                training.learning_rate, training.epochs, cosine, restarts=training.restarts
            )
        case "one-cycle":
            return CurveSchedule(
                training.learning_rate,
                training.epochs,
                lambda progress: one_cycle(progress, training.warmup),
                warmup=training.warmup,
                restarts=training.restarts,
            )
