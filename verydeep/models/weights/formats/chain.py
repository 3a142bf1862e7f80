"""Layers of a file, collected in forward order, with checks that they are those of a VGG net.

The features of a VGG net are convolutions, each with a ReLU, and 2x2 max-pools; its head is fully
connected, with a ReLU between its layers and perhaps a softmax at its end. What else a file has
between two convolutions changes the maps and cannot be left out, so it is refused; in the head it
changes the scores, so the head is given up.

O outputs, I inputs, h, w sides of a kernel.
"""

from __future__ import annotations

import dataclasses
import math
from collections.abc import Sequence
from typing import NamedTuple

import torch
from torch import Tensor

from verydeep.errors import ModelError, printable
from verydeep.models.weights.source import BatchNorm, SourceLayer

LARGEST_KERNEL = 3
"""Largest kernel of the features where a file does not tell how it slides; larger ones are fully
connected layers in convolutional form.
"""

MOST_LINES = 100
"""Most lines of the report; the rest is counted."""


Padding = tuple[int, int, int, int]
"""Rows and columns added at the top, left, bottom and right."""

NO_PADDING: Padding = (0, 0, 0, 0)


class Window(NamedTuple):
    """How a kernel or a pool slides.

    Attributes:
        kernel: Sides, (h, w).
        stride: Strides, vertical and horizontal.
        padding: Rows and columns added at the top, left, bottom and right.
        dilation: Distances between the kernel's rows and columns.
        groups: Groups of channels.
    """

    kernel: tuple[int, int]
    stride: tuple[int, int] = (1, 1)
    padding: Padding = NO_PADDING
    dilation: tuple[int, int] = (1, 1)
    groups: int = 1


class Lrn(NamedTuple):
    """Constants of a local response normalisation, as in PyTorch: α is divided by ``size``."""

    size: int
    alpha: float
    beta: float
    k: float


PAPER_LRN = Lrn(5, 5e-4, 0.75, 2.0)
"""Constants of net A-LRN."""


class Collected(NamedTuple):
    """What a chain is made of; the fields are those of ``SourceFile``.

    Attributes:
        layers: Convolutions and fully connected layers in forward order.
        convolutional: Number of layers, from the first, that are convolutions of maps which keep
            their size; None if the file does not tell.
        pools: Number of layers before each 2x2 max-pool; None if the file does not tell.
        lrn: Whether a local response normalisation follows the first; None if the file does not
            tell.
        head_fault: What makes the scores others than those of the layers with ReLU between them;
            None if there is nothing.
        ignored: Lines of the report.
    """

    layers: tuple[SourceLayer, ...]
    convolutional: int | None
    pools: tuple[int, ...] | None
    lrn: bool | None
    head_fault: str | None
    ignored: tuple[str, ...]


