"""Plots of localization results: best and worst boxes, and merging step by step."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

import numpy as np
from matplotlib.figure import Figure
from PIL import Image

from verydeep.localization.merge import Merged
from verydeep.localization.result import LocatedSample
from verydeep.visualization.plots.boxes import Mark, draw_boxes, reduced, true_mark
from verydeep.visualization.plots.fonts import name_or_number
from verydeep.visualization.plots.style import BLUE, ORANGE, number, outline, shortened

SIDE = 2.3
"""Side of a panel, in inches."""

MOST_PIXELS = 700
"""Limit for the longer side of an image in a panel, which bounds memory use."""

LONGEST_NAME = 26
"""Maximum length of a class name above a panel, in characters."""


def draw_gallery(
    answers: Sequence[LocatedSample],
    read: Callable[[LocatedSample], Image.Image],
    title: Callable[[int], str],
    *,
    count: int = 12,
    columns: int = 6,
) -> Figure:
    """Draw the images with the best and with the worst boxes of the true class.

    True boxes are green and dashed, predicted boxes orange. ``no. 3`` replaces the name of the
    third class if no font covers it.

    Args:
        answers: Results by image.
        read: Returns the image of a result, mode RGB.
        title: Returns the name of a class.
        count: Maximum number of best and of worst images; the two groups do not overlap.
        columns: Images per row.
    """
    ranked = sorted(answers, key=lambda answer: -answer.overlap)
    count = min(count, max(1, len(ranked) // 2))
    groups = {"best": ranked[:count], "worst": ranked[count:][-count:][::-1]}
    rows = [-(-len(group) // columns) for group in groups.values()]
    size = (columns * SIDE, sum(rows) * (SIDE + 0.45) + 0.8)
    figure = Figure(figsize=size, layout="constrained")
    parts: Any = figure.subfigures(2, 1, height_ratios=[max(1, row) for row in rows])
    for part, (name, group), row in zip(parts, groups.items(), rows, strict=True):
        part.suptitle(f"{name} {len(group)} by overlap (IoU) with a true box", fontsize=11)
        panels = part.subplots(max(1, row), columns, squeeze=False).ravel()
        for axes in panels:
            axes.set_axis_off()
        for axes, answer in zip(panels, group, strict=False):
            _draw_answer(axes, answer, read(answer), title(answer.label))
    return figure


def answer_marks(answer: LocatedSample) -> list[Mark]:
    """Return the true boxes and the predicted box of the true class in their styles."""
    given = answer.located.given
    predicted = [Mark(given.box, f"{answer.overlap:.2f}")] if given and given.box else []
    return [*map(true_mark, answer.boxes), *predicted]


def _draw_answer(axes: Any, answer: LocatedSample, image: Image.Image, name: str) -> None:
    drawn = draw_boxes(*reduced(image, answer_marks(answer), MOST_PIXELS))
    axes.imshow(np.asarray(drawn))
    short = shortened(name_or_number(name, answer.label + 1), LONGEST_NAME)
    missing = ", no box" if answer.located.given and answer.located.given.box is None else ""
    axes.set_title(f"{short}\nIoU {answer.overlap:.2f}{missing}", fontsize=8, parse_math=False)


def draw_merging(
    image: Image.Image, steps: Sequence[Merged], *, panels: int = 6, column: int | None = None
) -> Figure:
    """Draw evenly spaced steps of box merging, including the first and the last.

    The two boxes to be merged next are blue; in the last step the box with the highest score is
    orange. Thicker lines mean higher scores.

    Args:
        image: The image, mode RGB.
        steps: At least one step from :func:`verydeep.localization.merge.merge_steps`.
        panels: Maximum number of steps to draw.
        column: Class whose scores count, if there are several.
    """
    chosen = np.unique(np.linspace(0, len(steps) - 1, min(panels, len(steps))).round().astype(int))
    columns = min(3, len(chosen))
    rows = -(-len(chosen) // columns)
    ratio = min(2.0, max(0.5, image.height / image.width))
    figure = Figure(figsize=(columns * 3.4, rows * (3.4 * ratio + 0.5)), layout="constrained")
    places = figure.subplots(rows, columns, squeeze=False).ravel()
    for axes in places:
        axes.set_axis_off()
    for axes, index in zip(places, chosen, strict=False):
        _draw_step(axes, image, steps[index], int(index), column)
    return figure


def _draw_step(axes: Any, image: Image.Image, step: Merged, index: int, column: int | None) -> None:
    scores = step.scores if step.scores.dim() == 1 else step.scores[:, column or 0]
    extent = (0, image.width, image.height, 0)
    small, _ = reduced(image, [], MOST_PIXELS)
    axes.imshow(np.asarray(small), extent=extent, alpha=0.75, interpolation="bicubic")
    axes.set(xlim=(0, image.width), ylim=(image.height, 0))
    most = max(float(scores.max()), 1e-12) if len(scores) else 1.0
    best = int(scores.argmax()) if len(scores) and step.pair is None else None
    order = sorted(range(len(scores)), key=lambda row: (row in (step.pair or (best,)), scores[row]))
    for row in order:
        special = ORANGE if row == best else BLUE if row in (step.pair or ()) else None
        strength = float(scores[row]) / most
        outline(
            axes,
            step.boxes[row].tolist(),
            special or "white",
            2.4 if special else 0.8 + strength,
            alpha=1.0 if special else 0.35 + 0.5 * strength,
        )
    merges = f"{index} merge" + ("" if index == 1 else "s")
    boxes = f"{len(scores)} box" + ("" if len(scores) == 1 else "es")
    match = "end" if step.match is None else f"next match {number(step.match, '.2f')}"
    axes.set_title(f"after {merges}: {boxes}, {match}", fontsize=9)
