"""Nets that tell colours apart without training, with weights for any preparation of pixels.

The first convolution hands (RGB - mean) / std on, made positive, the others hand it on unchanged,
and the only fully connected layer finds the nearest of a few colours.
"""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import Tensor

SIZE = 64
COLOURS = np.array(
    [
        *([200, 40, 30], [40, 60, 200], [60, 190, 70], [90, 20, 15], [20, 30, 90], [25, 85, 35]),
        *([230, 150, 40], [40, 150, 230], [150, 150, 150], [60, 60, 60]),
    ],
    np.float32,
)
"""Red, green, blue of the classes: bright, dark and mixed."""

CLASSES = [f"colour {number:02}" for number in range(len(COLOURS))]
CONVOLUTIONS = (0, 3, 6, 8, 11, 13, 16, 18)
CHANNELS = (4, 8, 16, 16, 32, 32, 32, 32)
RGB = tuple[float, float, float]


def colour_net(path: Path, *, mean: RGB, std: RGB, bgr: bool = False) -> Path:
    """Write the weights of a narrow net A as torchvision names them."""
    step = -1 if bgr else 1
    prepared = torch.from_numpy(((COLOURS - mean) / std)[:, ::step].astype(np.float32))
    lift = -((np.zeros(3) - mean) / std)[::step] + 1 / np.max(std)
    state: dict[str, Tensor] = {}
    inputs = 3
    for number, outputs in zip(CONVOLUTIONS, CHANNELS, strict=True):
        weight = torch.zeros(outputs, inputs, 3, 3)
        for channel in range(3):
            weight[channel, channel, 1, 1] = 1
        bias = torch.zeros(outputs)
        if number == 0:
            bias[:3] = torch.from_numpy(lift.astype(np.float32))
        state |= {f"features.{number}.weight": weight, f"features.{number}.bias": bias}
        inputs = outputs
    lifted = prepared + torch.from_numpy(lift.astype(np.float32))
    head = torch.zeros(len(COLOURS), inputs, 2, 2)
    head[:, :3] = lifted[:, :, None, None] / 4
    state["classifier.weight"] = head.flatten(1)
    state["classifier.bias"] = -lifted.square().sum(1) / 2
    torch.save(state, path)
    return path


def coloured_images(count: int = 200, seed: int = 0) -> tuple[Any, list[str]]:
    """Return images of the colours with some noise, uint8 (N, 64, 64, 3), and their classes."""
    random = np.random.default_rng(seed)
    labels = np.arange(count) % len(COLOURS)
    tint = random.normal(0, 6, (count, 1, 1, 3))
    noise = random.normal(0, 1, (count, SIZE, SIZE, 3))
    pixels = COLOURS[labels][:, None, None] + tint + noise
    return pixels.clip(0, 255).astype(np.uint8), [CLASSES[label] for label in labels]
