"""Feature maps and attributions of a net trained on stripes."""

from __future__ import annotations

from typing import Any

from matplotlib.figure import Figure
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
from verydeep.visualization.plots.style import outline

LAYERS = ("relu1_1", "pool1", "pool2", "pool3", "pool4")
"""Layers whose maps are drawn; pool5 would have only 2x2 positions for a 64-pixel image."""

CHANNELS = 2
"""Number of strongest channels drawn per layer."""

LAYER, WINDOW = "conv3_2", 12
"""Layer of Grad-CAM (the last is too coarse for such small images); window of occlusion."""


def strongest_maps(subject: Subject) -> list[list[tuple[str, Tensor]]]:
    """Return names and maps (h, w) of the strongest channels of each layer."""
    return [
        [
            (f"channel {unit.channel}", layer_map.values[unit.channel])
            for unit in layer_map.strongest(CHANNELS)
        ]
        for layer_map in activations(subject, LAYERS)
    ]


def attributions(subject: Subject) -> dict[str, Tensor]:
    """Return attribution maps (H, W) by method.

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
    """Draw an image and the strongest feature maps of a net, by default the trained one."""
    subject, patch = standing(model or stripe_net())
    figure = Figure(figsize=(12, 3.9), layout="constrained")
    grid = figure.add_gridspec(CHANNELS, 1 + len(LAYERS), width_ratios=(2, *(1 for _ in LAYERS)))
    first = figure.add_subplot(grid[:, 0])
    _show_picture(first, subject, patch)
    first.set_title("image\n64x64")
    for column, (layer, maps) in enumerate(zip(LAYERS, strongest_maps(subject), strict=True), 1):
        panels = [figure.add_subplot(grid[row, column]) for row in range(CHANNELS)]
        for axes, (channel, values) in zip(panels, maps, strict=True):
            _show(axes, values, patch, subject.pixels.shape[-1])
            axes.set_xlabel(channel)
        height, width = maps[0][1].shape
        panels[0].set_title(f"{layer}\n{height}x{width}")
    return figure


def draw_attributions(model: Classifier | None = None) -> Figure:
    """Draw attribution maps of a trained net and of two with random classifiers.

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
        for axes, heat in zip(line[1:], attributions(subject).values(), strict=True):
            _show(axes, heat, patch, heat.shape[-1])
    panels[0, 0].set_title("image")
    for axes, title in zip(panels[0, 1:], attributions(subject), strict=True):
        axes.set_title(title)
    return figure


def _show_picture(axes: Any, subject: Subject, patch: Box) -> None:
    axes.imshow(subject.pixels.permute(1, 2, 0).numpy(), extent=_extent(subject.pixels.shape[-1]))
    _frame(axes, patch)


def _show(axes: Any, values: Tensor, patch: Box, side: int) -> None:
    """Draw a map over the extent of the image, dark at 0, bright at its maximum."""
    most = float(values.max()) or 1.0
    axes.imshow(values.numpy(), extent=_extent(side), cmap="viridis", vmin=0, vmax=most)
    _frame(axes, patch)


def _extent(side: int) -> tuple[float, float, float, float]:
    return (0, side, side, 0)


def _frame(axes: Any, patch: Box) -> None:
    """Mark the patch and remove the ticks."""
    outline(axes, patch, "white", 1.6, ls="--", halo=False)
    axes.set(xticks=[], yticks=[])
