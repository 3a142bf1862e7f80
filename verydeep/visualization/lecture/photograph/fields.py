"""Theoretical and effective receptive fields of a trained net, to scale on a photograph.

After Luo et al., "Understanding the Effective Receptive Field in Deep Convolutional Neural
Networks" (2016).
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from functools import lru_cache
from typing import Any

import torch
from matplotlib.colors import PowerNorm
from matplotlib.figure import Figure

from verydeep.data.geometry import Window
from verydeep.inspection.activations import LayerMap, Unit, activations
from verydeep.inspection.receptive_field import ReceptiveField, receptive_field, theoretical_field
from verydeep.inspection.subject import Subject
from verydeep.visualization.lecture.effective_receptive_field import centre_fields
from verydeep.visualization.lecture.photograph.channels import inner_units
from verydeep.visualization.lecture.photograph.drawing import (
    SMALL,
    Drawing,
    bare,
    check_blocks,
    show_image,
)
from verydeep.visualization.lecture.theme import paper_colour, soft_colour
from verydeep.visualization.plots.style import outline

CHANNELS = 8
"""Number of channels over which gradients are averaged, the strongest at the position."""

DEPTHS = 5
"""Number of layers drawn on the photograph: the last convolution of every block."""

COLOURS = ("#ffffff", "#f0e442", "#56b4e9", "#ff9e3d", "#ff7ac0")
"""Colours of the squares on the photograph, by depth; all are light, and rimmed in black."""


@dataclass(frozen=True, eq=False)
class FieldGrowth:
    """Receptive fields over one point of a photograph.

    Attributes:
        fields: Mean fields after every convolution, in forward order.
        random: Sides of the effective fields of nets of the same kind with random weights, or None
            for a net without such a comparison.
    """

    fields: tuple[ReceptiveField, ...]
    random: tuple[int, ...] | None

    @property
    def theoretical(self) -> list[int]:
        """Sides of the theoretical fields, in pixels."""
        return [one.field.whole.height for one in self.fields]

    @property
    def effective(self) -> list[int]:
        """Sides of the effective fields, in pixels."""
        return [one.effective_side or 0 for one in self.fields]

    @property
    def ends(self) -> list[ReceptiveField]:
        """Fields after the last convolution of every block."""
        blocks = {one.unit.layer.partition("_")[0]: one for one in self.fields}
        return [*blocks.values()]


@lru_cache(maxsize=2)
def field_growth(subject: Subject) -> FieldGrowth:
    """Return the receptive fields of all convolutions around one point of a photograph.

    The point is the centre of the field of the strongest unit of the last convolution, among those
    whose whole field is on the image.

    Args:
        subject: Net and photograph.
    """
    net = subject.model.net
    layers = [name for name, _ in net.named_layers() if name.startswith("conv")]
    (last,) = inner_units(subject, layers[-1], 1)
    _, height, width = subject.pixels.shape
    whole = theoretical_field(net, last.layer, last.row, last.column, (height, width)).whole
    point = (whole.top + whole.height / 2, whole.left + whole.width / 2)
    maps = activations(subject, layers)
    fields = tuple(_mean_field(subject, layer_map, point) for layer_map in maps)
    known = {one.unit.layer: one.effective_side or 0 for one in centre_fields(net.name)}
    random = tuple(known[layer] for layer in layers) if {*layers} == {*known} else None
    return FieldGrowth(fields, random)


def _mean_field(
    subject: Subject, layer_map: LayerMap, point: tuple[float, float]
) -> ReceptiveField:
    """Return the mean field of the strongest channels at a point."""
    row, column = _nearest(subject, layer_map.layer, point)
    _, height, width = layer_map.values.shape
    row, column = min(max(row, 0), height - 1), min(max(column, 0), width - 1)
    column_of = layer_map.values[:, row, column]
    strongest = column_of.argsort(descending=True, stable=True)[:CHANNELS].tolist()
    units = [Unit(layer_map.layer, k, row, column, float(column_of[k])) for k in strongest]
    each = [receptive_field(subject, unit) for unit in units]
    shares = [one.gradient / one.gradient.sum().clamp(min=1e-30) for one in each]
    return ReceptiveField(each[0].unit, each[0].field, torch.stack(shares).mean(0))


def _nearest(subject: Subject, layer: str, point: tuple[float, float]) -> tuple[int, int]:
    """Return the position whose field is centred nearest to a point."""
    net = subject.model.net
    _, height, width = subject.pixels.shape
    stride = next(part.stride for part in net.anatomy().parts if part.layer.name == layer)
    first = theoretical_field(net, layer, 0, 0, (height, width)).whole
    centre = (first.top + first.height / 2, first.left + first.width / 2)
    row, column = (round((at - zero) / stride) for at, zero in zip(point, centre, strict=True))
    return row, column


def draw_photograph_fields(subject: Subject) -> Drawing:
    """Draw fields on the photograph, their gradients, and their growth over the convolutions.

    Args:
        subject: Net and photograph.

    Raises:
        ModelError: The net has other blocks than those of the paper.
    """
    check_blocks(subject)
    growth = field_growth(subject)
    ends = growth.ends[-DEPTHS:]
    figure = Figure(figsize=(12, 7.6), layout="constrained")
    parts: Any = figure.subfigures(2, 1, height_ratios=(1.75, 1))
    upper, lower = parts
    photograph, sides = upper.subplots(1, 2, width_ratios=(1.3, 1))
    show_image(photograph, subject.pixels)
    _draw_squares(photograph, ends)
    _draw_growth(sides, growth)
    for axes, one, colour in zip(lower.subplots(1, len(ends)), ends, COLOURS, strict=False):
        _draw_gradient(axes, one, colour)
    return Drawing(figure, _in_words(growth, ends))


def _draw_squares(axes: Any, ends: Sequence[ReceptiveField]) -> None:
    for one, colour in reversed([*zip(ends, COLOURS, strict=False)]):
        outline(axes, one.field.whole.corners, colour, 1.6, ls="--")
        outline(axes, effective_square(one).corners, colour, 2.2)
    axes.set_title("dashed: all pixels a unit can see; solid: 95 % of its gradient", fontsize=11)


def effective_square(one: ReceptiveField) -> Window:
    """Return the square around the centre of a field that holds most of the gradient."""
    whole, side = one.field.whole, one.effective_side or 0
    return Window(
        round(whole.top + (whole.height - side) / 2),
        round(whole.left + (whole.width - side) / 2),
        side,
        side,
    )


def _draw_gradient(axes: Any, one: ReceptiveField, colour: str) -> None:
    x0, y0, x1, y1 = one.field.visible.corners
    part = one.gradient[y0:y1, x0:x1]
    axes.imshow(
        (part / part.max().clamp(min=1e-30)).numpy(),
        extent=(x0, x1, y1, y0),
        cmap="cividis",
        norm=PowerNorm(0.5, 0, 1),
        interpolation="nearest",
    )
    outline(axes, effective_square(one).corners, colour, 2.0, halo=False)
    bare(axes)
    side = one.field.whole.height
    axes.set_title(f"{one.unit.layer}: {one.effective_side} of {side}", fontsize=SMALL + 1)


def _draw_growth(axes: Any, growth: FieldGrowth) -> None:
    depths = range(1, len(growth.fields) + 1)
    look: Any = {"color": "C0", "mfc": paper_colour(), "ms": 6}
    axes.plot(depths, growth.theoretical, "o--", label="theoretical", **look)
    axes.plot(depths, growth.effective, "o-", color="C1", ms=6, label="effective, this net")
    ends = [growth.theoretical[-1], growth.effective[-1]]
    if growth.random:
        axes.plot(
            depths, growth.random, "-", color=soft_colour(), label="effective, random weights"
        )
    for side in ends:
        axes.text(len(growth.fields) + 0.3, side, str(side), va="center")
    axes.set(xlabel="convolutions passed", ylabel="side (pixels of the image)")
    axes.set(xlim=(0.5, len(growth.fields) + 1.9), ylim=(0, 1.06 * max(growth.theoretical)))
    axes.legend(loc="upper left", fontsize=11)


def _in_words(growth: FieldGrowth, ends: Sequence[ReceptiveField]) -> str:
    told = "; ".join(
        f"{one.unit.layer} sees {one.field.whole.height} pixels a side, {one.effective_side} hold "
        "95 % of the gradient"
        for one in ends
    )
    random = f", {growth.random[-1]} with random weights" if growth.random is not None else ""
    return (
        "Upper left: a photograph with nested squares, for the last convolution of every block the "
        f"theoretical receptive field and the effective one. {told}. Upper right: the sides over "
        f"the {len(growth.fields)} convolutions, which end at {growth.theoretical[-1]} in theory "
        f"and {growth.effective[-1]} in effect{random}. Bottom: the gradients of these layers, "
        "bright near the centre and dark towards the border of each field."
    )
