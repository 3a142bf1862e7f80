"""Theoretical and effective receptive fields of units.

The theoretical receptive field follows from the position of the unit and from the kernels, strides
and padding of the layers before (as in :mod:`verydeep.nets.anatomy`). The effective one is where
the unit's gradient is large: Luo et al., "Understanding the Effective Receptive Field in Deep
Convolutional Neural Networks" (2016).

C channels; H, W: sides of the image, in pixels.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from functools import cached_property
from typing import Any, NamedTuple

import torch
from torch import Tensor

from verydeep.data import geometry
from verydeep.inspection.activations import Unit, activations
from verydeep.inspection.layers import parts_of
from verydeep.inspection.subject import Subject
from verydeep.nets.interface import Net
from verydeep.nets.layer_outputs import check_layer, walk
from verydeep.nets.registry import Layer
from verydeep.nets.windows import Window

MASS = 0.95
"""Share of the gradient inside the square of an effective receptive field."""


class Field(NamedTuple):
    """A theoretical receptive field, in pixels of the image.

    Attributes:
        whole: The field on an unbounded plane, with the side
            :attr:`verydeep.nets.anatomy.LayerAnatomy.receptive_field`; may extend beyond the image.
        visible: The part on the image; no other pixel has any influence.
    """

    whole: geometry.Window
    visible: geometry.Window


class _Line(NamedTuple):
    """First and last pixel of a field along one axis, ignoring and respecting the borders."""

    first: int
    last: int
    seen_first: int
    seen_last: int


def theoretical_field(net: Net, layer: str, row: int, column: int, size: tuple[int, int]) -> Field:
    """Return the theoretical receptive field of a position in a layer.

    Args:
        net: The net.
        layer: Name of the layer.
        row: Row of the unit on the layer's map.
        column: Column of the unit.
        size: H and W of the image.

    Raises:
        InputError: The net has no such layer.
        IndexError: The position is outside the layer's map.
    """
    steps = list(_layers_up_to(net, layer))
    y, x = (_back(steps, net, at, side) for at, side in zip((row, column), size, strict=True))
    return Field(
        geometry.Window(y.first, x.first, y.last - y.first + 1, x.last - x.first + 1),
        geometry.Window(
            y.seen_first,
            x.seen_first,
            y.seen_last - y.seen_first + 1,
            x.seen_last - x.seen_first + 1,
        ),
    )


def _layers_up_to(net: Net, layer: str) -> Iterator[Layer]:
    check_layer(net, layer)
    for part in parts_of(net):
        yield part.layer
        if part.layer.name == layer:
            return


def _slide(layer: Layer, net: Net) -> Window:
    """Return how a layer slides; the first layer of the classifier covers the last map."""
    head = next((name for name, _ in net.classifier.named_children()), None)
    if layer.name == head:
        return Window(net.final_map)
    usual = layer.kernel // 2 if layer.kind == "conv" else 0
    padding = usual if layer.padding is None else layer.padding
    return Window(layer.kernel, layer.stride, padding, layer.ceil)


def _back(steps: list[Layer], net: Net, position: int, side: int) -> _Line:
    """Trace a position back through layers to the pixels of an image of this side."""
    slides = [_slide(layer, net) for layer in steps]
    sides = [side]
    for slide in slides:
        sides.append(slide.outputs(sides[-1]))
    if not 0 <= position < sides[-1]:
        raise IndexError(f"the map has {sides[-1]} positions along this side, got {position}")
    line = _Line(position, position, position, position)
    for slide, before in zip(slides[::-1], sides[-2::-1], strict=True):
        kernel, stride, pad = slide.kernel, slide.stride, slide.padding
        line = _Line(
            line.first * stride - pad,
            line.last * stride - pad + kernel - 1,
            # Padding is 0 for any image.
            max(0, line.seen_first * stride - pad),
            min(before - 1, line.seen_last * stride - pad + kernel - 1),
        )
    return line


@dataclass(frozen=True, eq=False)
class ReceptiveField:
    """Theoretical and effective receptive field of a unit on an image.

    Attributes:
        unit: The unit, with its value in float32.
        field: Theoretical receptive field.
        gradient: |∂unit/∂pixel| summed over red, green and blue, for pixel values from 0 to 255,
            float32 (H, W).
    """

    unit: Unit
    field: Field
    gradient: Tensor

    @cached_property
    def central_share(self) -> float | None:
        """Share of the gradient in the central square with half the field's side.

        A constant gradient would give 0.25, if the whole field is on the image. None if all
        gradients are 0.
        """
        mass = self.gradient.double()
        total = float(mass.sum())
        inside = self._distances() <= self.field.whole.height / 4
        return float(mass[inside].sum()) / total if total else None

    @cached_property
    def effective_side(self) -> int | None:
        """Side in pixels of the smallest centred square with :data:`MASS` of the gradient.

        None if all gradients are 0.
        """
        if not float(self.gradient.sum()):
            return None
        distances, order = self._distances().flatten().sort(stable=True)
        mass = self.gradient.double().flatten()[order].cumsum(0)
        return round(2 * float(distances[int((mass < MASS * mass[-1]).sum())]))

    def _distances(self) -> Tensor:
        """Return for each pixel half the side of the centred square that reaches it, (H, W)."""
        top, left, height, width = self.field.whole
        sides = self.gradient.shape
        rows, columns = (torch.arange(side, dtype=torch.float64) for side in sides)
        y = (rows + 0.5 - (top + height / 2)).abs() + 0.5
        x = (columns + 0.5 - (left + width / 2)).abs() + 0.5
        return torch.maximum(y[:, None], x[None, :])

    def to_dict(self) -> dict[str, Any]:
        """Return plain values, with rectangles as top, left, height and width."""
        return {
            **self.unit.to_dict(),
            "field": list(self.field.whole),
            "visible_field": list(self.field.visible),
            "central_share": self.central_share,
            "effective_side": self.effective_side,
        }


def receptive_field(subject: Subject, unit: Unit) -> ReceptiveField:
    """Return the theoretical and the effective receptive field of a unit.

    Value and gradient are computed in float32 regardless of the model's precision, and from the
    unit's theoretical field only, unless a part of the image alone has other values.
    """
    model = subject.model.exact
    height, width = subject.pixels.shape[1:]
    field = theoretical_field(model.net, unit.layer, unit.row, unit.column, (height, width))
    stride = next(part.stride for part in parts_of(model.net) if part.layer.name == unit.layer)
    top, bottom = _whole_cells(field.visible.top, field.visible.height, height, stride)
    left, right = _whole_cells(field.visible.left, field.visible.width, width, stride)
    if not model.net.divisible:
        top, bottom, left, right = 0, height, 0, width
    x = model.eager.input_of(subject.pixels[None, :, top:bottom, left:right]).requires_grad_()
    values = walk(model.eager.net, x, [unit.layer])[unit.layer]
    value = values[0, unit.channel, unit.row - top // stride, unit.column - left // stride]
    (part,) = torch.autograd.grad(value, x)
    gradient = torch.zeros(height, width)
    gradient[top:bottom, left:right] = part[0].abs().sum(0).cpu() / model.preprocessing.divisor
    return ReceptiveField(unit._replace(value=value.item()), field, gradient)


def _whole_cells(start: int, length: int, side: int, stride: int) -> tuple[int, int]:
    """Return start and end of an interval extended to whole pooling cells."""
    return start // stride * stride, min(side, -(-(start + length) // stride) * stride)


def receptive_fields(subject: Subject, layers: Iterable[str]) -> tuple[ReceptiveField, ...]:
    """Return the receptive fields of the strongest unit of each layer, in forward order.

    Raises:
        InputError: The net has no such layer.
    """
    maps = activations(subject, layers)
    return tuple(receptive_field(subject, layer_map.strongest(1)[0]) for layer_map in maps)
