"""The built-in data set: handwritten digits on photographs, to classify and localize.

Real digits are placed on real photographs: the 1797 handwritten digits of 8x8 pixels in
scikit-learn (from the UCI repository) appear at random positions and sizes, in a random colour, on
patches of scikit-learn's two photographs. The true box of each is known, so one small set serves
classification and localization.

Memorizing does not help: no digit is in two splits, and training patches come from the right part
of the photographs, validation and test patches from the left. The classes of a split are balanced,
and its digits are used about equally often.

An image depends only on the seed, its split and its index: the same versions of NumPy and Pillow
draw the same pixels on every machine.
"""

from __future__ import annotations

import csv
import functools
import zlib
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from numpy.typing import NDArray
from PIL import Image

from verydeep.data.builtin.made import made_folder
from verydeep.data.builtin.originals import (
    deal,
    digits_of_sklearn,
    make_class_folders,
    shuffled,
)
from verydeep.data.geometry import Box

SIDE = 64
"""Width and height of every image in pixels."""

COUNTS = {"train": 4000, "val": 600, "test": 1000}
"""Images in each split."""

HELD_OUT = {"val": 30, "test": 30}
"""Digits per class reserved for each split; training has the rest, about 120 per class."""

STRIPS = {"train": (0.4, 1.0), "val": (0.0, 0.4), "test": (0.0, 0.4)}
"""Part of each photograph's width used for the patches of a split."""

PATCH_SIDES = (64, 128)
"""Minimum and maximum side of a patch, in pixels of the photograph."""

DIGIT_SIDES = (28, 40)
"""Minimum and maximum side of a digit's 8x8 square, in pixels of the image."""

STEEPER = [min(max(2 * ink - 112, 0), 255) for ink in range(256)]
"""Contrast curve for the ink of an enlarged digit, which keeps the loops of an 8 open."""

VISIBLE = 64
"""Ink above this value, of 255, is visible: the box encloses it."""

CONTRAST = 104
"""Minimum difference in luminance between the ink and the mean beneath it, of 255."""

SOFTENING = 0.65
"""Share by which a patch is blended with its mean colour, so that its edges hide no stroke."""

Pixels = NDArray[np.uint8]


@dataclass(frozen=True, slots=True)
class Digit:
    """One image of the set.

    Attributes:
        pixels: uint8 (64, 64, 3).
        label: The digit, 0 to 9.
        split: ``train``, ``val`` or ``test``.
        original: Index of the 8x8 digit in scikit-learn's set.
        use: Number of earlier uses of that digit.
        box: Tight box around the visible ink.
    """

    pixels: Pixels
    label: int
    split: str
    original: int
    use: int
    box: Box

    @property
    def file(self) -> str:
        """Path in the folder of the set."""
        return f"{self.split}/{self.label}/{self.split}_{self.original:04}_{self.use}.png"


def digits_folder(seed: int = 0, *, cache: Path | None = None) -> Path:
    """Return the folder of the set, which is generated on first use (a few seconds).

    It contains ``{train,val,test}/{0..9}/*.png`` and ``boxes.csv`` (file, x0, y0, x1, y1).

    Args:
        seed: Random seed.
        cache: Cache folder; None for that in ``VERYDEEP_CACHE``, else the user's.

    Raises:
        DataError: The folder cannot be written.
        DiskError: The disk is full.
    """
    name = f"digits-v1-seed{seed}"
    return made_folder(name, lambda folder: _write(make_digits(seed), folder), cache)


def make_digits(seed: int, counts: Mapping[str, int] = COUNTS) -> Iterator[Digit]:
    """Generate the set in memory.

    Args:
        seed: Random seed.
        counts: Images per split, multiples of 10; fewer images are the first of the full set.

    Yields:
        The images by split, with the classes in turn.
    """
    digits, labels = digits_of_sklearn()
    originals = divide(labels, seed)
    for number, split in enumerate(COUNTS, start=1):
        strips = [_strip(photograph, *STRIPS[split]) for photograph in _photographs()]
        for index, dealt in enumerate(deal(originals[split], counts.get(split, 0))):
            generator = np.random.Generator(np.random.PCG64([seed, number, index]))
            pixels, box = draw(digits[dealt.original], strips, generator)
            yield Digit(pixels, dealt.label, split, dealt.original, dealt.use, box)


