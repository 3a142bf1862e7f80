"""Preprocessing that stands in a graph before its first convolution, as facts.

C channels.
"""

from __future__ import annotations

from typing import NamedTuple

import numpy as np

from verydeep.models.weights.families import AUTHORS_MEAN
from verydeep.models.weights.source import Fact

NEAR = 4.0
"""A mean that is as near to the authors' of ImageNet tells the order of the channels."""

PIXELS = 255.0


class Preprocessing(NamedTuple):
    """What a graph makes of its input: ``input * scale + shift``, (C,) or (1,) each.

    Attributes:
        scale: Factors, in the order of channels that the first convolution sees.
        shift: Offsets, likewise.
        reversed: Whether the order of channels has been reversed.
    """

    scale: np.ndarray = np.ones(1)
    shift: np.ndarray = np.zeros(1)
    reversed: bool = False

    def then(self, scale: np.ndarray, shift: np.ndarray) -> Preprocessing:
        """Return the preprocessing with a further factor and offset."""
        return Preprocessing(self.scale * scale, self.shift * scale + shift, self.reversed)

    def flip(self) -> Preprocessing:
        """Return the preprocessing with a further reversal of the channels."""
        return Preprocessing(self.scale[::-1], self.shift[::-1], not self.reversed)

    def facts(self) -> dict[str, Fact]:
        """Return what is known by it.

        The pixels of the input are taken as 0 to 1 where the mean and the deviations are within
        this range, else as 0 to 255.
        """
        facts = {}
        if self.reversed:
            facts["channels"] = Fact("bgr", "the graph reverses the channels of its input")
        with np.errstate(all="ignore"):
            mean = np.broadcast_to(-self.shift / self.scale, 3)
            std = np.broadcast_to(1 / self.scale, 3)
        if not np.isfinite([mean, std]).all() or (std <= 0).any():
            return facts
        if (mean == 0).all() and (std == 1).all():
            return facts
        from_unit = bool((np.abs(mean) <= 1).all() and (std <= 1).all())
        if from_unit:
            mean, std = mean * PIXELS, std * PIXELS
        if not self.reversed and np.abs(mean - AUTHORS_MEAN[::-1]).max() < NEAR:
            facts["channels"] = Fact(
                "bgr", "the graph subtracts ImageNet's mean as blue, green, red"
            )
        is_bgr = "channels" in facts
        how = f"nodes before the first convolution, for pixels of 0 to {1 if from_unit else 255}"
        step = -1 if is_bgr else 1
        facts["mean"] = Fact(tuple(float(one) for one in mean[::step]), how)
        facts["std"] = Fact(tuple(float(one) for one in std[::step]), how)
        return facts
