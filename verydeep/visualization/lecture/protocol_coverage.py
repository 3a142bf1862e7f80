"""Coverage of an image by each test protocol (sections 3.2 and 4.3).

H, W: sides of a rescaled image.
"""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np
import numpy.typing as npt
from matplotlib.figure import Figure

from verydeep.data.geometry import Window, rescaled_size
from verydeep.evaluation.protocol import NAMES, TestProtocol
from verydeep.evaluation.views import Dense, Views
from verydeep.nets.table import STRIDE, final_map
from verydeep.visualization.plots.style import outline

Q, INPUT = 256, 224
"""Test scale and input size, in pixels; the original image has 640x480."""

TITLES = {"crops": "crops 5x5", "both": "both: dense and crops"}
"""Titles of protocols, where they differ from the name."""


def windows(kind: Views, height: int, width: int, size: int) -> Iterator[Window]:
    """Yield the windows that a net of input size ``size`` sees, regardless of mirroring.

    A dense view consists of the windows of its positions, 32 pixels apart.
    """
    if not isinstance(kind, Dense):
        yield from (view.window for view in kind(height, width, size))
        return
    for row in range(final_map(height) - final_map(size) + 1):
        for column in range(final_map(width) - final_map(size) + 1):
            yield Window(row * STRIDE, column * STRIDE, size, size)


def share_shown(
    protocol: TestProtocol, height: int, width: int, size: int
) -> npt.NDArray[np.float64]:
    """Return the weight (H, W) of the views that show each pixel, 0 to 1, at one scale."""
    total = np.zeros((height, width))
    for kind in protocol.kinds:
        views = [*windows(kind, height, width, size)]
        for top, left, rows, columns in views:
            total[top : top + rows, left : left + columns] += 1 / len(views)
    return total / len(protocol.kinds)


def draw_shown() -> Figure:
    """Draw the coverage of every pixel and the windows, for each protocol."""
    height, width = rescaled_size(480, 640, Q)
    figure = Figure(figsize=(12, 6.2), layout="constrained")
    panels = figure.subplots(2, 3)
    for axes, name in zip(panels.flat, NAMES, strict=True):
        protocol = TestProtocol(name, (Q,), flip=True)
        image = axes.imshow(
            100 * share_shown(protocol, height, width, INPUT),
            extent=(0, width, height, 0),
            cmap="cividis",
            vmin=0,
            vmax=100,
        )
        distinct = {w for kind in protocol.kinds for w in windows(kind, height, width, INPUT)}
        for window in sorted(distinct):
            outline(axes, window.corners, "white", 0.7, alpha=0.8, halo=False)
        axes.set_title(TITLES.get(name, name))
        axes.set(xlabel="pixels", ylabel="pixels")
    figure.colorbar(image, ax=panels, shrink=0.8, label="views that show a pixel (%)")
    return figure
