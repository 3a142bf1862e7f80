"""Training crops: rescale, crop, mirror and colour shift (sections 2.1, 3.1).

:func:`draw_crop` makes all random choices; :func:`cut` applies them to one image read from a file,
and :func:`cut_batch` to many images at once on any device. Both resample with the same filter:
bilinear, widened for shrinking (antialiased).

N images, H height, W width, h, w sides of a crop.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import torch
from PIL import Image
from torch import Tensor

from verydeep.data.geometry import Window, center_window, rescaled_size

WORTH_MORE = 4
"""Ratio of pixels computed to pixels of the crop, up to which torch is faster than Pillow."""


@dataclass(frozen=True, slots=True)
class Augmentation:
    """Settings of the training augmentation.

    Attributes:
        size: Side of a crop in pixels, the net's ``input_size``.
        scale: Range (low, high) of the training scale S in pixels, drawn uniformly per image;
            low = high for a fixed S.
        random_crop: Crop at a random position; else at the centre.
        any_area: Instead of that, and whatever the scale, crop a random share of the image's area
            at a random aspect ratio, stretched to a square (Szegedy et al. 2014).
        flip: Mirror with probability 1/2.
        colour_shift: Standard deviation of the factors αₖ in Krizhevsky's RGB shift Σₖ αₖ λₖ pₖ;
            None for no shift.
    """

    size: int
    scale: tuple[int, int]
    random_crop: bool = True
    flip: bool = True
    colour_shift: float | None = 0.1
    any_area: bool = False


AREA = (0.08, 1.0)
"""Smallest and largest share of the image's area."""

ASPECT = (3 / 4, 4 / 3)
"""Smallest and largest ratio of width to height."""

TRIES = 10
"""Draws of an area and a ratio, of which the first that fits into the image counts."""


@dataclass(frozen=True, slots=True)
class Crop:
    """One crop of one image, with all random choices made.

    Attributes:
        rescaled: Height and width of the whole rescaled image.
        window: Position and size on the rescaled image.
        flip: Whether the crop is mirrored.
        shift: Factors αₖ of the three principal axes of the training pixels.
    """

    rescaled: tuple[int, int]
    window: Window
    flip: bool
    shift: tuple[float, float, float]


def sample_generator(seed: int, epoch: int, index: int) -> np.random.Generator:
    """Return the random generator of one image in one epoch.

    It depends only on these three numbers: not on the order of images, the number of processes, or
    the point at which an interrupted run resumed.
    """
    return np.random.Generator(np.random.Philox(key=seed, counter=[0, 0, epoch, index]))


def draw_crop(
    augmentation: Augmentation, height: int, width: int, generator: np.random.Generator
) -> Crop:
    """Draw a crop of an image of the given size.

    Args:
        augmentation: The settings.
        height: Image height in pixels.
        width: Image width in pixels.
        generator: Yields the same count of numbers whatever the settings, except with areas.
    """
    if augmentation.any_area:
        return _draw_area(augmentation, height, width, generator)
    scale, top, left, mirror = generator.random(4)
    shift = generator.standard_normal(3) * (augmentation.colour_shift or 0.0)
    low, high = augmentation.scale
    rescaled = rescaled_size(height, width, low + int(scale * (high - low + 1)))
    window = center_window(*rescaled, augmentation.size)
    if augmentation.random_crop:
        window = window._replace(
            top=int(top * (rescaled[0] - augmentation.size + 1)),
            left=int(left * (rescaled[1] - augmentation.size + 1)),
        )
    flip = augmentation.flip and bool(mirror < 0.5)
    return Crop(rescaled, window, flip, (float(shift[0]), float(shift[1]), float(shift[2])))


def _draw_area(
    augmentation: Augmentation, height: int, width: int, generator: np.random.Generator
) -> Crop:
    """Draw a crop by its area; the central square if no draw fits into the image."""
    mirror = generator.random()
    shift = generator.standard_normal(3) * (augmentation.colour_shift or 0.0)
    h = w = min(height, width)
    top, left = (height - h) // 2, (width - w) // 2
    for _ in range(TRIES):
        share, down, right = generator.random(3)
        area = (AREA[0] + share * (AREA[1] - AREA[0])) * height * width
        ratio = math.exp(generator.uniform(math.log(ASPECT[0]), math.log(ASPECT[1])))
        tall, wide = round(math.sqrt(area / ratio)), round(math.sqrt(area * ratio))
        if 0 < tall <= height and 0 < wide <= width:
            h, w = tall, wide
            top, left = int(down * (height - h + 1)), int(right * (width - w + 1))
            break
    size = augmentation.size
    # The image is stretched so that the area becomes a square; the window is where it lies then.
    rescaled = (max(size, round(height * size / h)), max(size, round(width * size / w)))
    corner = (round(top * size / h), round(left * size / w))
    top, left = (min(at, side - size) for at, side in zip(corner, rescaled, strict=True))
    flip = augmentation.flip and bool(mirror < 0.5)
    shifts = (float(shift[0]), float(shift[1]), float(shift[2]))
    return Crop(rescaled, Window(top, left, size, size), flip, shifts)


def cut(pixels: Tensor, crop: Crop, extent: tuple[float, float] | None = None) -> Tensor:
    """Cut a crop from an image.

    Args:
        pixels: Image, uint8 (3, H, W).
        crop: The crop.
        extent: Height and width of the image in these pixels, if the last row and column cover
            only part of a pixel, as for a JPEG decoded at a reduced size; None for H and W.

    Returns:
        uint8 (3, h, w).
    """
    top, left, height, width = crop.window
    # torch is faster, but can only start at the upper left corner.
    from_corner = (top + height) * (left + width) <= WORTH_MORE * height * width
    resample = _cut_from_corner if from_corner else _cut_box
    part = resample(pixels, crop, extent or (pixels.shape[1], pixels.shape[2]))
    return part.flip(2) if crop.flip else part


