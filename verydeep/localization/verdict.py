"""Comparison of a box regressor with the best baseline, in words."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

CHANCE = 0.05
"""Significance level: smaller p-values count as a difference."""


def baseline_title(key: str) -> str:
    """Return the display name of a baseline from its key in results.

    >>> baseline_title("mean_box"), baseline_title("whole_picture")
    ('mean box', 'whole image')
    """
    return key.replace("_", " ").replace("picture", "image")


def verdict(comparison: Mapping[str, Any]) -> str | None:
    """Return a warning if a box regressor is not significantly better than the best baseline.

    Args:
        comparison: Comparison, as in :class:`~verydeep.localization.result.LocalizationResult`.

    Returns:
        Warning; None if the net is significantly better.

    >>> verdict({"baseline": "whole_picture", "only_net_right": 2, "only_baseline_right": 9,
    ...          "p_value": 0.07})
    'the box regressor has learned nothing: the whole image is right as often, or more often'
    """
    name = f"the {baseline_title(str(comparison['baseline']))}"
    if comparison["only_net_right"] <= comparison["only_baseline_right"]:
        return f"the box regressor has learned nothing: {name} is right as often, or more often"
    if comparison["p_value"] >= CHANCE:
        return (
            "nothing shows that the box regressor has learned something: it is right more often "
            f"than {name}, but by no more than chance; test on more images, or train for longer"
        )
    return None
