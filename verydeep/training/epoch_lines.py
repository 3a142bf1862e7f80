"""Lines about the epochs of a training."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from typing import Any

from verydeep.errors import plural
from verydeep.training.remedies import Remedies, is_stuck
from verydeep.training.schedule import Schedule


def ceiling(epochs: int) -> str:
    """Return the reason for an end by the recipe's number of epochs."""
    return f"the ceiling of {plural(epochs, 'epoch')}"


def epoch_line(row: Mapping[str, Any], error: str, *, best: bool) -> str:
    """Return an epoch's metrics in one line of at most 80 columns.

    >>> row = {"epoch": 2, "train_loss": 1.9254, "val_loss": 1.714, "learning_rate": 0.00493}
    >>> epoch_line({**row, "val_top1_error": 57.6}, "top1_error", best=True)
    'epoch 2: loss 1.925, val loss 1.714, val error 57.60 %, rate 0.00493 (best)'
    """
    measure = f"val error {row[f'val_{error}']:.2f} %"
    if (precision := row.get("val_mean_average_precision")) is not None:
        measure = f"val mAP {precision:.2f} %"
    return (
        f"epoch {row['epoch']}: loss {_short(row['train_loss'])}, "
        f"val loss {_short(row['val_loss'])}, {measure}, "
        f"rate {row['learning_rate']:.3g}{' (best)' if best else ''}"
    )


def _short(loss: float) -> str:
    if loss < 10:
        return f"{loss:.3f}"
    return f"{loss:.3g}" if loss < 1000 else f"{loss:.0e}"


def hint(
    history: Sequence[Mapping[str, Any]],
    classes: int | None,
    schedule: Schedule,
    remedies: Remedies,
) -> str | None:
    """Return advice if the loss has never left chance level, once; else None.

    Args:
        history: One row per epoch.
        classes: Number of classes K; None if the loss at chance level is unknown.
        schedule: Learning-rate schedule.
        remedies: Available remedies.
    """
    # With strong dropout the training loss alone may look stuck.
    losses = [min(row["train_loss"], row["val_loss"]) for row in history]
    if not classes or not is_stuck(losses, classes, schedule.warm_after()):
        return None
    chance = f"ln {classes} = {math.log(max(2, classes)):.2f}"
    return (
        f"hint: after {history[-1]['epoch']} epochs the loss is still at chance level ({chance}); "
        f"{remedies.when_stuck(schedule.highest)}"
    )
