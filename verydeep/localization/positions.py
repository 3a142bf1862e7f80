"""Where the positions of a net's dense answer lie on the picture (section 3.2, appendix A).

A net that is applied densely answers at every position, as if it were shown windows of its input
size that lie a stride of the last map, 32 pixels, apart. The first stands in the upper left corner
of what is shown; nothing is added at its edges, so the last pixels may be in no window.

On a crop of its own the net would see zeros around each window, in the dense form it sees the
picture's neighbouring parts: the places are the same, the answers need not be.

N pictures, G boxes a position (1, or one for every class), h, w sides of a map.
"""

from __future__ import annotations

from dataclasses import replace

import torch
from torch import Tensor

from verydeep.data import geometry
from verydeep.data.geometry import Window
from verydeep.localization.boxes import View, from_view
from verydeep.nets.table import STRIDE


def first_view(
    picture: tuple[int, int], rescaled: tuple[int, int], shown: geometry.View, input_size: int
) -> View:
    """Return what a net sees at position (0, 0) of what it is shown.

    Args:
        picture: Height and width of the upright picture.
        rescaled: Height and width after rescaling.
        shown: The part of the rescaled picture; not resized.
        input_size: Side of the net's windows.
    """
    assert shown.side in (None, shown.window.height), "a resized view has positions of its own"
    top, left, _, width = shown.window
    if shown.flip:  # the first window of the mirror image is the last of the picture
        left += width - input_size
    return View(picture, rescaled, Window(top, left, input_size, input_size), shown.flip)


def position_view(first: View, row: int, column: int) -> View:
    """Return what a net sees at a position of its dense answer.

    >>> view = View((90, 160), (90, 160), Window(0, 96, 64, 64), flip=True)
    >>> position_view(view, 0, 2).window
    Window(top=0, left=32, height=64, width=64)
    """
    window = first.window
    sideways = -STRIDE * column if first.flip else STRIDE * column
    moved = window._replace(top=window.top + STRIDE * row, left=window.left + sideways)
    return replace(first, window=moved)


def boxes_on_picture(maps: Tensor, first: View) -> Tensor:
    """Return where on the picture the boxes of a dense answer are.

    Args:
        maps: (G, 4, h, w), centre and size relative to each position's window.
        first: What the net sees at position (0, 0).

    Returns:
        (h, w, G, 4), corners in pixels of the upright picture. Not clipped.
    """
    h, w = maps.shape[-2:]
    relative = maps.permute(2, 3, 0, 1)
    # A window's place relative to the first, in the direction in which the net sees it.
    rows = torch.arange(h, dtype=maps.dtype, device=maps.device) * (STRIDE / first.window.height)
    columns = torch.arange(w, dtype=maps.dtype, device=maps.device) * (STRIDE / first.window.width)
    nothing = maps.new_zeros(h, w)
    offset = torch.stack(
        [columns.expand(h, w), rows[:, None].expand(h, w), nothing, nothing], dim=-1
    )
    return from_view(relative + offset[:, :, None], first)
