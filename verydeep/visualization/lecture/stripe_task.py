"""Noise with a patch of stripes, and a small net that learns in seconds which way they run.

The task of the lecture's fifth chapter: the truth is known, since the class is in the patch alone.
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
from verydeep.models.trained_net import Preprocessing
from verydeep.nets.vgg import VGG, vgg
from verydeep.system.device import Machine

CLASSES = ("lying", "standing", "slanted")

WAVES = ((0.0, 1.57), (1.57, 0.0), (1.1, 1.1))
"""Of each class: radians a pixel across and down."""

SIDE, PATCH = 32, 14
"""Of the images that are learned, and of the patch, in pixels."""

STEPS, BATCH = 150, 32

GREY = Preprocessing((110.0, 110.0, 110.0))


def stripes(drawn: np.random.Generator, kind: int, side: int = SIDE) -> tuple[Tensor, Box]:
    """Return noise with a patch of stripes.

    Args:
        drawn: Where the patch is, the phase and the noise are drawn from it.
        kind: Number of the class.
        side: Of the image, in pixels.

    Returns:
        The image, uint8 (3, side, side), and where the patch is.
    """
    y, x = np.mgrid[:side, :side]
    across, down = WAVES[kind]
    wave = np.sin(across * x + down * y + drawn.uniform(0, 6))
    left, top = drawn.integers(side - PATCH + 1, size=2).tolist()
    pixels = drawn.normal(110, 20, (side, side, 3))
    place = slice(top, top + PATCH), slice(left, left + PATCH)
    pixels[place] += 60 * wave[place][..., None]
    whole = torch.from_numpy(pixels.clip(0, 255).astype(np.uint8))
    return whole.permute(2, 0, 1).contiguous(), Box(left, top, left + PATCH, top + PATCH)


@cache
def stripe_net() -> Classifier:
    """Return net A at an eighth of its width, trained on stripes; the same object every time."""
    drawn = np.random.default_rng(0)
    with torch.random.fork_rng():
        torch.manual_seed(0)
        net = vgg("A", len(CLASSES), input_size=SIDE, width=1 / 8, hidden=512, dropout=0)
    optimizer = torch.optim.SGD(net.parameters(), 0.02, 0.9, weight_decay=5e-4)
    for _ in range(STEPS):
        labels = drawn.integers(len(CLASSES), size=BATCH)
        pictures = torch.stack([stripes(drawn, int(kind))[0] for kind in labels])
        loss = cross_entropy(net(GREY(pictures)), torch.from_numpy(labels))
        optimizer.zero_grad()
        loss.backward()  # type: ignore[no-untyped-call]  # torch has no types here
        torch.nn.utils.clip_grad_norm_(net.parameters(), 1.0)
        optimizer.step()
    return as_model(net)


def as_model(net: VGG) -> Classifier:
    """Return a net with the classes and colours of the stripes."""
    machine = Machine(torch.device("cpu"), "fp32")
    return Classifier(net.eval(), CLASSES, GREY, (SIDE, SIDE), (SIDE,), machine=machine)


def with_random_classifier(model: Classifier, seed: int = 0) -> Classifier:
    """Return a net with these convolutions, and random numbers in the layers behind them."""
    generator = torch.Generator().manual_seed(seed)
    net = copy.deepcopy(model.net)
    for name in ("fc6", "fc7", "fc8"):
        weight = net.get_parameter(f"classifier.{name}.weight")
        std = (2 / weight.shape[1]) ** 0.5
        torch.nn.init.normal_(weight, 0, std, generator=generator)
    return as_model(net)


def standing(model: Classifier) -> tuple[Subject, Box]:
    """Return an image of 64 pixels with standing stripes in front of a net, and its patch."""
    label = CLASSES.index("standing")
    picture, patch = stripes(np.random.default_rng(1), label, side=2 * SIDE)
    likely = model.score_map(picture[None]).mean((2, 3)).softmax(1)[0]
    return Subject(model, "stripes", picture, likely, label), patch
