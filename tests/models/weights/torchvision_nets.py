"""torchvision's VGG nets with an eighth of their channels and random weights, for tests."""

from __future__ import annotations

from pathlib import Path

import torch
from torch import nn
from torchvision.models.vgg import VGG, cfgs, make_layers

WIDTH = 8
LETTERS = {"vgg11": "A", "vgg13": "B", "vgg16": "D", "vgg19": "E"}


def narrow_vgg(name: str, classes: int = 3, seed: int = 0) -> nn.Module:
    """Return a net in evaluation mode, whose running statistics are random too."""
    torch.manual_seed(seed)
    letter = LETTERS[name.removesuffix("_bn")]
    plan = [step if step == "M" else step // WIDTH for step in cfgs[letter]]  # type: ignore[operator]
    net = VGG(make_layers(plan, batch_norm=name.endswith("_bn")), num_classes=1, init_weights=False)
    net.classifier = nn.Sequential(
        *(nn.Linear(512 // WIDTH * 49, 24), nn.ReLU(), nn.Dropout()),
        *(nn.Linear(24, 24), nn.ReLU(), nn.Dropout(), nn.Linear(24, classes)),
    )
    for module in net.modules():
        if isinstance(module, nn.Conv2d | nn.Linear):
            nn.init.normal_(module.weight, std=(2 / module.weight[0].numel()) ** 0.5)
            nn.init.uniform_(module.bias, -0.1, 0.1)
        elif isinstance(module, nn.BatchNorm2d):
            module.weight.data.uniform_(0.8, 1.2)
            module.bias.data.uniform_(-0.1, 0.1)
            module.running_mean.uniform_(-0.1, 0.1)
            module.running_var.uniform_(0.5, 1.5)
    return net.eval()


def save_narrow(name: str, path: Path, classes: int = 3, seed: int = 0) -> Path:
    """Save the weights of such a net as torchvision does."""
    torch.save(narrow_vgg(name, classes, seed).state_dict(), path)
    return path
