"""Size of a test in pixels, before any image is read."""

from __future__ import annotations

from collections.abc import Iterable

from verydeep.evaluation.posteriors import view_groups
from verydeep.evaluation.protocol import TestProtocol

LONGER_SIDE = 4 / 3
"""Assumed longer side of an image, in smallest sides."""


def shapes_vary(protocols: Iterable[TestProtocol]) -> bool:
    """Return whether views have the shapes of the images, rather than one shape for all.

    >>> shapes_vary([TestProtocol("center")]), shapes_vary([TestProtocol("both")])
    (False, True)
    """
    return any(protocol.name in ("dense", "both") for protocol in protocols)


def pixels_to_see(protocols: Iterable[TestProtocol], images: int, input_size: int) -> int:
    """Return the pixels of all views of photographs, each view counted once.

    Args:
        protocols: Tests with scales in pixels.
        images: Number of images.
        input_size: Side of the net's smallest image.

    >>> center = TestProtocol("center", (256,), flip=False)
    >>> pixels_to_see([center, center], images=2, input_size=224) == 2 * 224**2
    True
    """
    groups = {group for protocol in protocols for group in view_groups(protocol)}
    views = (
        view
        for group in groups
        for view in group.views(group.scale, round(LONGER_SIDE * group.scale), input_size)
    )
    return images * sum(height * width for height, width in (view.shown for view in views))
