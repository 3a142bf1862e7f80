"""A box net beside the best box that does not look at the image, in words."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

CHANCE = 0.05
"""A smaller p-value than this is taken for a difference."""


def baseline_title(key: str) -> str:
    """Return what to call a baseline that results name by a key.

    >>> baseline_title("mean_box"), baseline_title("whole_picture")
    ('mean box', 'whole image')
    """
    return key.replace("_", " ").replace("picture", "image")


def verdict(comparison: Mapping[str, Any]) -> str | None:
    """Return that a box net has learned nothing, or that nothing shows that it has.

    Args:
        comparison: As in :class:`~verydeep.localization.result.LocalizationResult`.

    Returns:
        None if it is better than the best constant box, by more than chance.

    >>> verdict({"baseline": "whole_picture", "only_net_right": 2, "only_baseline_right": 9,
    ...          "p_value": 0.07})
    'the box net has learned nothing: the whole image is right as often, or more often'
    """
    name = f"the {baseline_title(str(comparison['baseline']))}"
    if comparison["only_net_right"] <= comparison["only_baseline_right"]:
        return f"the box net has learned nothing: {name} is right as often, or more often"
    if comparison["p_value"] >= CHANCE:
        return (
            f"nothing shows that the box net has learned something: it is right more often than "
            f"{name}, but by no more than chance; test on more images, or train for longer"
        )
    return None
