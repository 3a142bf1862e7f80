"""How boxes are tested, as a value: views, classes, merging (appendix A)."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Literal, get_args

from verydeep.errors import InputError, did_you_mean
from verydeep.evaluation.views import Center, Dense, Views
from verydeep.localization.merge import USUAL, Merging

BoxProtocolName = Literal["center", "dense"]

NAMES: tuple[BoxProtocolName, ...] = get_args(BoxProtocolName)


@dataclass(frozen=True, slots=True)
class BoxProtocol:
    """A way to test where objects are found.

    Attributes:
        name: ``center``: the box of the true class on the central crop, to compare box nets (the
            paper's first protocol); ``dense``: boxes at all positions, merged, of the likeliest
            classes (its second).
        scales: Test scales Q, the smallest side of the rescaled picture in pixels; of several,
            ``center`` takes the smallest.
        flip: Whether ``dense`` looks at mirror images too. The paper does not say.
        top: Classes whose boxes are looked for, k.
        merging: How the boxes of a class are merged.

    >>> print(BoxProtocol("dense", (256, 384)))
    dense at Q = 256, 384, with mirror images, top 5 classes
    """

    name: BoxProtocolName
    scales: tuple[int, ...]
    flip: bool = True
    top: int = 5
    merging: Merging = USUAL

    @property
    def views(self) -> Views:
        """The views at each scale."""
        return Center(flip=False) if self.name == "center" else Dense(self.flip)

    @property
    def used_scales(self) -> tuple[int, ...]:
        """The scales that are looked at."""
        return (min(self.scales),) if self.name == "center" else self.scales

    def __str__(self) -> str:
        if self.name == "center":
            return f"center at Q = {min(self.scales)}, true class"
        scales = ", ".join(str(scale) for scale in self.scales)
        turns = "with mirror images" if self.flip else "without mirror images"
        return f"dense at Q = {scales}, {turns}, top {self.top} classes"


def make_box_protocol(
    name: str,
    scales: Sequence[int],
    *,
    flip: bool = True,
    top: int = 5,
    threshold: float | None = None,
    most: int | None = None,
) -> BoxProtocol:
    """Return a protocol, checked.

    Args:
        name: ``center`` or ``dense``.
        scales: Test scales Q, in pixels.
        flip: Whether to look at mirror images too.
        top: Classes whose boxes are looked for.
        threshold: The worst match that is merged; None takes the default of :class:`Merging`.
        most: Boxes that are merged at most; None takes the default.

    Raises:
        InputError: There is no such protocol, no scale, or a number is out of its range.
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
    merging = Merging(
        USUAL.threshold if threshold is None else threshold, USUAL.most if most is None else most
    )
    if merging.threshold != merging.threshold or merging.most < 1:
        raise InputError(
            "merging needs a number as threshold and at least 1 box, "
            f"got {merging.threshold} and {merging.most} instead"
        )
    return BoxProtocol(name, tuple(scales), flip, top, merging)
