"""Batches of views of the same size, from many images.

N views in a batch; H, W sides of a rescaled image, h, w of a view. Volumes have D and d before.
"""

from __future__ import annotations

import math
from collections import defaultdict
from collections.abc import Callable, Generator, Sequence
from contextlib import closing
from typing import Generic, NamedTuple, TypeVar

import numpy as np
from PIL import Image

from verydeep.data.geometry import View
from verydeep.data.pipeline.rescaled import Pixels, TestPicture, TestPictures
from verydeep.data.volumes.geometry import CubeView
from verydeep.system.progress import ProgressTask

T = TypeVar("T")

PENDING_BYTES = 256 * 2**20
"""Memory limit of images whose views wait for others of the same size."""


class _Item(NamedTuple, Generic[T]):
    """A waiting view, which keeps its image of ``source`` bytes in memory."""

    pixels: Pixels
    picture: tuple[int, int]
    source: int
    note: T


class Together(Generic[T]):
    """Collects views of one size into batches for a net.

    The batches depend only on the order of the views.

    Args:
        pixels_at_once: Total pixels of a batch, for each net.
        work: Called with the index of a net, a batch of views, uint8 (N, 3, h, w), and the note
            of each view.
    """

    def __init__(
        self, pixels_at_once: Sequence[int], work: Callable[[int, Pixels, Sequence[T]], None]
    ) -> None:
        self.pixels_at_once = pixels_at_once
        self.work = work
        self.waiting: dict[tuple[int, tuple[int, ...]], list[_Item[T]]] = defaultdict(list)
        self.held: dict[tuple[int, int], int] = {}
        self.pending = 0

    def add(
        self, net: int, view: View | CubeView, pixels: Pixels, picture: tuple[int, int], note: T
    ) -> None:
        """Add a view, and run its batch if that is full.

        Args:
            net: Index of the net.
            view: Part of the image.
            pixels: The rescaled image, uint8 (H, W, 3), or volume, uint8 (D, H, W, 3).
            picture: Key of these pixels: image index and scale.
            note: Passed on with the view.
        """
        group = self.waiting[net, view.shown]
        group.append(_Item(show(pixels, view), picture, pixels.size, note))
        self.pending += 0 if picture in self.held else pixels.size
        self.held[picture] = pixels.size
        if (len(group) + 1) * math.prod(view.shown) > self.pixels_at_once[net]:
            self._show(net, self.waiting.pop((net, view.shown)))
            self._count()
        elif self.pending > PENDING_BYTES:
            self.flush()

    def flush(self) -> None:
        """Run all waiting views."""
        for (net, _), group in self.waiting.items():
            self._show(net, group)
        self.waiting.clear()
        self._count()

    def _count(self) -> None:
        """Recount the memory of waiting images; views of the same image share it."""
        waiting = (item for group in self.waiting.values() for item in group)
        self.held = {item.picture: item.source for item in waiting}
        self.pending = sum(self.held.values())

    def _show(self, net: int, group: Sequence[_Item[T]]) -> None:
        shown = np.moveaxis(np.stack([item.pixels for item in group]), -1, 1)
        self.work(net, shown, [item.note for item in group])


def in_blocks(
    pictures: TestPictures,
    together: Together[T],
    block: int,
    *,
    task: ProgressTask | None = None,
    full: Callable[[], bool] = lambda: False,
) -> Generator[TestPicture, None, None]:
    """Yield images, and run the waiting views after each block of neighbours and at the end.

    Batches never cross blocks, so the results are identical to the last digit wherever a block is
    computed.

    Args:
        pictures: Images at every scale; it records unreadable ones.
        together: Collects the views, which the caller adds for each image.
        block: Images per block.
        task: Progress task, updated with the number of images done.
        full: Tells that the waiting views must run before the block ends.

    Yields:
        Every readable image, in order. Close the generator to end the reading early.
    """
    current = 0
    with closing(iter(pictures)) as each:
        for picture in each:
            if picture.index // block != current or full():
                together.flush()
                current = picture.index // block
            yield picture
            if task:
                task.update(picture.index + 1)
    together.flush()
    if task:
        task.update(len(pictures))


def show(pixels: Pixels, view: View | CubeView) -> Pixels:
    """Return the view of a rescaled image or volume that a net receives.

    Args:
        pixels: uint8 (H, W, 3), or (D, H, W, 3).
        view: Part of it, with flip and size.

    Returns:
        uint8 (h, w, 3), or (d, h, w, 3); shares memory with ``pixels`` unless the view is resized.
    """
    part = pixels[view.window.slices]
    if isinstance(view, View) and view.side and view.side != view.window.height:
        size = (view.side, view.side)
        part = np.asarray(Image.fromarray(part).resize(size, Image.Resampling.BILINEAR))
    return part[..., ::-1, :] if view.flip else part
