"""Learning-rate schedules with a common interface: the paper's plateau and fixed curves."""

from __future__ import annotations

import bisect
import math
from collections.abc import Callable, Mapping, Sequence
from dataclasses import asdict, replace
from typing import Any, Protocol

from verydeep.recipe.recipe import Recipe
from verydeep.training.plateau import PlateauRule, PlateauState, advance


class Schedule(Protocol):
    """Interface of schedules: the learning rate at any time, and the end of training."""

    @property
    def highest(self) -> float:
        """The highest learning rate."""

    @property
    def drops(self) -> int:
        """Number of drops so far; 0 for a curve."""

    def rate(self, epochs_done: float) -> float:
        """Return the learning rate after this (fractional) number of epochs."""

    def warm_after(self) -> float:
        """Return the length of the warm-up, in epochs."""

    def go_on(self) -> None:
        """Continue if the schedule has ended; change nothing if training ended otherwise."""

    def end_epoch(self, value: float) -> str | None:
        """Record an epoch's validation value; return the reason if training ends, else None."""

    def state(self) -> dict[str, Any]:
        """Return the state for a checkpoint."""

    def restore(self, state: Mapping[str, Any]) -> None:
        """Restore the state from a checkpoint."""


class PlateauSchedule:
    """The paper's schedule; see :mod:`verydeep.training.plateau`."""

    def __init__(self, highest: float, factor: float, rule: PlateauRule) -> None:
        self.highest = highest
        self.factor = factor
        self.rule = rule
        self.plateau = PlateauState()

    @property
    def drops(self) -> int:
        """Number of drops so far."""
        return self.plateau.drops

    def rate(self, epochs_done: float) -> float:
        """Return the learning rate, constant between drops."""
        return self.highest / self.factor**self.plateau.drops

    def warm_after(self) -> float:
        """Return 0: the rate never rises."""
        return 0.0

    def go_on(self) -> None:
        """Restart the last plateau at the lowest rate, if it has ended."""
        if self.plateau.ended:
            self.plateau = replace(self.plateau, waited=0, ended=False)

    def end_epoch(self, value: float) -> str | None:
        """Record an epoch's validation value."""
        self.plateau = advance(self.plateau, value, self.rule)
        if not self.plateau.ended:
            return None
        return f"no improvement for {self.rule.patience} epochs after {self.drops} drops"

    def state(self) -> dict[str, Any]:
        """Return the state for a checkpoint."""
        return asdict(self.plateau)

    def restore(self, state: Mapping[str, Any]) -> None:
        """Restore the state from a checkpoint."""
        self.plateau = PlateauState(**state)


class CurveSchedule:
    """A fixed curve over a given number of epochs.

    Args:
        highest: The highest learning rate.
        epochs: Number of epochs.
        curve: Factor on the rate (0 to 1) by share of a cycle (0 to 1).
        warmup: Share of a cycle in which the rate rises.
        restarts: Epochs after which a new cycle begins (Loshchilov & Hutter 2017).
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
        """Return the learning rate on the curve."""
        cycle = min(bisect.bisect_right(self.bounds, epochs_done), len(self.bounds) - 1)
        start, end = self.bounds[cycle - 1], self.bounds[cycle]
        return self.highest * self.curve((epochs_done - start) / (end - start))

    def warm_after(self) -> float:
        """Return the length of the first warm-up, in epochs."""
        return self.warmup * self.bounds[1]

    def go_on(self) -> None:
        """Do nothing: the curve has no state."""

    def end_epoch(self, value: float) -> str | None:
        """Return None: the curve never ends training early."""
        return None

    def state(self) -> dict[str, Any]:
        """Return an empty state."""
        return {}

    def restore(self, state: Mapping[str, Any]) -> None:
        """Do nothing: the curve has no state."""


def cosine(progress: float) -> float:
    """Return half a cosine wave from 1 to 0 (Loshchilov & Hutter 2017, without restarts).

    >>> cosine(0.0), cosine(1.0)
    (1.0, 0.0)
    """
    return 0.5 * (1 + math.cos(math.pi * progress))


def polynomial(progress: float, power: float = 0.5) -> float:
    """Return (1 − progress)^power, which falls slowly at first if the power is below 1.

    >>> polynomial(0.0), polynomial(0.75), polynomial(1.0)
    (1.0, 0.5, 0.0)
    """
    return float((1 - progress) ** power)


def one_cycle(progress: float, warmup: float = 0.25) -> float:
    """Return one cycle: a warm-up, then half a cosine (Smith & Topin 2017).

    Args:
        progress: Share of the training done, 0 to 1.
        warmup: Share of the warm-up, which starts at 1/25 of the highest rate.

    >>> one_cycle(0.0), one_cycle(0.25), one_cycle(1.0)
    (0.04, 1.0, 0.0)
    """
    if progress < warmup:
        return 0.04 + 0.96 * (1 - cosine(progress / warmup))
    return cosine((progress - warmup) / (1 - warmup))


def make_schedule(recipe: Recipe) -> Schedule:
    """Return the schedule of a recipe."""
    training, plateau = recipe.training, recipe.plateau
    match training.schedule:
        case "plateau":
            rule = PlateauRule(plateau.patience, plateau.drops, plateau.min_improvement)
            return PlateauSchedule(training.learning_rate, plateau.factor, rule)
        case "cosine":
            return CurveSchedule(
                training.learning_rate, training.epochs, cosine, restarts=training.restarts
            )
        case "constant":
            return CurveSchedule(training.learning_rate, training.epochs, lambda progress: 1.0)
        case "polynomial":
            return CurveSchedule(
                training.learning_rate,
                training.epochs,
                lambda progress: polynomial(progress, training.power),
                restarts=training.restarts,
            )
        case "one-cycle":
            return CurveSchedule(
                training.learning_rate,
                training.epochs,
                lambda progress: one_cycle(progress, training.warmup),
                warmup=training.warmup,
                restarts=training.restarts,
            )
