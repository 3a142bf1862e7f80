"""Hints for failing training runs, limited to remedies available in the run."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass

from verydeep.system.option_names import option, placeholder, setting

STUCK_EPOCHS = 3
"""Epochs at chance level after the warm-up before a hint is given."""

NEAR = 0.03
"""Relative distance from the loss at chance level that still counts as chance."""


@dataclass(frozen=True, slots=True)
class Remedies:
    """Remedies available in a run.

    Attributes:
        shallower: Whether layers of a shallower net could be copied.
        batch_norm: Whether batch normalisation could be turned on.
        fp32: Whether the run could switch from bfloat16 to float32.
    """

    shallower: bool = True
    batch_norm: bool = True
    fp32: bool = True

    def when_stuck(self, rate: float) -> str:
        """Return suggestions for a loss at chance level.

        >>> Remedies(shallower=False, batch_norm=False).when_stuck(0.05)
        'try a lower rate (training__learning_rate=0.005) or a longer training (epochs=)'
        """
        longer = f"a longer training ({option('epochs')})"
        return "try " + _either([_lower(rate), *self._others(), longer])

    def when_not_finite(self, rate: float) -> str:
        """Return suggestions for an infinite loss or infinite weights.

        >>> Remedies(shallower=False, batch_norm=False).when_not_finite(1.0)
        "Try a lower rate (training__learning_rate=0.1) or precision='fp32'"
        """
        last = [option("precision", "fp32")] if self.fp32 else []
        return "Try " + _either([_lower(rate), *self._others(), *last])

    def _others(self) -> list[str]:
        given = option("init_from", placeholder("RUN"))
        shallower = [f"initialisation from a shallower net ({given})"] if self.shallower else []
        norm = [f"batch normalisation ({setting('net.norm', 'batch')})"] if self.batch_norm else []
        return [*shallower, *norm]


def _lower(rate: float) -> str:
    lower = float(f"{rate / 10:g}")
    return f"a lower rate ({setting('training.learning_rate', lower)})"


def _either(ways: Sequence[str]) -> str:
    return " or ".join(filter(None, [", ".join(ways[:-1]), ways[-1]]))


def is_stuck(losses: Sequence[float], classes: int, warm_after: float) -> bool:
    """Return whether to give a hint: the loss has never left chance level (ln K).

    The hint is given once, :data:`STUCK_EPOCHS` whole epochs after the warm-up.

    Args:
        losses: Mean loss of every epoch, the lower of training and validation.
        classes: Number of classes K.
        warm_after: Length of the warm-up, in epochs.

    >>> is_stuck([1.10, 1.09, 1.10], 3, 0.0), is_stuck([1.10, 1.09, 1.10], 3, 1.0)
    (True, False)
    >>> is_stuck([1.10, 1.09, 0.9], 3, 0.0)
    False
    """
    if len(losses) != math.ceil(warm_after) + STUCK_EPOCHS:
        return False
    chance = math.log(max(2, classes))
    return abs(min(losses) - chance) < NEAR * chance and losses[-1] < 2 * chance
