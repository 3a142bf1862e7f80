"""Attributions of a net that detects red highlight red pixels, wherever they are."""

from __future__ import annotations

from collections.abc import Callable

import pytest
import torch
from asked import K, ask_of, pixels
from torch import Tensor, nn

from verydeep.data.geometry import Box
from verydeep.inspection.attribution import grad_cam, guided_backpropagation, occlusion, saliency
from verydeep.inspection.heatmap import peak, share_inside
from verydeep.inspection.subject import Subject
from verydeep.nets.vgg import VGG, vgg

LABEL = 2
SIDE = 64
METHODS: dict[str, Callable[[Subject], Tensor]] = {
    "saliency": saliency,
    "guided backpropagation": lambda asked: guided_backpropagation(asked).abs().amax(0),
    "Grad-CAM": lambda asked: grad_cam(asked, "conv4_2").heat,
    "occlusion": lambda asked: occlusion(asked).heat,
}


def net_that_sees_red() -> VGG:
    """Return a net whose channel 0 measures redness and whose score is its sum."""
    net = vgg("A", K, input_size=SIDE, width=0.125, hidden=64).eval()
    for parameter in net.parameters():
        nn.init.zeros_(parameter)
    for layer in net.modules():
        if isinstance(layer, nn.Conv2d):
            layer.weight.data[0, 0, 1, 1] = 1
    net.features.conv1_1.weight.data[0, :, 1, 1] = torch.tensor([2.0, -1.0, -1.0])
    cells = (SIDE // 32) ** 2
    net.classifier.fc6.weight.data[0, :cells] = 1
    net.classifier.fc7.weight.data[0, 0] = 1
    net.classifier.fc8.weight.data[LABEL, 0] = 1
    return net


def with_red_square(left: int, top: int) -> tuple[Tensor, Box]:
    """Return a grey noise image with a red square of 16x16 pixels."""
    shown = pixels((SIDE, SIDE)).float().mean(0, keepdim=True).expand(3, -1, -1).clone()
    shown[:, top : top + 16, left : left + 16] = torch.tensor([230.0, 40, 30]).view(3, 1, 1)
    return shown.to(torch.uint8), Box(left, top, left + 16, top + 16)


@pytest.mark.parametrize("place", [(0, 0), (48, 16), (24, 40)])
@pytest.mark.parametrize("method", METHODS)
def test_the_red_square_holds_the_map(method: str, place: tuple[int, int]) -> None:
    shown, box = with_red_square(*place)
    heat = METHODS[method](ask_of(net_that_sees_red(), shown, LABEL))
    # A map that knows nothing has a sixteenth of its mass there. Coarse maps are blurred.
    fine = method in ("saliency", "guided backpropagation")
    assert share_inside(heat, box) > (0.99 if fine else 0.3)
    around = Box(box.x0 - 8, box.y0 - 8, box.x1 + 8, box.y1 + 8)
    assert share_inside(heat, around) > 0.8
    x, y, _ = peak(heat)
    assert around.x0 <= x < around.x1
    assert around.y0 <= y < around.y1
