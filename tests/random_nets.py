"""Narrow classifiers with random weights, for tests."""

from __future__ import annotations

from typing import Any

import torch
from torch import nn

from verydeep.models.classifier import Classifier
from verydeep.models.preprocessing import Preprocessing
from verydeep.nets.vgg import vgg
from verydeep.system.device import choose_machine


def random_classifier(
    *,
    num_classes: int = 4,
    mean: tuple[float, float, float] = (123.0, 117.5, 104.0),
    engine: str = "torch",
    **net: Any,
) -> Classifier:
    """Return a narrow net with random weights, biases and running statistics."""
    torch.manual_seed(0)
    made = vgg(num_classes=num_classes, **{"input_size": 32, "width": 0.03, **net}).eval()
    for module in made.modules():
        if isinstance(module, nn.Conv2d | nn.Linear):
            nn.init.normal_(module.bias, std=0.1)
        if isinstance(module, nn.BatchNorm2d):
            for values in (module.weight, module.running_var):
                nn.init.uniform_(values, 0.5, 1.5)
            for values in (module.bias, module.running_mean):
                nn.init.normal_(values, std=0.2)
    return Classifier(
        net=made,
        classes=tuple(f"class {label}" for label in range(num_classes)),
        preprocessing=Preprocessing(mean, 58.0),
        train_scale=(made.input_size, made.input_size),
        test_scales=(made.input_size,),
        machine=choose_machine("cpu", "fp32", engine),
    )
