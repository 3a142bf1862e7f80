"""Boxes, sizes, windows and views of images, for training and testing."""

from __future__ import annotations

from typing import Literal, NamedTuple

Rounding = Literal["nearest", "down"]


class Box(NamedTuple):
    """A rectangle in pixels of the upright image; x1 and y1 are exclusive."""

    x0: float
    y0: float
    x1: float
    y1: float


class Window(NamedTuple):
    """A rectangle of whole pixels, given by its upper left corner and size."""

    top: int
    left: int
    height: int
    width: int

    @property
    def slices(self) -> tuple[slice, slice]:
        """The rectangle as an index into rows and columns."""
        return (
            slice(self.top, self.top + self.height),
            slice(self.left, self.left + self.width),
        )

    @property
    def corners(self) -> tuple[int, int, int, int]:
        """Left, upper, right and lower edge: x0, y0, x1, y1."""
        return self.left, self.top, self.left + self.width, self.top + self.height


class View(NamedTuple):
    """The part of a rescaled image that a net receives.

    Attributes:
        window: Part of the image.
        flip: Whether it is mirrored.
        side: Side in pixels of the square the part is resized to; None leaves its size.
    """

    window: Window
    flip: bool = False
    side: int | None = None

    @property
    def shown(self) -> tuple[int, int]:
        """Height and width of the net's input."""
        side = self.side
        return (side, side) if side else (self.window.height, self.window.width)


def rescaled_size(
    height: int, width: int, scale: int, rounding: Rounding = "nearest"
) -> tuple[int, int]:
    """Return the size of an image whose smallest side is brought to ``scale``.

    Isotropic up to rounding: the longer side is rounded to the nearest pixel, or down as in
    torchvision's ``Resize``.

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
    """Return the central square of side ``size``; half pixels round up and left.

    >>> center_window(256, 341, 224)
    Window(top=16, left=58, height=224, width=224)
    """
    return Window((height - size) // 2, (width - size) // 2, size, size)
