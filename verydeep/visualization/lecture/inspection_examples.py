"""A net that knows stripes, looked into: its maps, and the pixels that a score hangs on."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from matplotlib.figure import Figure
from matplotlib.patches import Rectangle
from torch import Tensor

from verydeep.data.geometry import Box
from verydeep.inspection.activations import activations
from verydeep.inspection.attribution import (
    grad_cam,
    guided_backpropagation,
    occlusion,
    saliency,
)
from verydeep.inspection.subject import Subject
from verydeep.models.classifier import Classifier
from verydeep.visualization.lecture.stripe_task import standing, stripe_net, with_random_classifier

LAYERS = ("relu1_1", "pool1", "pool2", "pool3", "pool4")
"""Those whose maps are drawn; behind the last, a map of 64 pixels has two positions a side."""

CHANNELS = 2
"""Maps of each layer: the strongest."""

LAYER, WINDOW = "conv3_2", 12
"""Of Grad-CAM, whose last layer is too coarse for images so small, and of occlusion."""


def strongest_maps(subject: Subject) -> list[list[tuple[str, Tensor]]]:
    """Return of each layer the strongest channels: their names, and maps (h, w)."""
    return [
        [
            (f"channel {unit.channel}", found.values[unit.channel])
            for unit in found.strongest(CHANNELS)
        ]
        for found in activations(subject, LAYERS)
    ]


def attributions(subject: Subject) -> dict[str, Tensor]:
    """Return what four ways say on which pixels a score hangs, (H, W), by their names.

    Raises:
        MissingExtra: Captum is not installed.
    """
    return {
        "gradient": saliency(subject),
        "guided": guided_backpropagation(subject).abs().amax(0),
        "Grad-CAM": grad_cam(subject, LAYER).heat,
        "occlusion": occlusion(subject, window=WINDOW).heat.clamp(min=0),
    }


def draw_maps(model: Classifier | None = None) -> Figure:
    """Draw an image and the strongest maps of every block of a net, by default a trained one."""
    subject, patch = standing(model or stripe_net())
    figure = Figure(figsize=(12, 3.9), layout="constrained")
    grid = figure.add_gridspec(CHANNELS, 1 + len(LAYERS), width_ratios=(2, *(1 for _ in LAYERS)))
    first = figure.add_subplot(grid[:, 0])
    _show_picture(first, subject, patch)
    first.set_title("the image\n64x64")
    for column, (layer, maps) in enumerate(zip(LAYERS, strongest_maps(subject), strict=True), 1):
        panels = [figure.add_subplot(grid[row, column]) for row in range(CHANNELS)]
        for axes, (channel, values) in zip(panels, maps, strict=True):
            _show(axes, values, patch, subject.pixels.shape[-1])
            axes.set_xlabel(channel)
        height, width = maps[0][1].shape
        panels[0].set_title(f"{layer}\n{height}x{width}")
    return figure


def draw_attributions(model: Classifier | None = None) -> Figure:
    """Draw what a score hangs on, for a net and for two with a random classifier each.

    Raises:
        MissingExtra: Captum is not installed.
    """
    trained = model or stripe_net()
    random = [with_random_classifier(trained, seed) for seed in (0, 1)]
    rows = dict(zip(("trained", "random 1", "random 2"), [trained, *random], strict=True))
    figure = Figure(figsize=(10, 6.3), layout="constrained")
    panels = figure.subplots(len(rows), 5)
    for line, (name, net) in zip(panels, rows.items(), strict=True):
        subject, patch = standing(net)
        _show_picture(line[0], subject, patch)
        line[0].set_ylabel(name)
        _show_heats(line[1:], attributions(subject), patch)
    panels[0, 0].set_title("the image")
    for axes, title in zip(panels[0, 1:], attributions(subject), strict=True):
        axes.set_title(title)
    return figure


def _show_heats(panels: Sequence[Any], heats: dict[str, Tensor], patch: Box) -> None:
    for axes, heat in zip(panels, heats.values(), strict=True):
        _show(axes, heat, patch, heat.shape[-1])


def _show_picture(axes: Any, subject: Subject, patch: Box) -> None:
    axes.imshow(subject.pixels.permute(1, 2, 0).numpy(), extent=_extent(subject.pixels.shape[-1]))
    _frame(axes, patch)


def _show(axes: Any, values: Tensor, patch: Box, side: int) -> None:
    """Draw a map over the pixels of the image, dark for 0, bright for its largest value."""
    most = float(values.max()) or 1.0
    axes.imshow(values.numpy(), extent=_extent(side), cmap="viridis", vmin=0, vmax=most)
    _frame(axes, patch)


def _extent(side: int) -> tuple[float, float, float, float]:
    return (0, side, side, 0)


def _frame(axes: Any, patch: Box) -> None:
    """Draw the patch, and no scale: the maps are compared by eye."""
    size = patch.x1 - patch.x0, patch.y1 - patch.y0
    axes.add_patch(
        Rectangle((patch.x0, patch.y0), *size, fill=False, edgecolor="white", lw=1.6, ls="--")
    )
    axes.set(xticks=[], yticks=[])
