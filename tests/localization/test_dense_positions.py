"""Dense boxes: every position is the net on its own crop, and its box lies where that crop does."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from torch import Tensor

from verydeep.data.geometry import View, Window
from verydeep.localization.box_geometry import (
    boxes_on_picture,
    first_view,
    from_view,
    position_view,
)
from verydeep.nets.vgg import VGG, vgg

PICTURE, RESCALED = (300, 450), (130, 195)
SHOWN = [View(Window(0, 0, 130, 195), flip) for flip in (False, True)]


def crop(pixels: Tensor, window: Window, flip: bool) -> Tensor:
    top, left, height, width = window
    part = pixels[..., top : top + height, left : left + width]
    return part.flip(-1) if flip else part


def blind_to_neighbours(input_size: int, outputs: int) -> VGG:
    """Return a box regressor whose convolutions see one position each; edges change nothing."""
    torch.manual_seed(0)
    net = vgg("A", outputs, input_size=input_size, width=0.125, hidden=64).eval()
    for module in net.modules():
        if isinstance(module, torch.nn.Conv2d):
            middle = module.weight.data[:, :, 1, 1].clone() * 3
            module.weight.data.zero_()[:, :, 1, 1] = middle
    return net.double()


@pytest.mark.parametrize("flip", [False, True])
@pytest.mark.parametrize("input_size", [32, 64, 80])
def test_every_position_is_the_net_on_its_crop(input_size: int, flip: bool) -> None:
    classes = 3
    net = blind_to_neighbours(input_size, 4 * classes)
    pixels = torch.randn(1, 3, *RESCALED, dtype=torch.float64)
    with torch.inference_mode():
        maps = net.score_map(pixels.flip(-1) if flip else pixels)[0].unflatten(0, (classes, 4))
        first = first_view(PICTURE, RESCALED, View(Window(0, 0, *RESCALED), flip), input_size, 32)
        boxes = boxes_on_picture(maps, first)
        _, _, h, w = maps.shape
        assert boxes.shape == (h, w, classes, 4)
        assert maps.std(dim=(2, 3)).min() > 1e-6  # positions differ, else nothing is shown here
        compared = 0
        for row in range(h):
            for column in range(w):
                view = position_view(first, row, column)
                assert view.flip == flip
                shown = crop(pixels, view.window, flip)
                if shown.shape[-2:] != (input_size, input_size):
                    continue  # of 80 pixels, 64 make the map: the last windows reach beyond
                compared += 1
                alone = net(shown)[0].reshape(classes, 4)
                torch.testing.assert_close(maps[:, :, row, column], alone)
                torch.testing.assert_close(boxes[row, column], from_view(alone, view))
        assert compared == {32: 4 * 6, 64: 3 * 5, 80: 2 * 4}[input_size]


@pytest.mark.parametrize("shown", [*SHOWN, View(Window(7, 30, 120, 140), flip=True)])
def test_a_marker_is_found_at_the_same_place_from_every_position(shown: View) -> None:
    """Each position tells where the marker is in its own window; all mean one place."""
    size, marker = 64, (40.0, 25.0, 61.0, 39.0)  # corners on the rescaled image
    inside = np.zeros(RESCALED, bool)
    inside[25:39, 40:61] = True
    part = inside[shown.window.top :, shown.window.left :]
    part = part[: shown.window.height, : shown.window.width]
    part = part[:, ::-1] if shown.flip else part
    h, w = part.shape[0] // 32 - 1, part.shape[1] // 32 - 1
    rows, columns = np.flatnonzero(part.any(1)), np.flatnonzero(part.any(0))
    maps = torch.empty(1, 4, h, w, dtype=torch.float64)
    for row in range(h):
        for column in range(w):
            top, left = rows[0] - 32 * row, columns[0] - 32 * column
            high, wide = len(rows), len(columns)
            answer = [(left + wide / 2) / size, (top + high / 2) / size, wide / size, high / size]
            maps[0, :, row, column] = torch.tensor(answer)
    boxes = boxes_on_picture(maps, first_view(PICTURE, RESCALED, shown, size, 32))
    factor = torch.tensor([450 / 195, 300 / 130] * 2, dtype=torch.float64)
    expected = torch.tensor(marker, dtype=torch.float64) * factor
    torch.testing.assert_close(boxes, expected.expand(h, w, 1, 4))


def test_a_resized_view_is_no_dense_view() -> None:
    with pytest.raises(AssertionError):
        first_view(PICTURE, RESCALED, View(Window(0, 0, 130, 130), side=64), 64, 32)
