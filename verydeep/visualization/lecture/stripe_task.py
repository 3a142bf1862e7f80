"""Classification of the orientation of stripes in noise, and a small net that learns it in seconds.

In this task of the lecture's fifth chapter the relevant pixels are known: only the patch of stripes
depends on the class.
"""

from __future__ import annotations

import copy
from functools import cache

import numpy as np
import torch
from torch import Tensor
from torch.nn.functional import cross_entropy

from verydeep.data.geometry import Box
from verydeep.inspection.subject import Subject
from verydeep.models.classifier import Classifier
from verydeep.models.preprocessing import Preprocessing
from verydeep.nets.interface import Net
from verydeep.nets.vgg import vgg
from verydeep.system.device import Machine

CLASSES = ("lying", "standing", "slanted")

WAVES = ((0.0, 1.57), (1.57, 0.0), (1.1, 1.1))
"""Horizontal and vertical frequency of each class, in radians per pixel."""

SIDE, PATCH = 32, 14
"""Side of the training images and of the patch, in pixels."""

STEPS, BATCH = 150, 32

GREY = Preprocessing((110.0, 110.0, 110.0))


def stripes(generator: np.random.Generator, label: int, side: int = SIDE) -> tuple[Tensor, Box]:
    """Return a noise image with a patch of stripes.

    Args:
        generator: Source of the position, the phase and the noise.
        label: Class index.
        side: Side of the image, in pixels.

    Returns:
        Image, uint8 (3, side, side), and the box of the patch.
    """
    y, x = np.mgrid[:side, :side]
    across, down = WAVES[label]
    wave = np.sin(across * x + down * y + generator.uniform(0, 6))
    left, top = generator.integers(side - PATCH + 1, size=2).tolist()
    pixels = generator.normal(110, 20, (side, side, 3))
    patch = slice(top, top + PATCH), slice(left, left + PATCH)
    pixels[patch] += 60 * wave[patch][..., None]
    whole = torch.from_numpy(pixels.clip(0, 255).astype(np.uint8))
    return whole.permute(2, 0, 1).contiguous(), Box(left, top, left + PATCH, top + PATCH)


@cache
def stripe_net() -> Classifier:
    """Return net A at 1/8 of its width, trained on stripes (cached)."""
    generator = np.random.default_rng(0)
    with torch.random.fork_rng():
        torch.manual_seed(0)
        net = vgg("A", len(CLASSES), input_size=SIDE, width=1 / 8, hidden=512, dropout=0)
    optimizer = torch.optim.SGD(net.parameters(), 0.02, 0.9, weight_decay=5e-4)
    for _ in range(STEPS):
        labels = generator.integers(len(CLASSES), size=BATCH)
        images = torch.stack([stripes(generator, int(label))[0] for label in labels])
        loss = cross_entropy(net(GREY(images)), torch.from_numpy(labels))
        optimizer.zero_grad()
        loss.backward()  # type: ignore[no-untyped-call]  # torch has no types here
        torch.nn.utils.clip_grad_norm_(net.parameters(), 1.0)
        optimizer.step()
    return as_model(net)


def as_model(net: Net) -> Classifier:
    """Return a net as a classifier of the stripe task."""
    machine = Machine(torch.device("cpu"), "fp32")
    return Classifier(net.eval(), CLASSES, GREY, (SIDE, SIDE), (SIDE,), machine=machine)


def with_random_classifier(model: Classifier, seed: int = 0) -> Classifier:
    """Return a copy of a net whose fully connected layers have random weights."""
    generator = torch.Generator().manual_seed(seed)
    net = copy.deepcopy(model.net)
    for name in ("fc6", "fc7", "fc8"):
        weight = net.get_parameter(f"classifier.{name}.weight")
        std = (2 / weight.shape[1]) ** 0.5
        torch.nn.init.normal_(weight, 0, std, generator=generator)
    return as_model(net)


def standing(model: Classifier) -> tuple[Subject, Box]:
    """Return a 64-pixel image of standing stripes as the subject of a net, and its patch."""
    label = CLASSES.index("standing")
    image, patch = stripes(np.random.default_rng(1), label, side=2 * SIDE)
    likely = model.score_map(image[None]).mean((2, 3)).softmax(1)[0]
    return Subject(model, "stripes", image, likely, label), patch
