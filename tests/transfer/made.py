"""A small net, noise images and synthetic features."""

from __future__ import annotations

from functools import cache

import numpy as np
import torch
from PIL import Image

from verydeep.models.classifier import Classifier
from verydeep.models.preprocessing import Preprocessing
from verydeep.nets.vgg import vgg
from verydeep.system.device import choose_machine
from verydeep.transfer.features import About, Features

SIZES = ((41, 60), (90, 70), (44, 44), (64, 64), (40, 48), (20, 30), (33, 150))


@cache
def classifier(input_size: int = 64) -> Classifier:
    """Return net A at 1/8 of its width with 32 hidden units, in fp32."""
    torch.manual_seed(0)
    net = vgg("A", 3, input_size=input_size, width=0.125, hidden=256, batch_norm=True)
    for module in net.modules():
        if isinstance(module, torch.nn.BatchNorm2d):
            torch.nn.init.normal_(module.running_mean, 0, 0.1)
            torch.nn.init.uniform_(module.running_var, 0.5, 2)
    return Classifier(
        net=net.eval(),
        classes=tuple("abc"),
        preprocessing=Preprocessing((120.0, 110.0, 100.0), 50.0),
        train_scale=(64, 96),
        test_scales=(64, 96),
        machine=choose_machine("cpu", "fp32"),
    )


def noise(sizes: tuple[tuple[int, int], ...] = SIZES) -> list[Image.Image]:
    """Return noise images of these heights and widths, each in its own colour."""
    generator = np.random.default_rng(0)
    pixels = (
        generator.normal(generator.integers(0, 256, 3), 60, (height, width, 3)).clip(0, 255)
        for height, width in sizes
    )
    return [Image.fromarray(picture.astype(np.uint8)) for picture in pixels]


def blobs(
    counts: dict[str, dict[str, int]], *, dimension: int = 8, spread: float = 0.3, seed: int = 0
) -> Features:
    """Return features clustered around one direction per class, by split and class."""
    generator = np.random.default_rng(seed)
    names = sorted({name for classes in counts.values() for name in classes})
    centres = dict(zip(names, np.eye(len(names), dimension), strict=True))
    rows = [
        (split, name, number)
        for split, classes in counts.items()
        for name, count in classes.items()
        for number in range(count)
    ]
    vectors = np.array([centres[name] for _, name, _ in rows])
    vectors += generator.normal(0, spread, vectors.shape)
    vectors /= np.linalg.norm(vectors, axis=1, keepdims=True)
    return Features(
        files=np.array([f"{split}/{name}/{number}.png" for split, name, number in rows]),
        splits=np.array([split for split, _, _ in rows]),
        labels=np.array([name for _, name, _ in rows]),
        vectors=vectors.astype(np.float32),
        about=about(dimension, tuple(names)),
    )


def about(dimension: int = 8, classes: tuple[str, ...] = ("cat", "dog")) -> About:
    """Return metadata of synthetic features."""
    return About(
        model="runs/a",
        net="A",
        layer="fc7",
        scales=(64, 96),
        flip=True,
        aggregate="mean",
        dimension=dimension,
        precision="fp32",
        data="pets",
        classes=classes,
        version="0.1.0",
    )
