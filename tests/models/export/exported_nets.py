"""Tiny classifiers to export, and images for them."""

from __future__ import annotations

from typing import Any

import numpy as np
import torch
from torch import nn

from verydeep.models.classifier import Classifier
from verydeep.models.preprocessing import Preprocessing
from verydeep.nets.vgg import vgg
from verydeep.system.device import choose_machine


def tiny_classifier(
    *, num_classes: int = 4, mean: tuple[float, float, float] = (123.0, 117.5, 104.0), **net: Any
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
        machine=choose_machine("cpu", "fp32"),
    )


def images(count: int, height: int, width: int, seed: int = 0) -> np.ndarray:
    """Return noise, uint8 (count, height, width, 3)."""
    return np.random.default_rng(seed).integers(0, 256, (count, height, width, 3), np.uint8)
