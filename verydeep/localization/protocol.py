"""Test protocols for box regressors: views, classes and merging (appendix A)."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Literal, get_args
from typing import Protocol as Interface

from verydeep.errors import InputError
from verydeep.evaluation.protocol import (
    USUAL_GRID,
    Scaled,
    Scales,
    TestProtocol,
    check_one_of,
    checked_grid,
    checked_scales,
    paper_scales,
    scales_and_flip,
)
from verydeep.evaluation.views import Center, Dense, Grid, Views
from verydeep.system.option_names import option
from verydeep.system.settings import described

BoxProtocolName = Literal["center", "dense", "crops"]

NAMES: tuple[BoxProtocolName, ...] = get_args(BoxProtocolName)


@dataclass(frozen=True, slots=True)
class Merging:
    """Limits of merging.

    Attributes:
        threshold: Worst match score that is merged, −1 to about 1; below −1 only equal boxes are
            merged. At −0.5, equal squares with an IoU of 0.69 or more are merged. On the digits'
            validation split, −0.6 to −0.2 work about equally well.
        most: Maximum number of distinct boxes to merge; if there are more, those with the best
            scores (the best over all classes) are kept. The time grows with its square.
    """

    threshold: float = -0.5
    most: int = 1000


USUAL = Merging()
"""Default limits of merging."""

CORRECT_ABOVE = 0.5
"""IoU with the true box above which a box is correct."""


class Strided(Scaled, Interface):
    """Interface of a net with dense output at positions a stride apart."""

    @property
    def stride(self) -> int:
        """Image pixels between neighbouring positions."""


@dataclass(frozen=True, slots=True)
class BoxProtocol:
    """Test protocol for box regressors.

    :meth:`for_nets` fills in the values left at None from the nets.

    Attributes:
        name: ``center``: box of the true class on the central crop, to compare box regressors (the
            paper's first protocol); ``dense``: merged boxes of the most likely classes from all
            positions (its second); ``crops``: the same with a grid of separate crops instead of
            positions. Default: ``dense`` with a classifier, else ``center``.
        scales: Test scales Q, the smallest side of the rescaled image in pixels; ``center`` uses
            the smallest. ``single`` or ``multi``: the paper's scales for the box regressor's
            training scale; ``multi`` with ``dense`` is rounded to scales at which windows cover all
            pixels of the smaller side. Default: the first box regressor's test scales.
        flip: Use mirror images too in ``dense`` and ``crops`` (the paper does not say). Default:
            the first classifier's setting.
        top: Number k of classes whose boxes are predicted.
        threshold: Worst match of two boxes that are merged; see :class:`Merging`.
        most: Maximum number of boxes to merge; see :class:`Merging`.
        grid: Rows and columns of ``crops``.

    Raises:
        InputError: The protocol or grid is unknown, there is no scale, or a number is out of range.

    >>> print(BoxProtocol("dense", (256, 384), flip=True))
    dense at Q = 256, 384, with mirror images, top 5 classes
    """

    name: BoxProtocolName | None = described(None, "dense, crops or center")
    scales: Scales = None
    flip: bool | None = None
    top: int = described(5, "classes whose boxes are predicted")
    threshold: float = described(
        USUAL.threshold, "worst match of two boxes that are merged: −1 (equal boxes only) to 1"
    )
    most: int = described(USUAL.most, "boxes of a class that are merged at most")
    grid: tuple[int, int] = USUAL_GRID

    def __post_init__(self) -> None:
        if self.name is not None:
            check_one_of("protocol of boxes", self.name, NAMES)
        object.__setattr__(self, "scales", checked_scales(self.scales))
        object.__setattr__(self, "grid", checked_grid(self.grid))
        if self.top < 1:
            raise InputError(f"top must be at least 1 class, got {self.top} instead")
        if not math.isfinite(self.threshold) or self.most < 1:
            raise InputError(
                "merging needs a finite number as threshold and at least 1 box, "
                f"got {self.threshold} and {self.most} instead"
            )
        if self.grid != USUAL_GRID and self.name != "crops":
            raise InputError(
                f"{option('grid')} is for crops: with {option('boxes')} give "
                f"{option('protocol', 'crops')} too"
            )

    @classmethod
    def of(cls, given: str | BoxProtocol | None) -> BoxProtocol:
        """Return ``given``, or the protocol with this name."""
        return given if isinstance(given, BoxProtocol) else cls(given)  # type: ignore[arg-type]

    def for_nets(
        self, classifiers: Sequence[Scaled], regressors: Sequence[Strided], classes: int
    ) -> BoxProtocol:
        """Return the protocol with all values set.

        Args:
            classifiers: Classifiers, if any.
            regressors: Box regressors.
            classes: Number of classes K, an upper limit of ``top``.
        """
        name = self.name or ("dense" if classifiers else "center")
        flip = bool(classifiers) and classifiers[0].test_flip if self.flip is None else self.flip
        scales, net = self.scales, regressors[0]
        if isinstance(scales, str):
            multi = scales == "multi"
            scales = paper_scales(scales, net)
            if multi and name == "dense":
                scales = whole_scales(scales, net.input_size, net.stride)
        elif scales is None:
            scales = net.test_scales
        return replace(self, name=name, scales=scales, flip=flip, top=min(self.top, classes))

    @property
    def merging(self) -> Merging:
        """Limits of merging."""
        return Merging(self.threshold, self.most)

    @property
    def as_test(self) -> TestProtocol:
        """Protocol of a classifier that sees the same views; requires :meth:`for_nets`."""
        assert self.name is not None, "the protocol is open: call for_nets first"
        flip = self.guesses and self.mirrors
        return TestProtocol(self.name, self.used_scales, flip, self.grid)

    @property
    def mirrors(self) -> bool:
        """True if mirror images are used; requires :meth:`for_nets` if ``flip`` was None."""
        assert self.flip is not None, "mirror images are open: call for_nets first"
        return self.flip

    @property
    def views(self) -> Views:
        """Views at each scale."""
        match self.name:
            case "center":
                return Center(flip=False)
            case "crops":
                return Grid(*self.grid, self.mirrors)
            case _:
                return Dense(self.mirrors)

    @property
    def guesses(self) -> bool:
        """True if classifiers choose the classes, False if the true class is given."""
        return self.name != "center"

    @property
    def used_scales(self) -> tuple[int, ...]:
        """Test scales in pixels; requires :meth:`for_nets` unless ``scales`` are numbers."""
        assert isinstance(self.scales, tuple), "scales are open: call for_nets first"
        return (min(self.scales),) if self.name == "center" else self.scales

    def __str__(self) -> str:
        if not self.guesses:
            return f"center at Q = {self.used_scales[0]}, true class"
        rows, columns = self.grid
        grid = f" {rows}x{columns}" if self.name == "crops" else ""
        return f"{self.name}{grid}{scales_and_flip(self.scales, self.flip)}, top {self.top} classes"

    def unseen(self, input_size: int, stride: int) -> dict[int, int]:
        """Return scales at which ``dense`` misses pixels, with the number of missed pixels.

        Windows start at the upper left corner, a stride apart, so the last pixels of the smaller
        side may be in no window. The same holds for the longer side, depending on the image. With
        an input size between multiples of the stride, the last window may extend beyond the image.

        >>> BoxProtocol("dense", (64, 72, 96)).unseen(64, 32)
        {72: 8}
        """
        if self.name != "dense":
            return {}
        left = {scale: scale % stride - input_size % stride for scale in self.used_scales}
        return {scale: pixels for scale, pixels in left.items() if pixels > 0}


def unseen_notice(protocol: BoxProtocol, input_size: int, stride: int) -> str | None:
    """Return a notice about pixels in no window; None if there are none."""
    unseen = protocol.unseen(input_size, stride)
    if not unseen:
        return None
    scales, pixels = (", ".join(map(str, numbers)) for numbers in (unseen, unseen.values()))
    # The mirror image's windows start at the other side.
    where = "at the bottom" if protocol.flip else "on the right and at the bottom"
    good = ", ".join(str(input_size + stride * steps) for steps in range(3))
    return (
        f"dense at Q = {scales}: of the smaller side {pixels} pixels are in no window, {where}; "
        f"none are lost at Q = {good}, …, nor by {option('protocol', 'crops')} "
        "with rows and columns enough"
    )


def whole_scales(scales: Sequence[int], input_size: int, stride: int) -> tuple[int, ...]:
    """Return the nearest scales at which the windows of ``dense`` end with the smaller side.

    >>> whole_scales((224, 256, 288), 224, 32), whole_scales((96, 110, 123), 96, 32)
    ((224, 256, 288), (96, 128))
    """
    steps = {max(0, round((scale - input_size) / stride)) for scale in scales}
    return tuple(input_size + stride * each for each in sorted(steps))
