"""The built-in multi-label set: none to three handwritten digits, light on dark.

The digits are scikit-learn's, divided as in :mod:`verydeep.data.builtin.digits`: no digit is in two
splits. Each stands in a quarter of the image of its own, so that none covers another, at a random
size, position and brightness. An image's labels are the set of its digits, which has fewer members
than the image has digits where one occurs twice.

An image depends only on the seed, its split and its index: the same versions of NumPy and Pillow
draw the same pixels on every machine.
"""

from __future__ import annotations

import csv
import zlib
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from PIL import Image

from verydeep.data.builtin.digits import SIDE, STEEPER, Pixels, divide
from verydeep.data.builtin.made import made_folder
from verydeep.data.builtin.originals import CLASSES, digits_of_sklearn

COUNTS = {"train": 4000, "val": 600, "test": 1000}
"""Images in each split."""

SHARES = (0.1, 0.3, 0.3, 0.3)
"""Share of the images with none, one, two and three digits."""

DIGIT_SIDES = (20, 25)
"""Minimum and maximum side of a digit's 8x8 square, in pixels of the image."""

DARK, LIGHT = (0, 64), (160, 256)
"""Ranges of the grey levels of background and ink, from the first to below the second."""

NOISE = 8.0
"""Standard deviation of the noise, by which two images without digits differ."""

TABLE = "labels.csv"
"""Table of the set, with the columns file, labels and split."""


@dataclass(frozen=True, slots=True)
class MultiDigit:
    """One image of the set.

    Attributes:
        pixels: uint8 (64, 64, 3).
        labels: Its digits, ascending, each once.
        split: ``train``, ``val`` or ``test``.
        file: Path in the folder of the set.
    """

    pixels: Pixels
    labels: tuple[int, ...]
    split: str
    file: str


def multi_digits_folder(seed: int = 0, *, cache: Path | None = None) -> Path:
    """Return the folder of the set, which is generated on first use (a few seconds).

    It contains ``{train,val,test}/*.png`` and ``labels.csv``.

    Args:
        seed: Random seed.
        cache: Cache folder; None for that in ``VERYDEEP_CACHE``, else the user's.

    Raises:
        DataError: The folder cannot be written.
        DiskError: The disk is full.
    """
    name = f"digits-multi-v1-seed{seed}"
    return made_folder(
        name, lambda folder: write_multi_digits(make_multi_digits(seed), folder), cache
    )


def make_multi_digits(seed: int, counts: Mapping[str, int] = COUNTS) -> Iterator[MultiDigit]:
    """Generate the set in memory.

    Args:
        seed: Random seed.
        counts: Images per split; fewer images are the first of the full set.

    Yields:
        The images by split.
    """
    digits, labels = digits_of_sklearn()
    originals = divide(labels, seed)
    for number, split in enumerate(COUNTS, start=1):
        for index in range(counts.get(split, 0)):
            generator = np.random.Generator(np.random.PCG64([seed, number, index, CLASSES]))
            drawn = generator.integers(CLASSES, size=generator.choice(len(SHARES), p=SHARES))
            chosen = [int(generator.choice(originals[split][label])) for label in drawn]
            pixels = _draw([digits[one] for one in chosen], generator)
            found = tuple(sorted(set(drawn.tolist())))
            yield MultiDigit(pixels, found, split, f"{split}/{index:04}.png")


def _draw(digits: list[Pixels], generator: np.random.Generator) -> Pixels:
    """Draw digits in quarters of the image, uint8 (64, 64, 3)."""
    picture = Image.new("L", (SIDE, SIDE), int(generator.integers(*DARK)))
    quarters = generator.permutation(4)[: len(digits)].tolist()
    for digit, quarter in zip(digits, quarters, strict=True):
        ink = _place(digit, quarter, generator)
        picture.paste(int(generator.integers(*LIGHT)), mask=ink)
    noisy = np.asarray(picture) + generator.normal(0, NOISE, (SIDE, SIDE))
    grey = noisy.round().clip(0, 255).astype(np.uint8)
    return np.stack([grey] * 3, 2)


def _place(digit: Pixels, quarter: int, generator: np.random.Generator) -> Image.Image:
    """Return the ink of a digit at a random size and position in a quarter, grey 64x64."""
    side = int(generator.integers(DIGIT_SIDES[0], DIGIT_SIDES[1] + 1)) * 10 // 8
    row, column = divmod(quarter, 2)
    left, top = generator.integers(SIDE // 2 - side + 1, size=2).tolist()
    smooth = Image.fromarray(digit).resize((side, side), Image.Resampling.BICUBIC)
    ink = Image.new("L", (SIDE, SIDE))
    ink.paste(smooth.point(STEEPER), (column * SIDE // 2 + left, row * SIDE // 2 + top))
    return ink


def write_multi_digits(images: Iterator[MultiDigit], folder: Path) -> None:
    """Write images as PNG files, and their table."""
    for split in COUNTS:
        (folder / split).mkdir(parents=True)
    with (folder / TABLE).open("w", newline="", encoding="utf-8") as file:
        table = csv.writer(file)
        table.writerow(["file", "labels", "split"])
        for one in images:
            Image.fromarray(one.pixels).save(
                folder / one.file, compress_level=1, compress_type=zlib.Z_HUFFMAN_ONLY
            )
            table.writerow([one.file, ";".join(map(str, one.labels)), one.split])
