"""Narrow nets with random weights, and images for them."""

from __future__ import annotations

from typing import Any

import torch
from torch import Tensor, nn

from verydeep.models.classifier import Classifier
from verydeep.models.preprocessing import Preprocessing
from verydeep.nets.vgg import vgg
from verydeep.system.device import choose_machine

SIZES = [(1, 32, 32), (3, 32, 32), (2, 32, 64), (3, 47, 70), (1, 96, 33)]
"""Number, height and width of images to compare engines on."""


def tiny_model(*, num_classes: int = 5, engine: str = "torch", **net: Any) -> Classifier:
    """Return a narrow net with random weights, biases and running statistics."""
    torch.manual_seed(0)
    made = vgg(num_classes=num_classes, **{"input_size": 32, "width": 0.03, **net}).eval()
    for module in made.modules():
        if isinstance(module, nn.Conv2d | nn.Linear):
            nn.init.normal_(module.bias, std=0.1)
        if isinstance(module, nn.BatchNorm2d):
            for values in (module.weight, module.running_var):
                nn.init.uniform_(values, 0.5, 1.5)
    return Classifier(
        net=made,
        classes=tuple(f"class {label}" for label in range(num_classes)),
        preprocessing=Preprocessing((123.0, 117.5, 104.0), 58.0),
        train_scale=(made.input_size, made.input_size),
        test_scales=(made.input_size,),
        machine=choose_machine("cpu", "fp32", engine),
    )


def noise(count: int, height: int, width: int) -> Tensor:
    """Return images of noise, uint8 (count, 3, height, width)."""
    generator = torch.Generator().manual_seed(height * width)
    return torch.randint(0, 256, (count, 3, height, width), generator=generator, dtype=torch.uint8)


def close(found: Tensor, wanted: Tensor) -> None:
    """Assert that outputs in float32 agree but for rounding."""
    assert found.shape == wanted.shape
    assert found.dtype == torch.float32
    assert (found - wanted).abs().max() <= 1e-4 * max(1.0, float(wanted.abs().max()))
