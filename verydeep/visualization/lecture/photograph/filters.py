"""Filters of the first convolution: colours and edges (section 2.1)."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from matplotlib.figure import Figure
from torch import Tensor

from verydeep.inspection.activations import first_convolution, first_filters
from verydeep.inspection.subject import Subject
from verydeep.visualization.inspection.heatmap import as_array
from verydeep.visualization.lecture.photograph.drawing import Drawing, bare

COLUMNS = 16
"""Filters per row."""


@dataclass(frozen=True, eq=False)
class FirstFilters:
    """Filters of the first convolution by kind.

    Attributes:
        weights: Weights, float32 (channels, 3, h, w): RGB, rows, columns.
        uniform: Share of a filter's squared weights in their mean over all positions,
            (channels,): 1 for a filter that only weighs colours, 0 for one that only compares
            positions.
        coloured: Share of the squared weights in differences between the three colours,
            (channels,): 0 for a filter of grey levels.
    """

    weights: Tensor
    uniform: Tensor
    coloured: Tensor

    @property
    def blobs(self) -> list[int]:
        """Filters that mainly weigh colours, the most uniform first."""
        order = self.uniform.argsort(descending=True, stable=True).tolist()
        return [channel for channel in order if self.uniform[channel] >= 0.5]

    @property
    def edges(self) -> list[int]:
        """Filters that mainly compare positions, those of grey levels first."""
        order = self.coloured.argsort(stable=True).tolist()
        return [channel for channel in order if self.uniform[channel] < 0.5]


def sort_filters(weights: Tensor) -> FirstFilters:
    """Measure filters, (channels, 3, h, w)."""
    total = weights.square().sum((1, 2, 3)).clamp(min=1e-30)
    mean = weights.mean((2, 3), keepdim=True).expand_as(weights)
    grey = weights.mean(1, keepdim=True).expand_as(weights)
    return FirstFilters(
        weights,
        mean.square().sum((1, 2, 3)) / total,
        (weights - grey).square().sum((1, 2, 3)) / total,
    )


def draw_photograph_filters(subject: Subject) -> Drawing:
    """Draw the filters of the first convolution, each on its own scale.

    Args:
        subject: A net; its image is not used.
    """
    filters = sort_filters(first_filters(subject.model))
    groups = {
        f"{len(filters.blobs)} filters mainly weigh colours": filters.blobs,
        f"{len(filters.edges)} filters mainly compare neighbours": filters.edges,
    }
    rows = {title: -(-len(channels) // COLUMNS) for title, channels in groups.items() if channels}
    figure = Figure(figsize=(11, 0.68 * sum(rows.values()) + 0.45 * len(rows)))
    tall, top = figure.get_figheight(), 0.0
    for title, count in rows.items():
        figure.text(0.01, 1 - (top + 0.34) / tall, title, fontsize=12)
        _draw_group(figure, filters, groups[title], top + 0.42)
        top += 0.68 * count + 0.45
    return Drawing(figure, _in_words(filters, first_convolution(subject.model)))


def _draw_group(
    figure: Figure, filters: FirstFilters, channels: Sequence[int], start: float
) -> None:
    """Draw filters in rows, the first at a distance in inches from the top."""
    wide, tall = figure.get_size_inches()
    for number, channel in enumerate(channels):
        row, column = divmod(number, COLUMNS)
        left, top = 0.1 + 0.68 * column, start + 0.68 * row
        axes: Any = figure.add_axes(
            (left / wide, 1 - (top + 0.62) / tall, 0.62 / wide, 0.62 / tall)
        )
        weights = filters.weights[channel]
        most = float(weights.abs().max()) or 1.0
        axes.imshow(as_array(0.5 + weights / (2 * most)), interpolation="nearest")
        bare(axes)


def _in_words(filters: FirstFilters, layer: str) -> str:
    height, width = filters.weights.shape[2:]
    plain = sum(float(filters.coloured[channel]) < 0.1 for channel in filters.edges)
    return (
        f"The {len(filters.weights)} filters of {layer} as {width}x{height} coloured cells. "
        f"{len(filters.blobs)} are nearly uniform: blobs of one colour. {len(filters.edges)} have "
        f"a bright and a dark side, edges and lines in all directions, {plain} of them in grey."
    )
