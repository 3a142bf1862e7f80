"""Sizes, windows and views of rescaled images: pure arithmetic, for training and testing."""

from __future__ import annotations

from typing import Literal, NamedTuple

Rounding = Literal["nearest", "down"]


class Window(NamedTuple):
    """A rectangle of whole pixels: its upper left corner and its size."""

    top: int
    left: int
    height: int
    width: int

    @property
    def corners(self) -> tuple[int, int, int, int]:
        """Left, upper, right and lower edge: x0, y0, x1, y1."""
        return self.left, self.top, self.left + self.width, self.top + self.height


class View(NamedTuple):
    """What a net is shown of a rescaled image.

    Attributes:
        window: The part of the image.
        flip: Whether it is mirrored.
        side: Side of the square that the part is resized to, in pixels; None shows it as it is.
    """

    window: Window
    flip: bool = False
    side: int | None = None

    @property
    def shown(self) -> tuple[int, int]:
        """Height and width of what the net is shown."""
        side = self.side
        return (side, side) if side else (self.window.height, self.window.width)


def rescaled_size(
    height: int, width: int, scale: int, rounding: Rounding = "nearest"
) -> tuple[int, int]:
    """Return the size of an image whose smallest side is brought to ``scale``.

    Isotropic up to rounding: the longer side is rounded to whole pixels, or down as torchvision's
    ``Resize`` does it.

    >>> rescaled_size(375, 500, 256)
    (256, 341)
    >>> rescaled_size(300, 451, 256), rescaled_size(300, 451, 256, "down")
    ((256, 385), (256, 384))
    """
    smallest, longest = sorted((height, width))
    exact = longest * scale / smallest
    longer = max(scale, int(exact) if rounding == "down" else round(exact))
    return (scale, longer) if height <= width else (longer, scale)


def center_window(height: int, width: int, size: int) -> Window:
    """Return the central square of side ``size``; half pixels go up and left.

    >>> center_window(256, 341, 224)
    Window(top=16, left=58, height=224, width=224)
    """
    return Window((height - size) // 2, (width - size) // 2, size, size)
