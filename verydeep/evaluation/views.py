"""Views of rescaled images: the parts that a net sees (section 3.2). Pure geometry.

Each kind is a small callable value. It takes the size of a rescaled image and the net's input
size, all in pixels, and returns every view; views of one kind at one scale weigh the same. A view
occurs several times if the image leaves a grid no room to move.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass

from verydeep.data.geometry import View, Window, center_window

Views = Callable[[int, int, int], tuple[View, ...]]
"""Function from a rescaled image's height and width and a net's input size to views. Hashable."""


@dataclass(frozen=True, slots=True)
class Dense:
    """The whole image: the net answers at every position where it fits (dense evaluation).

    >>> Dense(flip=False)(256, 341, 224)
    (View(window=Window(top=0, left=0, height=256, width=341), flip=False, side=None),)
    """

    flip: bool = True

    def __call__(self, height: int, width: int, input_size: int) -> tuple[View, ...]:
        """Return the whole image and its mirror image."""
        return _mirrored([Window(0, 0, height, width)], self.flip)


@dataclass(frozen=True, slots=True)
class Center:
    """The central crop.

    Attributes:
        flip: Whether to add the mirror image.
        half_even: Whether to round half a pixel to even, as torchvision's ``CenterCrop`` does,
            instead of up and left.
    """

    flip: bool = True
    half_even: bool = False

    def __call__(self, height: int, width: int, input_size: int) -> tuple[View, ...]:
        """Return the central crop and its mirror image."""
        window = center_window(height, width, input_size)
        if self.half_even:
            top, left = round((height - input_size) / 2), round((width - input_size) / 2)
            window = window._replace(top=top, left=left)
        return _mirrored([window], self.flip)


@dataclass(frozen=True, slots=True)
class Grid:
    """Crops on a regular grid over the whole image, 5x5 in the paper.

    The outermost crops touch the image's borders; a single row or column is centred.

    >>> [view.window[:2] for view in Grid(2, 3, flip=False)(256, 341, 224)]
    [(0, 0), (0, 58), (0, 117), (32, 0), (32, 58), (32, 117)]
    """

    rows: int = 5
    columns: int = 5
    flip: bool = True

    def __call__(self, height: int, width: int, input_size: int) -> tuple[View, ...]:
        """Return the crops row by row, each followed by its mirror image."""
        corners = (
            (top, left)
            for top in spread(height - input_size, self.rows)
            for left in spread(width - input_size, self.columns)
        )
        return _mirrored((Window(*corner, input_size, input_size) for corner in corners), self.flip)


@dataclass(frozen=True, slots=True)
class TenCrop:
    """Krizhevsky's crops (2012): the corners and the centre of the image's central square.

    >>> [view.window[:2] for view in TenCrop(flip=False)(256, 341, 224)]
    [(0, 42), (0, 74), (32, 42), (32, 74), (16, 58)]
    """

    flip: bool = True

    def __call__(self, height: int, width: int, input_size: int) -> tuple[View, ...]:
        """Return the five crops, each followed by its mirror image."""
        square = center_window(height, width, min(height, width))
        return _mirrored(_five(square, input_size), self.flip)


@dataclass(frozen=True, slots=True)
class GoogLeNetCrops:
    """The crops of Szegedy et al. (2014): six from each of three squares per scale.

    The squares lie at both ends and in the middle of the longer side. Each gives its corners, its
    centre, and the whole square resized to the input size. Four scales with mirror images make
    144 views.
    """

    flip: bool = True

    def __call__(self, height: int, width: int, input_size: int) -> tuple[View, ...]:
        """Return the 18 views, each followed by its mirror image."""
        side = min(height, width)
        squares = (
            Window(top, left, side, side)
            for top in spread(height - side, 3 if height > width else 1)
            for left in spread(width - side, 1 if height > width else 3)
        )
        return tuple(
            view
            for square in squares
            for view in (
                *_mirrored(_five(square, input_size), self.flip),
                *_mirrored([square], self.flip, input_size),
            )
        )


def _five(square: Window, size: int) -> Iterator[Window]:
    """Yield the corners of a square, row by row, then its centre."""
    room = square.height - size
    for top, left in ((0, 0), (0, room), (room, 0), (room, room), (room // 2, room // 2)):
        yield Window(square.top + top, square.left + left, size, size)


def spread(room: int, count: int) -> list[int]:
    """Return evenly spaced numbers from 0 to ``room``, or its middle if only one.

    They are rounded to whole pixels, halves up and left.
    """
    if count == 1:
        return [room // 2]
    gaps = count - 1
    return [(2 * place * room + gaps - 1) // (2 * gaps) for place in range(count)]


def _mirrored(windows: Iterable[Window], flip: bool, side: int | None = None) -> tuple[View, ...]:
    turns = (False, True) if flip else (False,)
    return tuple(View(window, turn, side) for window in windows for turn in turns)
