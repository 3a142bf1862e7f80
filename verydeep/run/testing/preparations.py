"""Ways in which pixels are prepared for published nets, and a model as if it took another one.

N images, H height, W width, K classes; h, w sides of a score map.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, replace
from itertools import product
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from verydeep.models.classifier import Classifier
from verydeep.models.weights.convert import Pixels
from verydeep.models.weights.families import (
    AUTHORS_MEAN,
    GIVEN,
    TORCHVISION_MEAN,
    TORCHVISION_STD,
)

RGB = tuple[float, float, float]


@dataclass(frozen=True)
class Preparation:
    """A way to prepare pixels that weights may have been trained with.

    Attributes:
        words: The pixels in words, after "pixels".
        pixels: Order of channels, mean and deviations.
        changes: Number of things that differ from what an import took for granted.
        said: Names of what the user gave.
    """

    words: str
    pixels: Pixels
    changes: int = 0
    said: tuple[str, ...] = ()


def taken_for_granted(source: Mapping[str, Any]) -> Preparation | None:
    """Return the preparation that an import took for granted; None if it is not known.

    Args:
        source: Origin of the weights in the configuration of a model.
    """
    try:
        facts = {name: source["facts"][name] for name in ("channels", "mean", "std")}
        mean, std = (_three(facts[name]["value"]) for name in ("mean", "std"))
        pixels = Pixels(facts["channels"]["value"] == "bgr", mean, std)
        said = tuple(name for name, fact in facts.items() if fact["how"] == GIVEN)
    except (LookupError, TypeError, ValueError, AttributeError):
        return None  # a file that another program has changed
    return Preparation("as imported", pixels, said=said)


def other_preparations(given: Preparation) -> list[Preparation]:
    """Return preparations that are often mistaken for each other, those with few changes first."""
    found: list[Preparation] = []
    for swap, (words, mean, std) in product((False, True), _scalings(given.pixels)):
        pixels = Pixels(given.pixels.bgr != swap, mean, std)
        rescaled = not _same(replace(pixels, bgr=given.pixels.bgr), given.pixels)
        if not (swap or rescaled) or any(_same(pixels, one.pixels) for one in found):
            continue
        order = "blue, green, red" if pixels.bgr else "red, green, blue"
        said = [words] * rescaled + [f"in the order {order}"] * swap
        found.append(Preparation(", ".join(said), pixels, rescaled + swap))
    return sorted(found, key=lambda one: one.changes)


def _scalings(given: Pixels) -> Iterator[tuple[str, RGB, RGB]]:
    yield "as imported", given.mean, given.std
    if max(*given.mean, *given.std) <= 1.5:
        mean, std = _three(255 * m for m in given.mean), _three(255 * s for s in given.std)
        yield "prepared with this mean and std for pixels from 0 to 1", mean, std
    yield "minus the mean from 0 to 255, not divided", AUTHORS_MEAN, (1.0,) * 3
    yield "divided by deviations, as torchvision does", TORCHVISION_MEAN, TORCHVISION_STD
    yield "from 0 to 1, minus the mean, without deviations", given.mean, (255.0,) * 3
    yield "from 0 to 1", (0.0,) * 3, (255.0,) * 3
    yield "from -1 to 1", (127.5,) * 3, (127.5,) * 3
    yield "from 0 to 255 as they are", (0.0,) * 3, (1.0,) * 3


def _three(values: Any) -> RGB:
    red, green, blue = map(float, values)
    return red, green, blue


def _same(one: Pixels, other: Pixels) -> bool:
    numbers = zip((*one.mean, *one.std), (*other.mean, *other.std), strict=True)
    return one.bgr == other.bgr and all(abs(a - b) <= 0.02 * max(a, b) for a, b in numbers)


@dataclass(frozen=True)
class Reprepared:
    """A classifier as if its weights had been imported with another preparation.

    Its pixels are changed instead of its first convolution; the padding, which is zero after the
    mean is subtracted, stays zero.

    Attributes:
        model: The imported classifier.
        given: Preparation that its import took for granted.
        other: The other preparation.
    """

    model: Classifier
    given: Preparation
    other: Preparation

    @property
    def input_size(self) -> int:
        """Side of the smallest image it accepts, in pixels."""
        return self.model.input_size

    @property
    def pixels_at_once(self) -> int:
        """Total pixels of a batch."""
        return self.model.pixels_at_once

    def score_map(self, pictures: NDArray[np.uint8]) -> NDArray[np.float32]:
        """Return class scores before the softmax at every position.

        Args:
            pictures: Images, uint8 (N, 3, H, W).

        Returns:
            Scores, float32 (N, K, h, w).
        """
        if self.given is self.other:
            return self.model.score_map(pictures)
        read = (torch.from_numpy(pictures) - _column(self.other.pixels.mean)) / _column(
            self.other.pixels.std
        )
        if self.given.pixels.bgr != self.other.pixels.bgr:
            read = read.flip(1)
        own = read * _column(self.given.pixels.std) + _column(self.given.pixels.mean)
        return self.model.answers(own).cpu().numpy()


def _column(values: RGB) -> Tensor:
    return torch.tensor(values).view(3, 1, 1)