class Chain:
    """Layers of a file in forward order.

    Args:
        complete: Whether the file names everything that happens to the maps, as a graph does; else
            one that names no ReLU and no pool holds weights alone.
    """

    def __init__(self, *, complete: bool = False) -> None:
        self._tells = complete
        self.layers: list[SourceLayer] = []
        self.lrn: bool | None = None
        self._ignored: list[str] = []
        self._pending: list[str] = []
        self._in_head = False
        self._rectified = True
        self._convolutional = 0
        self._pools: list[int] = []
        self._linear: list[tuple[str, bool]] = []  # layers without a ReLU before the next one
        self._closing: list[str] = []  # what changes no order of scores, if it is the last
        self._head_fault: str | None = None

    def convolution(self, layer: SourceLayer, window: Window | None) -> None:
        """Append a convolution.

        One without padding, larger than 1x1, reads a whole map: it is the first fully connected
        layer in convolutional form, and 1x1 convolutions are the further ones.

        Args:
            layer: The convolution.
            window: How it slides; None if the file does not say.

        Raises:
            ModelError: It slides as none of a VGG net, or something before it changes the maps.
        """
        height, width = layer.weight.shape[2:]
        single = (height, width) == (1, 1)
        unpadded = window is not None and not any(window.padding)
        covers = not single and (unpadded if window else max(height, width) > LARGEST_KERNEL)
        if window:
            same = (height // 2, width // 2, height // 2, width // 2)
            fits = bool(self.layers) if covers else window.padding == same
            steady = window.stride == window.dilation == (1, 1) and window.groups == 1
            if not (steady and fits and (single or not self._in_head)):
                raise ModelError(
                    f"{printable(layer.name)} must be a convolution of a VGG net, "
                    f"with stride 1 and maps that keep their size; it is a {height}x{width} "
                    f"convolution with {_slide(window)} instead"
                )
        self._append(layer, self._in_head or covers)

    def fully_connected(self, layer: SourceLayer) -> None:
        """Append a fully connected layer."""
        self._append(layer, head=True)

    def _append(self, layer: SourceLayer, head: bool) -> None:
        if not self._rectified:
            self._linear.append((self.layers[-1].name, self._in_head))
        self._pending += self._closing
        self._closing = []
        self._settle(head)
        self._in_head, self._rectified = head, False
        self._convolutional += not head
        self.layers.append(layer)

    def affine(self, name: str, scale: Tensor, shift: Tensor) -> None:
        """Append a factor and an offset per channel, both (O,), which may follow a normalisation.

        Raises:
            ModelError: They are not as many as there are channels.
        """
        if not self._foldable(name, scale):
            self.other(name, "a factor or an offset per channel")
            return
        norm = self.layers[-1].norm
        if norm is None:
            zero, one = torch.zeros_like(scale), torch.ones_like(scale)
            norm = BatchNorm(scale, shift, zero, one, epsilon=0.0)
        else:
            norm = dataclasses.replace(
                norm, scale=norm.scale * scale, shift=norm.shift * scale + shift
            )
        self._check(name, norm)
        self.layers[-1] = dataclasses.replace(self.layers[-1], norm=norm)

    def bias(self, name: str, shift: Tensor) -> None:
        """Append an offset per channel, (O,): it joins the biases of the layer right before it."""
        last = self.layers[-1] if self.layers else None
        if last is None or self._rectified or self._pending or len(shift) != len(last.weight):
            self.other(name, "an offset per channel")
        elif last.norm is not None:
            self.affine(name, torch.ones_like(shift), shift)
        else:
            bias = shift if last.bias is None else last.bias + shift
            self.layers[-1] = dataclasses.replace(last, bias=bias)

    def norm(self, name: str, norm: BatchNorm) -> None:
        """Append a batch normalisation, which belongs to the convolution right before it.

        Raises:
            ModelError: It has other channels than that.
        """
        if self._foldable(name, norm.scale) and self.layers[-1].norm is None:
            self._check(name, norm)
            self.layers[-1] = dataclasses.replace(self.layers[-1], norm=norm)
        else:
            self.other(name, "a batch normalisation that does not follow a convolution directly")

    def _check(self, name: str, norm: BatchNorm) -> None:
        """Refuse statistics that no data have."""
        deviations = norm.variance + norm.epsilon
        if (
            not all(
                torch.isfinite(one).all() for one in (norm.scale, norm.shift, norm.mean, deviations)
            )
            or not (deviations > 0).all()
        ):
            raise ModelError(
                f"the statistics of {printable(name)} must be finite, with variances above 0"
            )

    @property
    def _pooled(self) -> bool:
        """Whether a pool follows the last layer."""
        return self._pools[-1:] == [len(self.layers)]

    def _foldable(self, name: str, scale: Tensor) -> bool:
        """Return whether the last layer is a convolution without ReLU yet."""
        if not self.layers or self._rectified or self._pending or self._pooled:
            return False
        last = self.layers[-1]
        if last.is_convolution and len(scale) != len(last.weight):
            raise ModelError(
                f"{printable(name)} must have the {len(last.weight):,} channels of "
                f"{printable(last.name)}; it has {len(scale):,} instead"
            )
        return last.is_convolution

    def relu(self) -> None:
        """Append a ReLU."""
        self._rectified = self._tells = True

    def softmax(self, name: str) -> None:
        """Append a softmax: at the end it keeps the order of the scores, elsewhere it is odd."""
        self._closing.append(f"{printable(name)}: a softmax before other layers")

    def pool(self, name: str, window: Window, *, average: bool = False) -> None:
        """Append a pool; padding of a row at the bottom and a column at the right may be declared.

        It has no effect on maps of even sides.
        """
        top, left, bottom, right = window.padding
        fits = window.kernel == window.stride == (2, 2) and window.dilation == (1, 1)
        if window.kernel == window.stride == (1, 1):
            return
        if average or not fits or top or left or max(bottom, right) > 1:
            kind = "average-pool" if average else "max-pool"
            self.other(name, f"a {_sides(window.kernel)} {kind} with {_slide(window)}")
        elif self._in_head:
            self.other(name, "a max-pool between fully connected layers")
        else:
            self._pools.append(len(self.layers))
            self._tells = True

    def normalize_locally(self, name: str, lrn: Lrn) -> None:
        """Append a local response normalisation; only net A-LRN has one, after conv1_1."""
        same = all(math.isclose(a, b, rel_tol=1e-3) for a, b in zip(lrn, PAPER_LRN, strict=True))
        first = len(self.layers) == 1 and self._rectified and not self._pooled
        if first and same and not self.lrn:
            self.lrn = True
        else:
            values = ", ".join(f"{key} {value:g}" for key, value in lrn._asdict().items())
            self.other(name, f"a local response normalisation ({values})")

    def other(self, name: str, what: str) -> None:
        """Append something that a VGG net has not."""
        self._pending.append(f"{printable(name)}: {what}")

    def ignore(self, line: str) -> None:
        """Report something that is not on the way of the data."""
        self._ignored.append(line)

    def _settle(self, head: bool) -> None:
        if self._pending and self.layers and not head:
            raise ModelError(
                f"{self._pending[0]}; a VGG net has only convolutions with ReLU and "
                "2x2 max-pools before the fully connected layers, so this net cannot be imported"
            )
        if self._pending and self.layers:
            self._give_up_head(*self._pending)
        else:
            self._ignored += self._pending
        self._pending = []

    def _give_up_head(self, *faults: str) -> None:
        self._head_fault = self._head_fault or faults[0]
        self._ignored += faults

    def finish(self) -> Collected:
        """Return what was collected.

        Raises:
            ModelError: There are no layers, or convolutions without ReLU.
        """
        if not self.layers:
            raise ModelError("holds no convolution or fully connected layer")
        self._settle(head=True)
        if self._pooled and not self._rectified:
            self._linear.append((self.layers[-1].name, self._in_head))
        for name, head in self._linear if self._tells else ():
            if not head:
                raise ModelError(
                    f"{printable(name)} must be followed by a ReLU, as in a VGG net; "
                    "this net cannot be imported"
                )
            self._give_up_head(f"{printable(name)}: no ReLU follows")
        if self._rectified and self._in_head:
            last = printable(self.layers[-1].name)
            self._give_up_head(f"{last}: a ReLU follows, though it is the last layer")
        if self.lrn is None and self._tells:
            self.lrn = False
        more = len(self._ignored) - MOST_LINES
        lines = self._ignored[:MOST_LINES] + ([f"{more:,} more"] if more > 0 else [])
        return Collected(
            tuple(self.layers),
            self._convolutional if self._tells else None,
            tuple(self._pools) if self._tells else None,
            self.lrn,
            self._head_fault,
            tuple(lines),
        )


def _slide(window: Window) -> str:
    parts = [f"stride {_sides(window.stride)}", f"padding {_sides(window.padding)}"]
    parts += [f"dilation {_sides(window.dilation)}"] * (window.dilation != (1, 1))
    parts += [f"{window.groups} groups"] * (window.groups != 1)
    return ", ".join(parts)


def _sides(sides: Sequence[int]) -> str:
    return str(sides[0]) if len(set(sides)) == 1 and len(sides) > 2 else "x".join(map(str, sides))