def _cut_from_corner(pixels: Tensor, crop: Crop, extent: tuple[float, float]) -> Tensor:
    """Return the unmirrored crop by resampling everything above and left of its lower right end."""
    top, left, height, width = crop.window
    scales = [after / before for after, before in zip(crop.rescaled, extent, strict=True)]
    ends = [top + height, left + width]
    # torch copies lines of unchanged length, whatever the scale, so add a pixel then.
    sides = [
        end + (end == before and scale != 1)
        for end, before, scale in zip(ends, pixels.shape[1:], scales, strict=True)
    ]
    # The public interpolate() calls this, but does not accept both a size and a scale.
    part: Tensor = torch.ops.aten._upsample_bilinear2d_aa(pixels[None], sides, False, *scales)
    return part[0, :, top : ends[0], left : ends[1]]


def cut_on_device(pixels: Tensor, crop: Crop) -> Tensor:
    """Cut a crop from an image on any device; the values differ from :func:`cut`'s by at most 1.

    Args:
        pixels: Image, uint8 (3, H, W).
        crop: The crop.

    Returns:
        uint8 (3, h, w).
    """
    height, width = pixels.shape[1:]
    window = source_window(crop, height, width)
    bottom, right = window.top + window.height, window.left + window.width
    # GPUs resample no integers.
    needed = pixels[:, :bottom, :right].float()
    part = _cut_from_corner(needed, crop, (height, width))
    part = part.round_().clamp_(0, 255).to(torch.uint8)
    return part.flip(2) if crop.flip else part


def _cut_box(pixels: Tensor, crop: Crop, extent: tuple[float, float]) -> Tensor:
    """Return the unmirrored crop, resampled by Pillow from the needed part of the image."""
    window = crop.window
    y, x = (before / after for before, after in zip(extent, crop.rescaled, strict=True))
    top, bottom = _reach(window.top, window.height, y, pixels.shape[1])
    left, right = _reach(window.left, window.width, x, pixels.shape[2])
    part = Image.fromarray(pixels[:, top:bottom, left:right].permute(1, 2, 0).numpy())
    box = (
        window.left * x - left,
        window.top * y - top,
        min((window.left + window.width) * x - left, part.width),
        min((window.top + window.height) * y - top, part.height),
    )
    found = part.resize((window.width, window.height), Image.Resampling.BILINEAR, box=box)
    return torch.from_numpy(np.array(found)).permute(2, 0, 1)


def source_window(crop: Crop, height: int, width: int) -> Window:
    """Return the part of an image of the given size that a crop depends on."""
    window = crop.window
    top, bottom = _reach(window.top, window.height, height / crop.rescaled[0], height)
    left, right = _reach(window.left, window.width, width / crop.rescaled[1], width)
    return Window(top, left, bottom - top, right - left)


def _reach(start: int, length: int, ratio: float, size: int) -> tuple[int, int]:
    """Return the range of pixels that a part of the resampled line depends on."""
    support = max(ratio, 1.0)
    first = math.floor((start + 0.5) * ratio - support)
    beyond = math.ceil((start + length - 0.5) * ratio + support)
    return max(0, first), min(size, beyond)


def cut_batch(
    pictures: Tensor, sizes: Tensor, crops: Sequence[Crop], corners: Tensor | None = None
) -> Tensor:
    """Cut crops from many images, each by two small matrix products (rows, then columns).

    Args:
        pictures: Images, or the parts the crops need, uint8 (N, 3, H, W); smaller ones are padded
            at the lower right.
        sizes: Height and width of every whole image, (N, 2), on any device.
        crops: N crops, all of the same size h x w.
        corners: First row and column of the parts, (N, 2); None for whole images.

    Returns:
        uint8 (N, 3, h, w) on the images' device.
    """
    device = pictures.device
    windows = torch.tensor([crop.window for crop in crops], device=device)
    rescaled = torch.tensor([crop.rescaled for crop in crops], device=device)
    flips = torch.tensor([crop.flip for crop in crops], device=device)
    height, width = pictures.shape[-2:]
    sizes = sizes.to(device)
    begin = torch.zeros_like(sizes) if corners is None else corners.to(device)
    lines = [
        resampling(
            sizes[:, axis],
            rescaled[:, axis],
            windows[:, axis],
            crops[0].window[2 + axis],
            torch.arange(padded, device=device) + begin[:, axis, None],
        )
        for axis, padded in enumerate((height, width))
    ]
    rows, columns = lines
    columns = torch.where(flips[:, None, None], columns.flip(1), columns)
    part = rows[:, None] @ pictures.float() @ columns.mT[:, None]
    return part.round_().clamp_(0, 255).to(torch.uint8)


def resampling(before: Tensor, after: Tensor, start: Tensor, length: int, old: Tensor) -> Tensor:
    """Return matrices (N, length, M) that resample M pixels of a line to a part of the new line.

    Args:
        before: Lengths of the lines, (N,).
        after: Lengths of the whole new lines, (N,).
        start: First pixels of the parts, (N,).
        length: Length of every part.
        old: Indices of the pixels, (N, M); those beyond a line's length have weight 0.
    """
    ratio = (before / after)[:, None, None]
    new = torch.arange(length, device=start.device)[None, :, None] + start[:, None, None]
    old = old[:, None, :]
    distance = (old + 0.5 - (new + 0.5) * ratio).abs() / ratio.clamp(min=1.0)
    weights = (1 - distance).clamp(min=0.0) * (old < before[:, None, None])
    return weights / weights.sum(-1, keepdim=True)
