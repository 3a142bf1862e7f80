"""Tiny nets and noise images for inspection tests."""

from __future__ import annotations

import torch
from torch import Tensor

from verydeep.inspection.subject import Subject
from verydeep.models.classifier import Classifier
from verydeep.models.preprocessing import Preprocessing
from verydeep.nets.vgg import VGG, vgg
from verydeep.system.device import choose_machine

K = 5
MEAN, DIVISOR = (120.0, 110.0, 100.0), 50.0
SIZES = ((64, 64), (75, 101))
"""Of a crop, and of an image on which a net of 64 pixels answers at 1x2 positions."""


def tiny_net(name: str = "A", norm: str | None = None, seed: int = 0, input_size: int = 64) -> VGG:
    """Return a net with biases and arbitrary running statistics."""
    torch.manual_seed(seed)
    net = vgg(name, K, input_size=input_size, width=0.125, hidden=64, batch_norm=norm == "batch")
    for parameter_name, parameter in net.named_parameters():
        if parameter_name.endswith("bias"):
            torch.nn.init.normal_(parameter, 0, 0.1)
    for buffer_name, buffer in net.named_buffers():
        if buffer_name.endswith(("running_mean", "running_var")):
            buffer.add_(torch.rand_like(buffer))
    return net.eval()


def classifier(net: VGG, precision: str = "fp32") -> Classifier:
    return Classifier(
        net=net,
        classes=tuple("abcde"),
        preprocessing=Preprocessing(MEAN, DIVISOR),
        train_scale=(64, 64),
        test_scales=(64,),
        machine=choose_machine("cpu", precision),
    )


def pixels(size: tuple[int, int], seed: int = 0) -> Tensor:
    """Blurred noise, uint8 (3, H, W)."""
    generator = torch.Generator().manual_seed(seed)
    coarse = torch.randn(1, 3, size[0] // 6, size[1] // 6, generator=generator)
    smooth = torch.nn.functional.interpolate(coarse, size, mode="bicubic", align_corners=False)
    fine = torch.randn(1, 3, *size, generator=generator)
    return (smooth * 60 + fine * 15 + 120).clamp(0, 255)[0].to(torch.uint8)


def ask(net: VGG, size: tuple[int, int], label: int = 2, precision: str = "fp32") -> Subject:
    return ask_of(net, pixels(size), label, precision)


def ask_of(net: VGG, shown: Tensor, label: int, precision: str = "fp32") -> Subject:
    """Return a subject for an image, uint8 (3, H, W)."""
    model = classifier(net, precision)
    likely = model.score_map(shown[None]).mean((2, 3)).softmax(1)[0]
    return Subject(model, "noise", shown, likely, label)


def as_read(shown: Tensor) -> Tensor:
    """Return preprocessed pixels, (1, 3, H, W) from (3, H, W), by separate arithmetic."""
    return (shown[None] - torch.tensor(MEAN).view(1, 3, 1, 1)) / DIVISOR
