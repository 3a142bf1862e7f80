"""Learning curves as SVG, drawn to be read in light and dark pages and without colour."""

from __future__ import annotations

import io
from collections.abc import Mapping, Sequence
from typing import Any

from matplotlib.figure import Figure

from verydeep.evaluation.titles import TITLES, error_of
from verydeep.insight.drawing import BLUE, ORANGE, plain_axes

# Dashes tell the lines apart without colour.
TRAINING, VALIDATION, GREY = BLUE, ORANGE, "#7f7f7f"

Row = Mapping[str, Any]


def learning_curves(history: Sequence[Row]) -> str:
    """Return loss, error and learning rate over the epochs as one SVG; drops are marked.

    Args:
        history: A row an epoch, as in ``log.jsonl``.
    """
    figure = Figure(figsize=(11, 3.4), layout="constrained")
    loss, error, rate = figure.subplots(1, 3)
    epochs = [row["epoch"] for row in history]
    name = error_of(history[0], "val_")
    unit = "loss (nats)" if name == "top1_error" else "loss"
    for axes, title, training, validation in (
        (loss, unit, "train_loss", "val_loss"),
        (error, f"{TITLES[name]} (%)", f"train_{name}", f"val_{name}"),
    ):
        axes.plot(epochs, [r[training] for r in history], color=TRAINING, ls="--", label="training")
        axes.plot(epochs, [r[validation] for r in history], color=VALIDATION, label="validation")
        axes.set_ylabel(title)
        axes.set_ylim(bottom=0)
        axes.legend(frameon=False, labelcolor=GREY)
    rate.plot(epochs, [row["learning_rate"] for row in history], color=GREY)
    rate.set_yscale("log")
    rate.set_ylabel("learning rate")
    for axes in (loss, error, rate):
        axes.set_xlabel("epoch")
        for epoch in _drops(history):
            axes.axvline(epoch + 0.5, color=GREY, lw=0.8, ls=":")
        _for_any_page(axes)
    return _svg(figure)


def _drops(history: Sequence[Row]) -> list[int]:
    """Return the epochs after which the rate dropped."""
    return [
        before["epoch"]
        for before, after in zip([{"drops": 0, "epoch": 0}, *history], history, strict=False)
        if after["drops"] > before["drops"]
    ]


def _for_any_page(axes: Any) -> None:
    """Use greys that stand out from white and from black alike."""
    plain_axes(axes)
    for spine in axes.spines.values():
        spine.set_color(GREY)
    axes.tick_params(colors=GREY, which="both")
    axes.xaxis.label.set_color(GREY)
    axes.yaxis.label.set_color(GREY)
    axes.xaxis.get_major_locator().set_params(integer=True)


def _svg(figure: Figure) -> str:
    buffer = io.StringIO()
    figure.savefig(buffer, format="svg", transparent=True, metadata={"Date": None})
    text = buffer.getvalue()
    return text[text.index("<svg") :]
