"""Top activations: the image patches to which channels respond most strongly."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

import numpy as np
from matplotlib.figure import Figure
from numpy.typing import NDArray

from verydeep.inspection.top_activations import Channel, Patch, Patches
from verydeep.visualization.inspection.heatmap import as_array, show
from verydeep.visualization.inspection.section import Panel, Section
from verydeep.visualization.inspection.tiles import DOTS, HEAD, WIDTH
from verydeep.visualization.plots.fonts import key_to_numbers, name_or_number
from verydeep.visualization.plots.style import ORANGE, outline, shortened
from verydeep.visualization.plots.style import number as printed

LONGEST = 20
"""Maximum length of a file name above its patch, in characters."""

BEYOND = 0.5
"""Grey value outside the image."""


def exciting_section(
    patches_of: Patches, name: Callable[[int], str], *, among: str, count: int
) -> Section:
    """Draw the patches with the strongest activations of channels, beside their images.

    Args:
        patches_of: The patches by channel.
        name: Returns the display name of an image by its index.
        among: Folder of the images.
        count: Number of images searched.
    """
    return Section(
        name="exciting",
        title="Top activations",
        lead=f"The images among {count:,} in {among} to which a channel responds most strongly, "
        "cropped to the theoretical receptive field of the most active unit, one patch per image. "
        "Beside each patch is its image with the field outlined. The number is the activation.",
        panels=tuple(_panel(channel, patches_of[channel], name) for channel in sorted(patches_of)),
        facts={
            "among": among,
            "images": count,
            "channels": [
                {
                    "layer": channel.layer,
                    "channel": channel.number,
                    "patches": [{"file": name(p.index), **p.to_dict()} for p in patches],
                }
                for channel, patches in sorted(patches_of.items())
            ],
        },
    )


def _panel(channel: Channel, patches: Sequence[Patch], name: Callable[[int], str]) -> Panel:
    listed = ", ".join(f"{name(patch.index)} {patch.unit.value:.3g}" for patch in patches)
    side = patches[0].field.whole.height
    return Panel(
        name=f"exciting-{channel.layer.replace('_', '-')}-{channel.number}",
        title=f"{channel.layer}, channel {channel.number}",
        alt=f"{len(patches)} patches of at most {side}x{side} pixels beside their images, "
        f"strongest activation first: {listed}.",
        figure=_draw(patches, name),
        caption=f"A unit of this layer sees {side}x{side} pixels. Pixels outside the image are "
        f"grey. {_key(patches, name)}".rstrip(),
    )


def _key(patches: Sequence[Patch], name: Callable[[int], str]) -> str:
    return key_to_numbers({number: name(p.index) for number, p in enumerate(patches, start=1)})


def _draw(patches: Sequence[Patch], name: Callable[[int], str]) -> Figure:
    """Draw each patch with its image to the right."""
    rows, gap = -(-len(patches) // 2), 0.08
    side = (WIDTH - 3 * gap) / 4
    tall = rows * (side + HEAD)
    figure = Figure(figsize=(WIDTH, tall), dpi=DOTS)

    def place(row: int, column: int) -> Any:
        corner = (column * (side + gap) / WIDTH, 1 - ((row + 1) * (side + HEAD)) / tall)
        return figure.add_axes((*corner, side / WIDTH, side / tall), anchor="NW")

    for number, (values, patch) in enumerate(zip(_aligned(patches), patches, strict=True)):
        row, column = divmod(number, 2)
        near, whole = (place(row, 2 * column + which) for which in (0, 1))
        file = shortened(name_or_number(name(patch.index), number + 1), LONGEST)
        title = f"{printed(patch.unit.value)}  {file}"
        show(near, values, title)
        _draw_whole(whole, patch)
    return figure


def _draw_whole(axes: Any, patch: Patch) -> None:
    show(axes, as_array(patch.thumbnail), "", size=patch.size)
    outline(axes, patch.field.visible.corners, ORANGE, 1.6)
    height, width = patch.size
    # Margin for the outline, half of which lies outside the image.
    axes.set(xlim=(-0.01 * width, 1.01 * width), ylim=(1.01 * height, -0.01 * height))


def _aligned(patches: Sequence[Patch]) -> list[NDArray[Any]]:
    """Return patches as colours (h, w, 3) of one shape, aligned at the centres of their units.

    Rows and columns of the receptive field that lie outside all images are left out.
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
