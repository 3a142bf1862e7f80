"""Grey digits of 16x16 pixels, as many as LeCun et al. had in 1989: 7,291 to train, 2,007 to test.

The zip codes of 1989 cannot be passed on, so the images are made from scikit-learn's 1,797
handwritten digits of 8x8 pixels: each is enlarged and drawn several times with a slight random
affine change, where the originals of the splits are disjoint. A test on them is not comparable with
the published one: the digits are cleaner, cut out by a form, and fewer people wrote them.

A split ``val``, which the paper did not have, is drawn from originals of its own.
"""

from __future__ import annotations

import math
from collections.abc import Iterator
from pathlib import Path

import numpy as np
from numpy.typing import NDArray
from PIL import Image

from verydeep.data.builtin.digits import STEEPER
from verydeep.data.builtin.made import made_folder
from verydeep.data.builtin.originals import (
    deal,
    digits_of_sklearn,
    make_class_folders,
    shuffled,
)

SIDE = 16
"""Width and height of every image in pixels."""

COUNTS = {"train": 7291, "val": 600, "test": 2007}
"""Images in each split; those of train and test are the paper's."""

SHARES = {"train": 0.7, "val": 0.08, "test": 0.22}
"""Share of the originals of each class that a split draws from."""

TURN = 10.0
"""Largest rotation, in degrees."""

SHEAR = 0.15
"""Largest horizontal shear: pixels sideways per pixel down."""

SCALE = (0.85, 1.1)
"""Smallest and largest scale, drawn for width and height alike."""

SHIFT = 1.0
"""Largest shift in either direction, in pixels of the image."""

Pixels = NDArray[np.uint8]


def digits_1989_folder(*, cache: Path | None = None) -> Path:
    """Return the folder of the set, ``{train,val,test}/{0..9}/*.png``, made on first use.

    Args:
        cache: Cache folder; None for that in ``VERYDEEP_CACHE``, else the user's.

    Raises:
        DataError: The folder cannot be written.
        DiskError: The disk is full.
    """
    return made_folder("digits-1989-v1", _write, cache)


def make_digits_1989() -> Iterator[tuple[str, int, int, Pixels]]:
    """Yield split, label, index of the original and pixels, uint8 (16, 16), of every image.

    An image depends only on its split and its place in it. Ink is white on black paper, as in the
    paper, where the paper is -1 for the net.
    """
    digits, labels = digits_of_sklearn()
    originals = divide(labels)
    for number, (split, count) in enumerate(COUNTS.items()):
        for place, dealt in enumerate(deal(originals[split], count)):
            generator = np.random.Generator(np.random.PCG64([1989, number, place]))
            yield split, dealt.label, dealt.original, draw(digits[dealt.original], generator)


def divide(labels: NDArray[np.int64]) -> dict[str, list[NDArray[np.int64]]]:
    """Return the indices of the originals by split and class, in random order, disjoint."""
    by_class = shuffled(labels, seed=1989)
    found: dict[str, list[NDArray[np.int64]]] = {}
    begin = 0.0
    for split, share in SHARES.items():
        cuts = [(round(begin * len(own)), round((begin + share) * len(own))) for own in by_class]
        found[split] = [own[low:high] for own, (low, high) in zip(by_class, cuts, strict=True)]
        begin += share
    return found


def draw(digit: Pixels, generator: np.random.Generator) -> Pixels:
    """Return a digit (10, 10) with an empty border, slightly changed, on 16x16 pixels."""
    turn = math.radians(generator.uniform(-TURN, TURN))
    shear, scale = generator.uniform(-SHEAR, SHEAR), generator.uniform(*SCALE)
    right, down = generator.uniform(-SHIFT, SHIFT, 2)
    # Pillow maps a pixel of the result to one of the enlarged original, around the centres.
    side = 2 * len(digit)
    large = Image.fromarray(digit).resize((side, side), Image.Resampling.BICUBIC).point(STEEPER)
    cos, sin = math.cos(turn) / scale, math.sin(turn) / scale
    a, b, d, e = cos, cos * shear - sin, sin, sin * shear + cos
    x, y = SIDE / 2 + right, SIDE / 2 + down
    middle = side / 2
    change = (a, b, middle - a * x - b * y, d, e, middle - d * x - e * y)
    drawn = large.transform((SIDE, SIDE), Image.Transform.AFFINE, change, Image.Resampling.BICUBIC)
    return np.asarray(drawn)


def _write(folder: Path) -> None:
    make_class_folders(folder, COUNTS)
    for number, (split, label, original, pixels) in enumerate(make_digits_1989()):
        name = f"{number:04}_{original:04}.png"
        Image.fromarray(pixels).save(folder / split / str(label) / name)
