"""The paper's learning-rate schedule as a state machine (section 3.1).

The rate is divided by ten whenever the validation error stops improving. After three drops,
training continues at the lowest rate until improvement stops again.
"""

from __future__ import annotations

import math
from dataclasses import dataclass, replace


@dataclass(frozen=True, slots=True)
class PlateauRule:
    """Parameters of the schedule.

    Attributes:
        patience: Epochs without improvement before a drop (not published; our choice).
        drops: Number of drops; the plateau after the last one ends training.
        min_improvement: Minimum decrease that counts as an improvement (exclusive).
    """

    patience: int = 5
    drops: int = 3
    min_improvement: float = 0.0


@dataclass(frozen=True, slots=True)
class PlateauState:
    """State of the schedule.

    Attributes:
        best: Lowest value so far (validation loss or error).
        waited: Epochs since the last improvement or drop.
        drops: Drops so far.
        ended: Whether training is over.
    """

    best: float = math.inf
    waited: int = 0
    drops: int = 0
    ended: bool = False


def advance(state: PlateauState, value: float, rule: PlateauRule) -> PlateauState:
    """Return the state after an epoch with this validation value; lower is better.

    >>> rule = PlateauRule(patience=2, drops=1)
    >>> state = PlateauState()
    >>> for loss in (1.0, 0.9, 0.9, 0.9):
    ...     state = advance(state, loss, rule)
    >>> state
    PlateauState(best=0.9, waited=0, drops=1, ended=False)
    >>> for loss in (0.9, 0.9):
    ...     state = advance(state, loss, rule)
    >>> state.ended
    True
    """
    if value < state.best - rule.min_improvement:
        return replace(state, best=value, waited=0)
    if state.waited + 1 < rule.patience:
        return replace(state, waited=state.waited + 1)
    if state.drops < rule.drops:
        return replace(state, waited=0, drops=state.drops + 1)
    return replace(state, waited=state.waited + 1, ended=True)
