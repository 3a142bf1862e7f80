"""What a unit can see of an image, and what of it the unit really answers to.

The theoretical receptive field follows from the windows, strides and pads of the layers before (as
in :mod:`verydeep.nets.anatomy`), and from where the unit is. The effective one is where changes of
the pixels change the unit: Luo et al., "Understanding the Effective Receptive Field in Deep
Convolutional Neural Networks" (2016).

C channels; H, W sides of the image, in pixels.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from functools import cached_property
from typing import Any, NamedTuple

import torch
from torch import Tensor

from verydeep.data.geometry import Window
from verydeep.inspection.activations import Unit, activations
from verydeep.inspection.layers import parts_of
from verydeep.inspection.subject import Subject
from verydeep.nets.layer_outputs import check_layer, walk
from verydeep.nets.table import Layer
from verydeep.nets.vgg import VGG

MASS = 0.95
"""Share of the gradients that the square of an effective field holds."""


class Field(NamedTuple):
    """A theoretical receptive field, in pixels of the image.

    Attributes:
        whole: In the unpadded plane: its sides are those of
            :attr:`verydeep.nets.anatomy.LayerAnatomy.receptive_field`, its corner may lie outside.
        visible: The part of it that lies on the image: no other pixel has any influence.
    """

    whole: Window
    visible: Window


class _Line(NamedTuple):
    """First and last pixel of a field along one side, without and with regard to borders."""

    first: int
    last: int
    seen_first: int
    seen_last: int


def theoretical_field(net: VGG, layer: str, row: int, column: int, size: tuple[int, int]) -> Field:
    """Return what the units of a layer at one position can see.

    Args:
        net: The net.
        layer: Name of the layer.
        row: Of the unit on the layer's map.
        column: Likewise.
        size: H and W of the image.

    Raises:
        InputError: The net has no such layer.
        IndexError: The layer's map of such an image has no such position.
    """
    steps = list(_layers_up_to(net, layer))
    y, x = (_back(steps, net, at, side) for at, side in zip((row, column), size, strict=True))
    return Field(
        Window(y.first, x.first, y.last - y.first + 1, x.last - x.first + 1),
        Window(
            y.seen_first,
            x.seen_first,
            y.seen_last - y.seen_first + 1,
            x.seen_last - x.seen_first + 1,
        ),
    )


def _layers_up_to(net: VGG, layer: str) -> Iterator[Layer]:
    check_layer(net, layer)
    for part in parts_of(net):
        yield part.layer
        if part.layer.name == layer:
            return


def _window(layer: Layer, net: VGG) -> tuple[int, int, int]:
    """Return window, stride and pad of a layer; fc6 is a window over the last map."""
    if layer.name == "fc6":
        return net.final_map, 1, 0
    return layer.kernel, layer.stride, layer.kernel // 2 if layer.kind == "conv" else 0


def _back(steps: list[Layer], net: VGG, place: int, side: int) -> _Line:
    """Follow a position back through layers to the pixels of an image of that side."""
    windows = [_window(layer, net) for layer in steps]
    sides = [side]
    for kernel, stride, pad in windows:
        sides.append((sides[-1] + 2 * pad - kernel) // stride + 1)
    if not 0 <= place < sides[-1]:
        raise IndexError(f"the map has {sides[-1]} positions along this side, got {place}")
    line = _Line(place, place, place, place)
    for (kernel, stride, pad), before in zip(windows[::-1], sides[-2::-1], strict=True):
        line = _Line(
            line.first * stride - pad,
            line.last * stride - pad + kernel - 1,
            # What lies in the pad of a layer is 0 whatever the image is.
            max(0, line.seen_first * stride - pad),
            min(before - 1, line.seen_last * stride - pad + kernel - 1),
        )
    return line


@dataclass(frozen=True, eq=False)
class Sight:
    """What one unit sees of an image.

    Attributes:
        unit: The unit, its value in float32.
        field: Its theoretical receptive field.
        gradient: float32 (H, W): by how much it changes with a pixel, |d unit / d value| summed
            over red, green and blue, for values from 0 to 255.
    """

    unit: Unit
    field: Field
    gradient: Tensor

    @cached_property
    def central_share(self) -> float | None:
        """Share of the gradients within the middle of the field, a quarter of its area.

        The square has half the field's side. A unit that answered to all pixels of its field alike
        would have 0.25, if the field is all on the image. None if all gradients are 0.
        """
        side = self.field.whole.height / 2
        return self._share(self._distances() <= side / 2)

    @cached_property
    def effective_side(self) -> int | None:
        """Side of the smallest square around the field's middle with :data:`MASS` of gradients.

        In pixels; None if all gradients are 0.
        """
        if not float(self.gradient.sum()):
            return None
        distances, order = self._distances().flatten().sort(stable=True)
        mass = self.gradient.double().flatten()[order].cumsum(0)
        return round(2 * float(distances[int((mass < MASS * mass[-1]).sum())]))

    def _distances(self) -> Tensor:
        """Return (H, W): half the side of the square around the field's middle up to a pixel."""
        top, left, height, width = self.field.whole
        rows, columns = (torch.arange(length, dtype=torch.float64) for length in self._size())
        y = (rows + 0.5 - (top + height / 2)).abs() + 0.5
        x = (columns + 0.5 - (left + width / 2)).abs() + 0.5
        return torch.maximum(y[:, None], x[None, :])

    def _size(self) -> tuple[int, int]:
        height, width = self.gradient.shape
        return height, width

    def _share(self, where: Tensor) -> float | None:
        mass = self.gradient.double()
        total = float(mass.sum())
        return float(mass[where].sum()) / total if total else None

    def to_dict(self) -> dict[str, Any]:
        """Return plain values; rectangles as top, left, height and width."""
        return {
            **self.unit.to_dict(),
            "field": list(self.field.whole),
            "visible_field": list(self.field.visible),
            "central_share": self.central_share,
            "effective_side": self.effective_side,
        }


