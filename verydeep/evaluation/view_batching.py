"""Views of many images, shown to a net together where they are of one size.

N views of a group; H, W sides of a rescaled image, h, w of a view.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Callable, Sequence
from typing import Generic, NamedTuple, TypeVar

import numpy as np
import torch
from PIL import Image
from torch import Tensor

from verydeep.data.geometry import View
from verydeep.data.pipeline.rescaled import Pixels

T = TypeVar("T")

PENDING_BYTES = 256 * 2**20
"""Images that may wait in memory for others whose views are shown at the same size."""


class _Item(NamedTuple, Generic[T]):
    """A view that waits to be shown, and keeps its image of ``source`` bytes alive."""

    pixels: Pixels
    picture: tuple[int, int]
    source: int
    note: T


class Together(Generic[T]):
    """Collects views until there are enough of one size to be shown to a net.

    What goes together depends on the order of the views alone.

    Args:
        pixels_at_once: Of each net, the pixels that should go through it together.
        work: Called with the number of a net, a group of views, uint8 (N, 3, h, w), and what was
            noted of each.
    """

    def __init__(
        self, pixels_at_once: Sequence[int], work: Callable[[int, Tensor, Sequence[T]], None]
    ) -> None:
        self.pixels_at_once = pixels_at_once
        self.work = work
        self.waiting: dict[tuple[int, tuple[int, int]], list[_Item[T]]] = defaultdict(list)
        self.held: dict[tuple[int, int], int] = {}
        self.pending = 0

    def add(self, net: int, view: View, pixels: Pixels, picture: tuple[int, int], note: T) -> None:
        """Take a view, and show it with others of its size if that fills a batch.

        Args:
            net: Number of the net that it is for.
            view: Which part of the image.
            pixels: The rescaled image, uint8 (H, W, 3).
            picture: What tells these pixels from others: number and scale.
            note: Comes back with the view.
        """
        height, width = view.shown
        group = self.waiting[net, view.shown]
        group.append(_Item(show(pixels, view), picture, pixels.size, note))
        self.pending += 0 if picture in self.held else pixels.size
        self.held[picture] = pixels.size
        if (len(group) + 1) * height * width > self.pixels_at_once[net]:
            self._show(net, self.waiting.pop((net, view.shown)))
            self._count()
        elif self.pending > PENDING_BYTES:
            self.flush()

    def flush(self) -> None:
        """Show all that waits."""
        for (net, _), group in self.waiting.items():
            self._show(net, group)
        self.waiting.clear()
        self._count()

    def _count(self) -> None:
        """Find out which images still wait; several views share the memory of one."""
        waiting = (item for group in self.waiting.values() for item in group)
        self.held = {item.picture: item.source for item in waiting}
        self.pending = sum(self.held.values())

    def _show(self, net: int, group: Sequence[_Item[T]]) -> None:
        shown = torch.from_numpy(np.stack([item.pixels for item in group])).permute(0, 3, 1, 2)
        self.work(net, shown, [item.note for item in group])


def show(pixels: Pixels, view: View) -> Pixels:
    """Return what a net is shown of a rescaled image.

    Args:
        pixels: uint8 (H, W, 3).
        view: Which part of it, and how.

    Returns:
        uint8 (h, w, 3), of the same memory unless the view is resized.
    """
    top, left, height, width = view.window
    part = pixels[top : top + height, left : left + width]
    if view.side and view.side != height:
        size = (view.side, view.side)
        part = np.asarray(Image.fromarray(part).resize(size, Image.Resampling.BILINEAR))
    return part[:, ::-1] if view.flip else part
