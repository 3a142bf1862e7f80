"""Layers in two dimensions (images) and in three (volumes): one name for both kinds."""

from __future__ import annotations

import torch
from torch import nn

Convolution = nn.Conv2d | nn.Conv3d
BatchNorm = nn.BatchNorm2d | nn.BatchNorm3d
MaxPool = nn.MaxPool2d | nn.MaxPool3d


def convolution(inputs: int, outputs: int, kernel: int, dimensions: int) -> Convolution:
    """Return a convolution that keeps the size: padding 1 for 3x3, none for 1x1, 2 for 5x5."""
    kind = nn.Conv3d if dimensions == 3 else nn.Conv2d
    return kind(inputs, outputs, kernel, padding=kernel // 2)


def batch_norm(channels: int, dimensions: int) -> BatchNorm:
    """Return batch normalisation over images or volumes."""
    return nn.BatchNorm3d(channels) if dimensions == 3 else nn.BatchNorm2d(channels)


def max_pool(kernel: int, stride: int, dimensions: int) -> MaxPool:
    """Return max-pooling along all axes of space."""
    return nn.MaxPool3d(kernel, stride) if dimensions == 3 else nn.MaxPool2d(kernel, stride)


def channels_last(dimensions: int) -> torch.memory_format:
    """Return the order in memory with channels last, the fastest for convolutions."""
    return torch.channels_last_3d if dimensions == 3 else torch.channels_last
