"""Theoretical and effective receptive fields, drawn on the image."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from matplotlib.colors import PowerNorm
from matplotlib.figure import Figure
from matplotlib.ticker import MaxNLocator

from verydeep.data.geometry import Window
from verydeep.inspection.receptive_field import MASS, ReceptiveField, receptive_fields
from verydeep.inspection.subject import Subject
from verydeep.nets.senet import SENet154
from verydeep.visualization.inspection.section import Panel, Section
from verydeep.visualization.inspection.tiles import DOTS, WIDTH
from verydeep.visualization.plots.style import ORANGE, colour_scale, outline

SQUARE = "white"
"""Colour of the square that holds most of the gradient."""

SMALL = 0.1
"""Receptive fields below this share of the image's sides are marked with a ring."""


def receptive_field_section(subject: Subject, layers: Sequence[str] = ()) -> Section:
    """Draw the receptive fields of the strongest unit of each layer.

    Args:
        subject: The image.
        layers: Layers in addition to the ends of blocks.

    Raises:
        InputError: The net has no such layer.
    """
    fields = receptive_fields(subject, (*subject.model.net.block_ends, *layers))
    gates = ""
    if isinstance(subject.model.net, SENet154):
        gates = " Gates, through which every pixel has a little influence, are left out of it."
    return Section(
        name="receptive-field",
        title="Receptive fields",
        lead="Left, orange: the theoretical receptive field of a layer's strongest unit, all "
        f"pixels that it can depend on (section 2.3 of the paper); a ring marks small ones.{gates} "
        "Right, "
        "the same field enlarged: the effective receptive field (Luo et al., 2016), |gradient| of "
        "the unit with respect to each pixel, summed over red, green and blue, on a square-root "
        f"colour scale. The dashed square holds {100 * MASS:.0f} % of it: more paths lead from the "
        "centre of a field to the unit than from its border. Gradients are computed in fp32.",
        panels=tuple(_panel(subject, one) for one in fields),
        facts={"precision": "fp32", "mass": MASS, "layers": [one.to_dict() for one in fields]},
    )


def _panel(subject: Subject, one: ReceptiveField) -> Panel:
    unit, (whole, visible) = one.unit, one.field
    summary = (
        f"Channel {unit.channel} at row {unit.row}, column {unit.column} of {unit.layer} sees "
        f"{whole.width}x{whole.height} pixels{_outside(whole, visible)}. "
    )
    if one.effective_side is None:
        summary += "It depends on no pixel: all gradients are 0."
    else:
        summary += (
            f"{100 * MASS:.0f} % of its gradient lies in a square of {one.effective_side} pixels "
            f"around the centre of the field, {100 * (one.central_share or 0):.0f} % in the "
            "central quarter of the field's area."
        )
    return Panel(
        name=f"field-{unit.layer.replace('_', '-')}",
        title=f"{unit.layer}: channel {unit.channel}, the strongest at {unit.value:.3g}",
        alt=summary,
        figure=_draw(subject, one),
        caption=summary,
    )


def _outside(whole: Window, visible: Window) -> str:
    if whole == visible:
        return ""
    return f", of which {visible.width}x{visible.height} lie on the image"


def _draw(subject: Subject, one: ReceptiveField) -> Figure:
    visible = one.field.visible
    figure, (left, right, bar) = _places(subject.pixels.shape[1:], visible[2:])
    height, width = subject.pixels.shape[1:]
    left.imshow(subject.pixels.permute(1, 2, 0).numpy(), extent=(0, width, height, 0))
    outline(left, visible.corners, ORANGE, 2.0)
    if max(visible.height / height, visible.width / width) < SMALL:
        _ring(left, visible)
    left.set(xlim=(0, width), ylim=(height, 0), ylabel="pixels")
    _draw_gradient(right, bar, one)
    for axes in (left, right):
        axes.tick_params(labelsize=8, length=2)
        axes.set_xlabel("pixels")
        for line in (axes.xaxis, axes.yaxis):
            line.set_major_locator(MaxNLocator(3, integer=True))
            line.label.set_size(8)
    left.set_title("theoretical", fontsize=9)
    right.set_title("effective", fontsize=9)
    return figure


def _ring(axes: Any, window: Window) -> None:
    """Draw a ring around a small window."""
    x0, y0, x1, y1 = window.corners
    for colour, width in (("black", 3.0), (ORANGE, 1.6)):
        axes.plot((x0 + x1) / 2, (y0 + y1) / 2, "o", mfc="none", mec=colour, ms=22, mew=width)


def _places(first: Sequence[int], second: Sequence[int]) -> tuple[Figure, list[Any]]:
    """Return axes for two images of these heights and widths and for a colour bar."""
    ratios = [min(max(width / height, 0.4), 2.5) for height, width in (first, second)]
    high = (WIDTH - 1.98) / sum(ratios)
    tall = high + 0.74
    left, right = (high * ratio for ratio in ratios)
    figure = Figure(figsize=(WIDTH, tall), dpi=DOTS)
    places = ((0.52, left), (0.96 + left, right), (1.08 + left + right, 0.13))
    return figure, [
        figure.add_axes((x / WIDTH, 0.42 / tall, wide / WIDTH, high / tall)) for x, wide in places
    ]


def _draw_gradient(axes: Any, bar: Any, one: ReceptiveField) -> None:
    top, left, height, width = one.field.visible
    part = one.gradient[top : top + height, left : left + width].numpy()
    image = axes.imshow(
        part,
        extent=(left, left + width, top + height, top),
        cmap="viridis",
        norm=PowerNorm(0.5, 0, float(part.max()) or 1.0),
        interpolation="nearest",
    )
    if one.effective_side:
        square = _square(one.field.whole, one.effective_side)
        outline(axes, square.corners, SQUARE, 1.6, ls="--", halo=False)
    axes.set(xlim=(left, left + width), ylim=(top + height, top))
    colour_scale(image, bar, "|gradient|", 8)


def _square(whole: Window, side: int) -> Window:
    """Return the square of this side in the centre of a field."""
    return Window(
        whole.top + (whole.height - side) // 2, whole.left + (whole.width - side) // 2, side, side
    )
