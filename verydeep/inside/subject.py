"""What is looked into: a net, a picture as the net is shown it, and the class that is asked about.

K classes; H, W sides of the picture; h, w sides of a score map.
"""

from __future__ import annotations

from dataclasses import dataclass

from torch import Tensor

from verydeep.classifier import Classifier
from verydeep.option_names import option


@dataclass(frozen=True, eq=False)
class Subject:
    """A picture in front of a net.

    Attributes:
        model: The net.
        name: Of the picture, for people.
        pixels: uint8 (3, H, W) on the CPU: the upright picture, rescaled or cut as the net is
            shown it; H and W at least ``model.input_size``. If larger, the net answers densely,
            with a map of scores, and its answer is their average over the positions.
        probabilities: float32 (K,), the soft-max of the averaged scores.
        label: The class that is asked about; the likeliest, unless the user says another.
    """

    model: Classifier
    name: str
    pixels: Tensor
    probabilities: Tensor
    label: int

    @property
    def title(self) -> str:
        """Name of the class that is asked about."""
        return self.model.title(self.label)

    @property
    def quoted(self) -> str:
        """The same within a sentence, where a class called 3 would be read as a number."""
        return f"“{self.title}”"


MOST_PIXELS = 2**20
"""Of a picture that is looked into: all its maps are kept at once, and their gradients."""


def too_large(height: int, width: int) -> str:
    """Return what to say of a picture with more than :data:`MOST_PIXELS`."""
    return (
        f"{width}x{height} pixels are too many to look inside a net with, which keeps every map: "
        f"at most {MOST_PIXELS:,}; choose a smaller {option('scale')}, or {option('center', True)}"
    )
