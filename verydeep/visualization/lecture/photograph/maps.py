"""Strongest feature maps of a photograph, by depth (section 2.1)."""

from __future__ import annotations

from typing import Any

from verydeep.inspection.activations import LayerMap, activations
from verydeep.inspection.subject import Subject
from verydeep.visualization.lecture.photograph.drawing import (
    SMALL,
    Drawing,
    check_blocks,
    close_figure,
    in_percent,
    show_image,
    show_map,
)

FIRST = "relu1_1"
"""Layer that is drawn before the last ReLU of every block."""

CHANNELS = 3
"""Number of strongest channels drawn per layer."""


def draw_photograph_maps(subject: Subject) -> Drawing:
    """Draw a photograph and the strongest maps of every block.

    Args:
        subject: Net and photograph.

    Raises:
        ModelError: The net has other blocks than those of the paper.
    """
    check_blocks(subject)
    layers = activations(subject, drawn_layers(subject))
    figure = close_figure((13, 4.6))
    grid = figure.add_gridspec(CHANNELS, 1 + len(layers), width_ratios=(2.6, *(1 for _ in layers)))
    first = figure.add_subplot(grid[:, 0])
    show_image(first, subject.pixels)
    _, height, width = subject.pixels.shape
    first.set_title(f"image\n{width}x{height}")
    for column, layer_map in enumerate(layers, 1):
        panels = [figure.add_subplot(grid[row, column]) for row in range(CHANNELS)]
        _draw_layer(panels, layer_map, (height, width))
    return Drawing(figure, _in_words(layers))


def drawn_layers(subject: Subject) -> tuple[str, ...]:
    """Return the first ReLU and the last one of every block.

    Maps after a pool are not drawn: a maximum over four values is active more often than each.
    """
    relus = [name for name, _ in subject.model.net.named_layers() if name.startswith("relu")]
    last = {name.partition("_")[0]: name for name in relus if "_" in name}
    return tuple(dict.fromkeys((FIRST, *last.values())))


def _draw_layer(panels: list[Any], layer_map: LayerMap, size: tuple[int, int]) -> None:
    for axes, unit in zip(panels, layer_map.strongest(CHANNELS), strict=False):
        show_map(axes, layer_map.values[unit.channel], size)
        axes.set_xlabel(f"channel {unit.channel}", fontsize=SMALL, labelpad=2)
    channels, height, width = layer_map.values.shape
    panels[0].set_title(
        f"{layer_map.layer}\n{channels} of {width}x{height}\n"
        f"{in_percent(layer_map.active_share)} active",
        fontsize=SMALL + 1,
    )


def _in_words(layers: tuple[LayerMap, ...]) -> str:
    told = "; ".join(
        f"{one.layer}: channels {', '.join(str(u.channel) for u in one.strongest(CHANNELS))}, "
        f"{in_percent(one.active_share)} of all values above 0"
        for one in layers
    )
    return (
        f"A photograph, and the {CHANNELS} strongest maps of the first layer and of the last one "
        f"of every block, each from 0 (dark) to its maximum (bright). {told}."
    )
