"""Narrow nets of torchvision, and the same nets as ONNX graphs and Caffe files."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import torch
from caffe_files import Net, field
from onnx_files import Graph
from PIL import Image
from scores import narrow, shake
from torch import nn
from torchvision.models.vgg import VGG, make_layers

SIZE = 64
CLASSES = 5


def torchvision_net(name: str = "A", *, norm: bool = False, hidden: int = 20) -> VGG:
    """Return a net for images of 64 pixels, with weights that differ everywhere."""
    with torch.device("meta"):
        net = VGG(make_layers(narrow(name), batch_norm=norm), init_weights=False)
    net.avgpool = nn.AdaptiveAvgPool2d(2)
    net.classifier[0] = nn.Linear(32 * 4, hidden)
    net.classifier[3] = nn.Linear(hidden, hidden)
    net.classifier[6] = nn.Linear(hidden, CLASSES)
    shake(net.to_empty(device="cpu"))
    return net


def plain(value: Any) -> np.ndarray:
    return np.asarray(value.detach().numpy())


def onnx_net(net: VGG, *, last: bool = False, graph: Graph | None = None) -> Graph:
    """Return a graph of a net; ``last`` for images with the channels last, as Keras exports."""
    graph = graph or Graph(("N", SIZE, SIZE, 3) if last else ("N", 3, SIZE, SIZE))
    if last:
        graph.add("Transpose", perm=[0, 3, 1, 2])
    for layer in net.features:
        match layer:
            case nn.Conv2d():
                graph.conv(plain(layer.weight), plain(layer.bias))
            case nn.BatchNorm2d():
                values = (layer.weight, layer.bias, layer.running_mean, layer.running_var)
                graph.add("BatchNormalization", *map(plain, values), epsilon=layer.eps)
            case nn.ReLU():
                graph.relu()
            case nn.MaxPool2d():
                graph.pool()
    first, *others = (one for one in net.classifier if isinstance(one, nn.Linear))
    weight = plain(first.weight)
    if last:
        graph.add("Transpose", perm=[0, 2, 3, 1])
        weight = weight.reshape(-1, 32, 2, 2).transpose(0, 2, 3, 1).reshape(len(weight), -1)
    graph.add("Flatten").add("Gemm", weight, plain(first.bias), transB=1)
    for layer in others:
        graph.relu().add("Gemm", plain(layer.weight), plain(layer.bias), transB=1)
    return graph


def caffe_net(net: VGG, generation: str = "new") -> Net:
    """Return a net without its classifier's dropouts, as Caffe writes it."""
    file = Net(generation)
    for number, layer in enumerate(net.features, 1):
        match layer:
            case nn.Conv2d():
                file.conv(f"conv {number}", plain(layer.weight), plain(layer.bias))
            case nn.BatchNorm2d():
                add_norm(file, f"norm{number}", layer)
            case nn.ReLU():
                file.relu()
            case nn.MaxPool2d():
                file.pool(f"pool{number}")
    linear = [one for one in net.classifier if isinstance(one, nn.Linear)]
    for place, layer in enumerate(linear, 6):
        file.dense(f"fc{place}", plain(layer.weight), plain(layer.bias))
        if layer is not linear[-1]:
            file.relu()
    return file


def add_norm(file: Net, name: str, norm: nn.BatchNorm2d) -> None:
    """Append a normalisation as Caffe's two layers; the statistics are stored times 2."""
    mean, variance = (2 * plain(one) for one in (norm.running_mean, norm.running_var))
    statistics = [mean, variance, np.array([2.0], np.float32)]
    file.add(name, "BatchNorm", statistics, field(139, field(3, float(norm.eps))))
    file.add(
        f"{name}_scale", "Scale", [plain(norm.weight), plain(norm.bias)], field(142, field(5, 1))
    )


def save_image(path: Path, seed: int = 0, height: int = 70, width: int = 90) -> Path:
    """Write an image that no mirror and no order of colours maps on itself."""
    random = np.random.default_rng(seed).random((height, width, 3))
    shade = np.linspace(0.3, 1, height)[:, None, None] * np.linspace(0.5, 1, width)[:, None]
    pixels = 255 * random * shade * [1.0, 0.6, 0.35]
    Image.fromarray(pixels.astype(np.uint8)).save(path)
    return path


def save_state(net: nn.Module, path: Path) -> Path:
    torch.save(net.state_dict(), path)
    return path
