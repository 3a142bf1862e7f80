"""How boxes are tested, as a value: views, classes, merging (appendix A)."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Literal, get_args

from verydeep.errors import InputError, did_you_mean
from verydeep.evaluation.protocol import check_grid
from verydeep.evaluation.views import Center, Dense, Grid, Views
from verydeep.localization.merge import USUAL, Merging
from verydeep.nets.table import STRIDE
from verydeep.system.option_names import option

BoxProtocolName = Literal["center", "dense", "crops"]

NAMES: tuple[BoxProtocolName, ...] = get_args(BoxProtocolName)


USUAL_GRID = (5, 5)
"""Rows and columns of crops if nothing else is said."""


@dataclass(frozen=True, slots=True)
class BoxProtocol:
    """A way to test where objects are found.

    Attributes:
        name: ``center``: the box of the true class on the central crop, to compare box nets (the
            paper's first protocol); ``dense``: boxes at all positions, merged, of the likeliest
            classes (its second); ``crops``: the same with a grid of crops, each shown to the nets
            by itself, instead of the positions.
        scales: Test scales Q, the smallest side of the rescaled image in pixels; of several,
            ``center`` takes the smallest.
        flip: Whether ``dense`` and ``crops`` look at mirror images too. The paper does not say.
        top: Classes whose boxes are looked for, k.
        merging: How the boxes of a class are merged.
        grid: Rows and columns of ``crops``.

    >>> print(BoxProtocol("dense", (256, 384)))
    dense at Q = 256, 384, with mirror images, top 5 classes
    """

    name: BoxProtocolName
    scales: tuple[int, ...]
    flip: bool = True
    top: int = 5
    merging: Merging = USUAL
    grid: tuple[int, int] = USUAL_GRID

    @property
    def views(self) -> Views:
        """The views at each scale."""
        match self.name:
            case "center":
                return Center(flip=False)
            case "dense":
                return Dense(self.flip)
            case "crops":
                return Grid(*self.grid, self.flip)

    @property
    def guesses(self) -> bool:
        """Whether classification nets say which classes are looked for; else the true one is."""
        return self.name != "center"

    @property
    def used_scales(self) -> tuple[int, ...]:
        """The scales that are looked at."""
        return (min(self.scales),) if self.name == "center" else self.scales

    def __str__(self) -> str:
        if not self.guesses:
            return f"center at Q = {min(self.scales)}, true class"
        rows, columns = self.grid
        grid = f" {rows}x{columns}" if self.name == "crops" else ""
        scales = ", ".join(str(scale) for scale in self.scales)
        turns = "with mirror images" if self.flip else "without mirror images"
        return f"{self.name}{grid} at Q = {scales}, {turns}, top {self.top} classes"

    def unseen(self, input_size: int) -> dict[int, int]:
        """Return scales at which ``dense`` leaves pixels out, and how many.

        Windows begin in the upper left corner, 32 pixels apart: the last pixels of the smaller side
        may be in none. (Those of the longer one too, which depends on the image.)

        >>> BoxProtocol("dense", (64, 72, 96)).unseen(64)
        {72: 8}
        """
        if self.name != "dense":
            return {}
        left = {scale: (scale - input_size) % STRIDE for scale in self.scales}
        return {scale: pixels for scale, pixels in left.items() if pixels}


def make_box_protocol(
    name: str,
    scales: Sequence[int],
    *,
    flip: bool = True,
    top: int = 5,
    threshold: float | None = None,
    most: int | None = None,
    grid: tuple[int, int] = USUAL_GRID,
) -> BoxProtocol:
    """Return a protocol, checked.

    Args:
        name: ``center``, ``dense`` or ``crops``.
        scales: Test scales Q, in pixels.
        flip: Whether to look at mirror images too.
        top: Classes whose boxes are looked for.
        threshold: The worst match that is merged; None takes the default of :class:`Merging`.
        most: Boxes that are merged at most; None takes the default.
        grid: Rows and columns of ``crops``.

    Raises:
        InputError: There is no such protocol, no scale, no such grid, or a number is out of its
            range.
    """
    if name not in NAMES:
        raise InputError(
            f"protocol of boxes must be one of {', '.join(NAMES)}, got {name!r} instead"
            f"{did_you_mean(name, NAMES)}"
        )
    if not scales:
        raise InputError("a protocol needs at least one test scale, in pixels")
    if len(set(scales)) < len(scales):
        raise InputError(f"each test scale once, got {', '.join(map(str, scales))} instead")
    if top < 1:
        raise InputError(f"boxes are looked for of at least 1 class, got top = {top} instead")
    check_grid(grid)
    merging = Merging(
        USUAL.threshold if threshold is None else threshold, USUAL.most if most is None else most
    )
    if merging.threshold != merging.threshold or merging.most < 1:
        raise InputError(
            "merging needs a number as threshold and at least 1 box, "
            f"got {merging.threshold} and {merging.most} instead"
        )
    return BoxProtocol(name, tuple(scales), flip, top, merging, grid)


def check_grid_use(grid: tuple[int, int], protocol: str | None) -> None:
    """Raise an InputError if a grid was chosen for a protocol that has none."""
    if grid != USUAL_GRID and protocol != "crops":
        raise InputError(
            f"{option('grid')} is for crops: with {option('boxes')} give "
            f"{option('protocol', 'crops')} too"
        )


def unseen_notice(protocol: BoxProtocol, input_size: int) -> str | None:
    """Return what to say of pixels that no window sees; None if all are seen."""
    unseen = protocol.unseen(input_size)
    if not unseen:
        return None
    scales, pixels = (", ".join(map(str, numbers)) for numbers in (unseen, unseen.values()))
    # The windows of the mirror image begin on the other side.
    where = "at the bottom" if protocol.flip else "on the right and at the bottom"
    good = ", ".join(str(input_size + STRIDE * steps) for steps in range(3))
    return (
        f"dense at Q = {scales}: of the smaller side {pixels} pixels are in no window, {where}; "
        f"none are lost at Q = {good}, …, nor by {option('protocol', 'crops')} "
        "with rows and columns enough"
    )


def whole_scales(scales: Sequence[int], input_size: int) -> tuple[int, ...]:
    """Return the nearest scales at which ``dense`` leaves no pixel of the smaller side out.

    >>> whole_scales((224, 256, 288), 224), whole_scales((96, 110, 123), 96)
    ((224, 256, 288), (96, 128))
    """
    steps = {max(0, round((scale - input_size) / STRIDE)) for scale in scales}
    return tuple(input_size + STRIDE * each for each in sorted(steps))
