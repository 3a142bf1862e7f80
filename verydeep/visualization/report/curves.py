"""Learning curves: loss, error and learning rate by epoch, with marked drops of the rate."""

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
"""Ratio of the largest to the smallest drawn rate, for schedules without drops."""

APART = 12
"""Minimum distance between the numbers of two drops, in SVG units; closer ones share a label."""


@dataclass(frozen=True, slots=True)
class Drop:
    """Drop of the learning rate.

    Attributes:
        epoch: The last epoch at the old rate.
        before: The old rate.
        after: The new rate.
    """

    epoch: int
    before: float
    after: float


def drops_of(history: Sequence[Row]) -> list[Drop]:
    """Return the drops of the learning rate after the first epoch.

    Args:
        history: One row per epoch, as in ``log.jsonl``.
    """
    return [
        Drop(before["epoch"], before["learning_rate"], after["learning_rate"])
        for before, after in pairwise(history)
        if after["drops"] > before["drops"]
    ]


def learning_curves(history: Sequence[Row], best: Row, *, squared: bool = False) -> tuple[str, ...]:
    """Return loss, error and learning rate by epoch as SVGs with marked drops.

    Multi-label classifiers have a fourth, the mean average precision on the validation split.

    Args:
        history: One row per epoch, as in ``log.jsonl``, at least one.
        best: The row of the best epoch.
        squared: Whether the training loss is a squared error, which is not in nats.
    """
    name = error_of(history[0], "val_")
    unit = "loss" if squared or name == "localization_error" else "loss (nats)"
    precision = "mean_average_precision"
    ranked = f"val_{precision}" in history[0]
    return (
        _both(history, best, "loss", unit),
        _both(history, best, name, f"{TITLES[name]} (%)"),
        *([_validated(history, best, precision, "mean average precision (%)")] if ranked else []),
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
    at_best = f"{best[kinds['validation']]:.4g} at the best epoch, {best['epoch']}"
    return plot.svg(f"{title} over {len(history)} epochs: {', '.join(parts)}; {at_best}.")


def _validated(history: Sequence[Row], best: Row, name: str, title: str) -> str:
    """Return the curve of a percentage that is measured on the validation split alone."""
    key = f"val_{name}"
    plot = Plot(_epochs(history), linear(0, 100, title))
    _mark_drops(plot, history)
    plot.line([(row["epoch"], row[key]) for row in history], "validation")
    plot.ring((best["epoch"], best[key]), "validation")
    return plot.svg(
        f"{title} over {len(history)} epochs: validation from {history[0][key]:.4g} to "
        f"{history[-1][key]:.4g}; {best[key]:.4g} at the best epoch, {best['epoch']}."
    )


def _rate(history: Sequence[Row]) -> str:
    rates = [row["learning_rate"] for row in history]
    positive = [rate for rate in finite(rates) if rate > 0] or [1.0]
    drops = drops_of(history)
    # A cosine cycle ends near 0, which would squeeze the rest of the logarithmic axis.
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
    """Draw a numbered line at every drop; numbers that would overlap share a label."""
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
