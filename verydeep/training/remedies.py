"""Hints for a training that goes wrong: only what is true of the run at hand."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass

from verydeep.system.option_names import option, placeholder, setting

STUCK_EPOCHS = 3
"""Epochs at chance level, after the warm-up, before a hint is due."""

NEAR = 0.03
"""Distance from the loss of chance that still counts as chance, relative."""


@dataclass(frozen=True, slots=True)
class Remedies:
    """What the person training could still change.

    Attributes:
        shallower: There is a shallower net, and the run did not begin with one's layers.
        batch_norm: Batch normalisation is off.
        fp32: The run multiplies in bfloat16.
    """

    shallower: bool = True
    batch_norm: bool = True
    fp32: bool = True

    def when_stuck(self, rate: float) -> str:
        """Return what to try when nothing is learned.

        >>> Remedies(shallower=False, batch_norm=False).when_stuck(0.05)
        'try a lower rate (training__learning_rate=0.005) or a longer training (epochs=)'
        """
        longer = f"a longer training ({option('epochs')})"
        return "try " + _either([_lower(rate), *self._others(), longer])

    def when_not_finite(self, rate: float) -> str:
        """Return what to try when the loss or the weights became infinite.

        >>> Remedies(shallower=False, batch_norm=False).when_not_finite(1.0)
        "Try a lower rate (training__learning_rate=0.1) or precision='fp32'"
        """
        last = [option("precision", "fp32")] if self.fp32 else []
        return "Try " + _either([_lower(rate), *self._others(), *last])

    def _others(self) -> list[str]:
        given = option("init_from", placeholder("RUN"))
        shallower = [f"a start from a shallower net ({given})"] if self.shallower else []
        norm = [f"batch normalisation ({setting('net.norm', 'batch')})"] if self.batch_norm else []
        return [*shallower, *norm]


def _lower(rate: float) -> str:
    lower = float(f"{rate / 10:g}")
    return f"a lower rate ({setting('training.learning_rate', lower)})"


def _either(ways: Sequence[str]) -> str:
    return " or ".join(filter(None, [", ".join(ways[:-1]), ways[-1]]))


def is_stuck(losses: Sequence[float], classes: int, warm_after: float) -> bool:
    """Return whether a hint is due now: the loss has been at chance level (ln K) all the time.

    It is due once, after :data:`STUCK_EPOCHS` whole epochs without warm-up.

    Args:
        losses: Mean loss of every epoch so far, the lower of training and validation.
        classes: K.
        warm_after: Epochs in which the learning rate rises, before it is at its highest.

    >>> is_stuck([1.10, 1.09, 1.10], 3, 0.0), is_stuck([1.10, 1.09, 1.10], 3, 1.0)
    (True, False)
    >>> is_stuck([1.10, 1.09, 0.9], 3, 0.0)
    False
    """
    if len(losses) != math.ceil(warm_after) + STUCK_EPOCHS:
        return False
    chance = math.log(max(2, classes))
    return abs(min(losses) - chance) < NEAR * chance and losses[-1] < 2 * chance
