"""Which part of an image each test protocol shows, and how often (sections 3.2 and 4.3).

H, W sides of a rescaled image.
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
"""Test scale and input size of what is drawn, in pixels; the image was 640x480."""

TITLES = {
    "center": "center",
    "dense": "dense",
    "crops": "crops 5x5",
    "both": "both: dense and crops",
    "ten-crop": "ten-crop",
    "googlenet": "googlenet",
}
"""Of the protocols."""


def windows(kind: Views, height: int, width: int, size: int) -> Iterator[Window]:
    """Yield what a net of input size ``size`` is shown; mirror images are not told apart.

    A dense view is what its positions see: windows of the input size, 32 pixels apart.
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
    """Return the weight of the views that show each pixel, 0 to 1, (H, W), at one scale."""
    total = np.zeros((height, width))
    for kind in protocol.kinds:
        seen = [*windows(kind, height, width, size)]
        for top, left, rows, columns in seen:
            total[top : top + rows, left : left + columns] += 1 / len(seen)
    return total / len(protocol.kinds)


def draw_shown() -> Figure:
    """Draw, for each protocol, how often every pixel is shown, and the windows."""
    height, width = rescaled_size(480, 640, Q)
    figure = Figure(figsize=(12, 6.2), layout="constrained")
    panels = figure.subplots(2, 3)
    for axes, name in zip(panels.flat, NAMES, strict=True):
        protocol = TestProtocol(name, (Q,))
        image = axes.imshow(
            100 * share_shown(protocol, height, width, INPUT),
            extent=(0, width, height, 0),
            cmap="cividis",
            vmin=0,
            vmax=100,
        )
        seen = dict.fromkeys(
            w for kind in protocol.kinds for w in windows(kind, height, width, INPUT)
        )
        for window in seen:
            outline(axes, window.corners, "white", 0.7, alpha=0.8, halo=False)
        axes.set_title(TITLES[name])
        axes.set(xlabel="pixels", ylabel="pixels")
    figure.colorbar(image, ax=panels, shrink=0.8, label="views that show a pixel (%)")
    return figure