def draw(
    digit: Pixels, photographs: list[Image.Image], generator: np.random.Generator
) -> tuple[Pixels, Box]:
    """Draw one image.

    Args:
        digit: Ink, 0 to 255, (10, 10), with an empty border.
        photographs: Photographs to cut patches from.
        generator: Random generator of patch, size, position and colour.

    Returns:
        The image, uint8 (64, 64, 3), and the box of the digit.
    """
    picture = draw_patch(photographs, generator)
    ink = place_ink(digit, generator)
    seen = np.asarray(ink) > VISIBLE
    beneath = luminance(np.asarray(picture)[seen]).mean()
    picture.paste(draw_colour(float(beneath), generator), mask=ink)
    return np.asarray(picture), tight_box(seen)


def draw_patch(photographs: list[Image.Image], generator: np.random.Generator) -> Image.Image:
    """Cut a random square from one of the photographs, and resize it to 64x64."""
    photograph = photographs[generator.integers(len(photographs))]
    side = int(generator.integers(PATCH_SIDES[0], PATCH_SIDES[1] + 1))
    left = int(generator.integers(photograph.width - side + 1))
    top = int(generator.integers(photograph.height - side + 1))
    square = (left, top, left + side, top + side)
    patch = photograph.resize((SIDE, SIDE), Image.Resampling.BILINEAR, box=square)
    mean = patch.resize((1, 1), Image.Resampling.BOX).getpixel((0, 0))
    return Image.blend(patch, Image.new("RGB", patch.size, mean), SOFTENING)


def place_ink(digit: Pixels, generator: np.random.Generator) -> Image.Image:
    """Return the ink of a digit at a random size and position, grey 64x64."""
    side = int(generator.integers(DIGIT_SIDES[0], DIGIT_SIDES[1] + 1)) * 10 // 8
    left, top = generator.integers(SIDE - side + 1, size=2).tolist()
    smooth = Image.fromarray(digit).resize((side, side), Image.Resampling.BICUBIC)
    ink = Image.new("L", (SIDE, SIDE))
    ink.paste(smooth.point(STEEPER), (left, top))
    return ink


def draw_colour(beneath: float, generator: np.random.Generator) -> tuple[int, ...]:
    """Draw a colour whose luminance differs enough from the mean beneath it."""
    while True:
        colours = generator.integers(256, size=(16, 3))
        far = colours[np.abs(luminance(colours) - beneath) >= CONTRAST]
        if len(far):
            return tuple(far[0].tolist())


def luminance(colours: NDArray[np.integer]) -> NDArray[np.float64]:
    """Return the luminance of colours (..., 3), 0 to 255, by the weights of ITU-R BT.601."""
    weights: NDArray[np.float64] = np.array([0.299, 0.587, 0.114])
    return np.asarray(np.dot(colours, weights))


def tight_box(seen: NDArray[np.bool_]) -> Box:
    """Return the smallest box around all visible pixels."""
    rows, columns = np.flatnonzero(seen.any(1)), np.flatnonzero(seen.any(0))
    return Box(*(float(edge) for edge in (columns[0], rows[0], columns[-1] + 1, rows[-1] + 1)))


def divide(labels: NDArray[np.int64], seed: int) -> dict[str, list[NDArray[np.int64]]]:
    """Return the indices of the digits by split and class, in random order."""
    by_class = shuffled(labels, seed)
    first, second = HELD_OUT["val"], HELD_OUT["val"] + HELD_OUT["test"]
    return {
        "train": [own[second:] for own in by_class],
        "val": [own[:first] for own in by_class],
        "test": [own[first:second] for own in by_class],
    }


@functools.cache
def _photographs() -> list[Image.Image]:
    from sklearn.datasets import load_sample_images

    return [Image.fromarray(image) for image in load_sample_images().images]


def _strip(photograph: Image.Image, start: float, end: float) -> Image.Image:
    width, height = photograph.size
    return photograph.crop((int(start * width), 0, int(end * width), height))


def _write(digits: Iterator[Digit], folder: Path) -> None:
    make_class_folders(folder, COUNTS)
    with (folder / "boxes.csv").open("w", newline="", encoding="utf-8") as file:
        table = csv.writer(file)
        table.writerow(["file", *Box._fields])
        for digit in digits:
            # For photographs, Huffman coding alone is faster, and smaller.
            Image.fromarray(digit.pixels).save(
                folder / digit.file, compress_level=1, compress_type=zlib.Z_HUFFMAN_ONLY
            )
            table.writerow([digit.file, *digit.box])
