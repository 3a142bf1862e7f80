"""What excites channels most, drawn: the patches that their units saw."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

import numpy as np
from matplotlib.figure import Figure
from numpy.typing import NDArray

from verydeep.inside.exciting import Channel, Found, Patch
from verydeep.insight.explain.section import Panel, Section
from verydeep.insight.explain.tiles import Tile, draw_tiles

LONGEST = 18
"""Letters of a file's name above its patch."""

BEYOND = 0.9
"""Grey of what lies beyond a picture's edge."""


def exciting_section(
    found: Found, name: Callable[[int], str], *, among: str, count: int
) -> Section:
    """Draw the patches that excite channels most.

    Args:
        found: The patches.
        name: From the number of a picture to what people call it.
        among: Where the pictures were.
        count: How many were looked at.
    """
    return Section(
        name="exciting",
        title="What excites a channel most",
        lead=f"Of {count:,} pictures in {among}, those on which a channel answers most strongly, "
        "cut at the theoretical receptive field of the unit that does; one patch a picture. "
        "The number is what the unit answers.",
        panels=tuple(_panel(channel, found[channel], name) for channel in sorted(found)),
        facts={
            "among": among,
            "images": count,
            "channels": [
                {
                    "layer": channel.layer,
                    "channel": channel.number,
                    "patches": [{"file": name(p.index), **p.to_dict()} for p in patches],
                }
                for channel, patches in sorted(found.items())
            ],
        },
    )


def _panel(channel: Channel, patches: Sequence[Patch], name: Callable[[int], str]) -> Panel:
    listed = ", ".join(f"{name(patch.index)} {patch.unit.value:.3g}" for patch in patches)
    side = patches[0].field.whole.height
    return Panel(
        name=f"exciting-{channel.layer.replace('_', '-')}-{channel.number}",
        title=f"{channel.layer}, channel {channel.number}",
        alt=f"{len(patches)} patches of at most {side}x{side} pixels, the most exciting first: "
        f"{listed}.",
        figure=_draw(patches, name),
        caption=f"A unit of this layer sees {side}x{side} pixels. What lies beyond the edge of a "
        "picture is grey.",
    )


def _draw(patches: Sequence[Patch], name: Callable[[int], str]) -> Figure:
    tiles = [
        Tile(values, f"{patch.unit.value:.3g}  {_short(name(patch.index))}")
        for values, patch in zip(_aligned(patches), patches, strict=True)
    ]
    return draw_tiles(tiles, 3, scale=None)


def _aligned(patches: Sequence[Patch]) -> list[NDArray[Any]]:
    """Return patches as colours (h, w, 3) of one shape, their units' middles in one place.

    Of the receptive field, rows and columns are left out that lie on none of the pictures.
    """
    starts = [
        (p.field.visible.top - p.field.whole.top, p.field.visible.left - p.field.whole.left)
        for p in patches
    ]
    shapes = [patch.pixels.shape[1:] for patch in patches]
    first = np.min(starts, axis=0)
    last = np.max(np.add(starts, shapes), axis=0)
    aligned = []
    for patch, start, shape in zip(patches, starts, shapes, strict=True):
        canvas = np.full((*(last - first), 3), BEYOND)
        (y, x), (height, width) = start - first, shape
        canvas[y : y + height, x : x + width] = patch.pixels.permute(1, 2, 0).numpy() / 255
        aligned.append(canvas)
    return aligned


def _short(name: str) -> str:
    stem = name.rsplit("/", 1)[-1]
    return stem if len(stem) <= LONGEST else f"{stem[: LONGEST - 1]}…"
