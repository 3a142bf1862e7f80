"""Learning curves: loss, error and learning rate over the epochs, with the drops of the rate."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from itertools import pairwise
from typing import Any

from verydeep.evaluation.metrics import TITLES, error_of
from verydeep.visualization.plots.svg import (
    LEFT,
    RIGHT,
    WIDTH,
    Axis,
    Plot,
    finite,
    linear,
    logarithmic,
)

Row = Mapping[str, Any]

RANGE = 1000
"""The largest rate over the smallest that is drawn in its place, unless the rate drops to it."""

APART = 12
"""Units between the numbers of two drops, at least; closer ones share a label."""


@dataclass(frozen=True, slots=True)
class Drop:
    """The learning rate became smaller.

    Attributes:
        epoch: The last one at the rate before.
        before: The rate until then.
        after: The rate from then on.
    """

    epoch: int
    before: float
    after: float


def drops_of(history: Sequence[Row]) -> list[Drop]:
    """Return the drops of the learning rate; a drop before the first epoch ended is none.

    Args:
        history: A row an epoch, as in ``log.jsonl``.
    """
    return [
        Drop(before["epoch"], before["learning_rate"], after["learning_rate"])
        for before, after in pairwise(history)
        if after["drops"] > before["drops"]
    ]


def learning_curves(history: Sequence[Row], best: Row) -> tuple[str, ...]:
    """Return loss, error and learning rate over the epochs as three SVGs; drops are marked.

    Args:
        history: A row an epoch, as in ``log.jsonl``, at least one.
        best: The row of the epoch whose model was kept.
    """
    name = error_of(history[0], "val_")
    unit = "loss (nats)" if name == "top1_error" else "loss"
    return (
        _both(history, best, "loss", unit),
        _both(history, best, name, f"{TITLES[name]} (%)"),
        _rate(history),
    )


def _epochs(history: Sequence[Row]) -> Axis:
    return linear(history[0]["epoch"], history[-1]["epoch"], "epoch", whole=True, most=6)


def _both(history: Sequence[Row], best: Row, name: str, title: str) -> str:
    kinds = {"training": f"train_{name}", "validation": f"val_{name}"}
    values = finite([row[key] for row in history for key in kinds.values()])
    plot = Plot(_epochs(history), linear(0, max(values, default=1.0), title))
    _mark_drops(plot, history)
    for kind, key in kinds.items():
        plot.line([(row["epoch"], row[key]) for row in history], kind)
    plot.ring((best["epoch"], best[kinds["validation"]]), "validation")
    first, last = history[0], history[-1]
    parts = (f"{kind} from {first[key]:.4g} to {last[key]:.4g}" for kind, key in kinds.items())
    there = f"{best[kinds['validation']]:.4g} at the best epoch, {best['epoch']}"
    return plot.svg(f"{title} over {len(history)} epochs: {', '.join(parts)}; {there}.")


def _rate(history: Sequence[Row]) -> str:
    rates = [row["learning_rate"] for row in history]
    positive = [rate for rate in finite(rates) if rate > 0] or [1.0]
    drops = drops_of(history)
    # A cycle ends at next to nothing, which would leave no room for all else.
    low = min(positive) if drops else max(min(positive), max(positive) / RANGE)
    plot = Plot(_epochs(history), logarithmic(low, max(positive), "learning rate"))
    _mark_drops(plot, history)
    shown = [
        (row["epoch"], rate and max(rate, low)) for row, rate in zip(history, rates, strict=True)
    ]
    plot.line(shown, "rate")
    count = f"{len(drops)} drop" + ("" if len(drops) == 1 else "s")
    return plot.svg(
        f"Learning rate over {len(history)} epochs: from {min(positive):.3g} to "
        f"{max(positive):.3g}, {count}."
    )


def _mark_drops(plot: Plot, history: Sequence[Row]) -> None:
    """Draw a line at every drop, with its number above; numbers that would touch are joined."""
    groups: list[list[int]] = []
    drops = drops_of(history)
    unit = (WIDTH - LEFT - RIGHT) / (plot.x.high - plot.x.low)
    for number, drop in enumerate(drops, start=1):
        near = groups and (drop.epoch - drops[groups[-1][-1] - 1].epoch) * unit < APART
        if near:
            groups[-1].append(number)
        else:
            groups.append([number])
    labels = {
        group[0]: str(group[0]) if len(group) == 1 else f"{group[0]}–{group[-1]}"
        for group in groups
    }
    for number, drop in enumerate(drops, start=1):
        plot.upright(drop.epoch + 0.5, "drop", labels.get(number, ""))
