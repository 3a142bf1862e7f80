"""Crops by area: their share, ratio and place, and the pixels they show."""

from __future__ import annotations

import numpy as np
import torch
from torch.nn import functional as F

from verydeep.data.pipeline.augment import Augmentation, Crop, cut, cut_batch, draw_crop

AREAS = Augmentation(size=32, scale=(32, 32), any_area=True)


def drawn(height: int, width: int, count: int = 2000) -> list[Crop]:
    generator = np.random.default_rng(0)
    return [draw_crop(AREAS, height, width, generator) for _ in range(count)]


def test_shares_and_ratios_are_spread_over_their_ranges() -> None:
    height, width = 300, 400
    crops = drawn(height, width)
    tall = np.array([32 * height / crop.rescaled[0] for crop in crops])
    wide = np.array([32 * width / crop.rescaled[1] for crop in crops])
    shares, ratios = tall * wide / (height * width), wide / tall
    assert 0.07 < shares.min() < 0.1
    assert shares.max() > 0.9
    assert abs(np.median(shares) - 0.5) < 0.1  # large ones do not fit so often
    assert 0.72 < ratios.min() < 0.78
    assert 1.28 < ratios.max() < 1.40
    assert abs(np.log(ratios).mean()) < 0.05


def test_windows_lie_on_the_image() -> None:
    for size in ((300, 400), (37, 32), (32, 500)):
        for crop in drawn(*size, count=200):
            top, left, h, w = crop.window
            assert h == w == 32
            assert 0 <= top <= crop.rescaled[0] - 32
            assert 0 <= left <= crop.rescaled[1] - 32


def test_the_pixels_are_those_of_the_stretched_image() -> None:
    image = torch.randint(0, 256, (3, 90, 120), dtype=torch.uint8)
    for crop in drawn(90, 120, count=20):
        whole = F.interpolate(
            image[None].float(), crop.rescaled, mode="bilinear", antialias=True, align_corners=False
        )[0]
        top, left, h, w = crop.window
        part = whole[:, top : top + h, left : left + w]
        wanted = part.flip(2) if crop.flip else part
        found = cut(image, crop).float()
        assert (found - wanted).abs().max() <= 1.5
        (together,) = cut_batch(image[None], torch.tensor([[90, 120]]), [crop]).float()
        assert (together - wanted).abs().max() <= 1.5


def test_an_image_that_no_draw_fits_into_gives_its_central_square() -> None:
    crops = drawn(32, 4000, count=20)
    squares = [crop for crop in crops if crop.rescaled == (32, 4000)]
    assert squares
    assert {crop.window for crop in squares} == {(0, 1984, 32, 32)}