def sight(subject: Subject, unit: Unit) -> Sight:
    """Return what a unit sees of the image.

    Value and gradient are computed in float32 whatever the model's precision, from the unit's
    field alone, beyond which nothing has any influence.
    """
    model = subject.model.exact
    height, width = subject.pixels.shape[1:]
    field = theoretical_field(model.net, unit.layer, unit.row, unit.column, (height, width))
    stride = next(part.stride for part in parts_of(model.net) if part.layer.name == unit.layer)
    top, bottom = _whole_cells(field.visible.top, field.visible.height, height, stride)
    left, right = _whole_cells(field.visible.left, field.visible.width, width, stride)
    x = model.input_of(subject.pixels[None, :, top:bottom, left:right]).requires_grad_()
    values = walk(model.engine, x, [unit.layer])[unit.layer]
    value = values[0, unit.channel, unit.row - top // stride, unit.column - left // stride]
    (part,) = torch.autograd.grad(value, x)
    gradient = torch.zeros(height, width)
    gradient[top:bottom, left:right] = part[0].abs().sum(0).cpu() / model.preprocessing.divisor
    return Sight(unit._replace(value=value.item()), field, gradient)


def _whole_cells(start: int, length: int, side: int, stride: int) -> tuple[int, int]:
    """Return where a part of a line begins and ends if it must not cut what is pooled together."""
    return start // stride * stride, min(side, -(-(start + length) // stride) * stride)


def sights(subject: Subject, layers: Iterable[str]) -> tuple[Sight, ...]:
    """Return what the strongest unit of each layer sees of the image, in the order of the net.

    Raises:
        InputError: The net has no such layer.
    """
    maps = activations(subject, layers)
    return tuple(sight(subject, found.strongest(1)[0]) for found in maps)
