"""Views of a test protocol, drawn on the image."""

from __future__ import annotations

from collections import defaultdict
from typing import Any

from matplotlib.figure import Figure

from verydeep.data.geometry import View, Window
from verydeep.evaluation.walkthrough import Explanation, Stage
from verydeep.visualization.plots.style import BLUE, ORANGE, outline

SIDE = 4.2
"""Side of a panel, in inches."""


def draw_views(explanation: Explanation) -> Figure:
    """Draw the views of the nets: one row per kind of view, one column per scale.

    A crop is drawn as an outline with its centre: bold for the first crop, dashed for resized ones.
    A dense view is drawn as the centres of all output positions and the first window. Mirrored
    views coincide with the originals.
    """
    rows: dict[tuple[int, str], list[Stage]] = defaultdict(list)
    for stage in explanation.stages:
        rows[stage.net, stage.kind].append(stage)
    columns = max(len(stages) for stages in rows.values())
    height, width, _ = explanation.stages[0].pixels.shape
    size = (SIDE * columns, len(rows) * (SIDE * min(height / width, 3) + 0.6))
    figure = Figure(figsize=size, layout="constrained")
    panels = figure.subplots(len(rows), columns, squeeze=False)
    for line, stages in zip(panels, rows.values(), strict=True):
        for axes in line[len(stages) :]:
            axes.set_axis_off()
        for axes, stage in zip(line, stages, strict=False):
            _draw_stage(axes, stage)
    return figure


def _draw_stage(axes: Any, stage: Stage) -> None:
    height, width, _ = stage.pixels.shape
    axes.imshow(stage.pixels, extent=(0, width, height, 0), alpha=0.65)
    axes.set_title(
        f"net {stage.net + 1} ({stage.model}), {stage.kind}, Q = {stage.scale}: {width}x{height}",
        fontsize=9,
    )
    axes.set(xlim=(0, width), ylim=(height, 0))
    axes.tick_params(labelsize=7)
    axes.set_xlabel("pixels", fontsize=7)
    if stage.kind == "dense":
        _draw_positions(axes, stage)
        return
    views = dict.fromkeys(glance.view._replace(flip=False) for glance in stage.glances)
    for index, view in enumerate(views):
        _draw_crop(axes, view, bold=index == 0)


def _draw_crop(axes: Any, view: View, *, bold: bool) -> None:
    colour = ORANGE if view.side else BLUE
    top, left, height, width = view.window
    line, alpha = (2.6, 1.0) if bold else (1.0, 0.7)
    look: Any = {"ls": "--" if view.side else "-", "alpha": alpha, "clip_on": False}
    outline(axes, view.window.corners, colour, line, halo=False, **look)
    _draw_point(axes, left + width / 2, top + height / 2, colour)


def _draw_positions(axes: Any, stage: Stage) -> None:
    """Draw the centres of the score map's windows, which are one stride apart."""
    if not stage.slides:
        _draw_crop(axes, stage.glances[0].view, bold=True)
        return
    (h, w), size = stage.glances[0].map_size, stage.input_size
    step = stage.stride
    for row in range(h):
        for column in range(w):
            _draw_point(axes, column * step + size / 2, row * step + size / 2, BLUE)
    _draw_crop(axes, View(Window(0, 0, size, size)), bold=True)


def _draw_point(axes: Any, x: float, y: float, colour: str) -> None:
    axes.plot(x, y, "o", color=colour, markersize=5, markeredgecolor="white", markeredgewidth=0.9)
