"""Averages over positions, views, scales and nets, one view at a time through the net.

Views are found with geometry of its own and rescaled with Pillow; the net is called itself, the
softmax applied by its formula, and sums taken in loops and float64, every view as often as it
occurs.
"""

from __future__ import annotations

import math
from collections.abc import Iterator, Sequence
from fractions import Fraction
from functools import cache

import numpy as np
import torch
from PIL import Image
from torch import Tensor

from verydeep.data.pipeline.rescaled import TestPictures
from verydeep.evaluation.posteriors import ViewGroup, mix_posteriors
from verydeep.evaluation.protocol import TestProtocol
from verydeep.models.classifier import Classifier
from verydeep.models.preprocessing import Preprocessing
from verydeep.nets.vgg import vgg
from verydeep.system.device import choose_machine

SIZES = ((41, 60), (90, 70), (44, 44), (64, 64), (40, 48), (20, 30))


K = 4


PROTOCOLS = {
    "center": ("center", (5, 5)),
    "dense": ("dense", (5, 5)),
    "crops 5x5": ("crops", (5, 5)),
    "crops 2x3": ("crops", (2, 3)),
    "both 5x5": ("both", (5, 5)),
    "both 1x2": ("both", (1, 2)),
    "ten-crop": ("ten-crop", (5, 5)),
    "googlenet": ("googlenet", (5, 5)),
}


@cache
def classifier(seed: int, name: str = "A", input_size: int = 32) -> Classifier:
    torch.manual_seed(seed)
    net = vgg(name, K, input_size=input_size, width=0.03, hidden=16, batch_norm=True)
    for module in net.modules():  # as after training: statistics and answers that differ
        if isinstance(module, torch.nn.BatchNorm2d):
            torch.nn.init.normal_(module.running_mean, 0, 0.1)
            torch.nn.init.uniform_(module.running_var, 0.5, 2)
    torch.nn.init.normal_(net.classifier.fc8.weight, 0, 2)
    return Classifier(
        net=net.eval(),
        classes=tuple("abcd"),
        preprocessing=Preprocessing((120.0 + seed, 110.0, 100.0), 50.0),
        train_scale=(40, 40),
        test_scales=(40,),
        machine=choose_machine("cpu", "fp32"),
    )


Which = tuple[int, str, int]
"""Arguments of :func:`classifier`."""


A, B, LARGE = (1, "A", 32), (2, "B", 32), (3, "A", 64)


@cache
def noise() -> tuple[Image.Image, ...]:
    """Return noise in a colour of its own on each."""
    generator = np.random.default_rng(0)
    pixels = (
        generator.normal(generator.integers(0, 256, 3), 60, (height, width, 3)).clip(0, 255)
        for height, width in SIZES
    )
    return tuple(Image.fromarray(picture.astype(np.uint8)) for picture in pixels)


@cache
def rescaled(number: int, scale: int) -> Image.Image:
    """Return an image of :func:`noise` with its smallest side at a scale."""
    image = noise()[number]
    short = min(image.size)
    size = [max(scale, round(side * scale / short)) for side in image.size]
    return image.resize(size, Image.Resampling.BILINEAR)


def places(room: int, count: int) -> list[int]:
    """Return where crops stand on a line: evenly, halves up and left."""
    if count == 1:
        return [room // 2]
    return [math.ceil(Fraction(i * room, count - 1) - Fraction(1, 2)) for i in range(count)]


def boxes(kind: str, width: int, height: int, side: int, grid: tuple[int, int]) -> Iterator[tuple]:
    """Yield the views of an image as Pillow's boxes, with the size that each is shown at."""

    def crop(left: int, top: int) -> tuple:
        return (left, top, left + side, top + side), (side, side)

    def corners_and_centre(left: int, top: int, square: int) -> Iterator[tuple]:
        far = square - side
        yield crop(left, top)
        yield crop(left + far, top)
        yield crop(left, top + far)
        yield crop(left + far, top + far)
        yield crop(left + far // 2, top + far // 2)

    short, room = min(width, height), max(width, height) - min(width, height)
    if kind == "dense":
        yield (0, 0, width, height), (width, height)
    elif kind == "center":
        yield crop((width - side) // 2, (height - side) // 2)
    elif kind == "crops":
        for top in places(height - side, grid[0]):
            for left in places(width - side, grid[1]):
                yield crop(left, top)
    elif kind == "ten-crop":
        left, top = (room // 2, 0) if width > height else (0, room // 2)
        yield from corners_and_centre(left, top, short)
    else:
        for place in places(room, 3):
            left, top = (place, 0) if width > height else (0, place)
            yield from corners_and_centre(left, top, short)
            yield (left, top, left + short, top + short), (side, side)


@cache
@torch.no_grad()
def scores_of_view(
    which: Which, number: int, scale: int, box: tuple, size: tuple, flip: bool
) -> np.ndarray:
    """Return what a net answers to a single view, float64 (K, h, w)."""
    model = classifier(*which)
    view = rescaled(number, scale).crop(box)
    if view.size != size:
        view = view.resize(size, Image.Resampling.BILINEAR)
    if flip:
        view = view.transpose(Image.Transpose.FLIP_LEFT_RIGHT)
    net, mean, divisor = model.net, model.preprocessing.mean, model.preprocessing.divisor
    x = (np.asarray(view, np.float32) - np.float32(mean)) / np.float32(divisor)
    answer = net.score_map(torch.from_numpy(x).permute(2, 0, 1)[None])[0].double().numpy()
    assert answer.shape[1:] == tuple((n - model.input_size) // 32 + 1 for n in reversed(size))
    return answer


def soft_max(scores: np.ndarray) -> np.ndarray:
    powers = np.exp(scores - scores.max(0))
    return powers / powers.sum(0)


def mean(values: Sequence[np.ndarray]) -> np.ndarray:
    total = np.zeros(K)
    for value in values:
        total += value
    return total / len(values)


def answer(scores: np.ndarray, average: str) -> np.ndarray:
    """Return what is averaged over views, from a map of scores (K, h, w)."""
    positions = [scores[:, y, x] for y in range(scores.shape[1]) for x in range(scores.shape[2])]
    if average == "posteriors":
        return mean([soft_max(position) for position in positions])
    return mean(positions) if average == "scores" else soft_max(mean(positions))


def by_hand(nets: list[Which], protocol: TestProtocol) -> np.ndarray:
    """Return the posteriors of all images of :func:`noise`."""
    kinds = ("dense", "crops") if protocol.name == "both" else (protocol.name,)
    rows = []
    for number in range(len(SIZES)):
        answers = []
        for which in nets:
            for scale in protocol.scales:
                for kind in kinds:
                    size = rescaled(number, scale).size
                    views = []
                    for box, shown in boxes(kind, *size, which[2], protocol.grid):
                        for flip in (False, True) if protocol.flip else (False,):
                            scores = scores_of_view(which, number, scale, box, shown, flip)
                            views.append(answer(scores, protocol.average))
                    answers.append(mean(views))
        rows.append(mean(answers))
    return soft_max(np.array(rows).T).T if protocol.average == "scores" else np.array(rows)


def mixture(nets: int, protocol: TestProtocol) -> dict[ViewGroup, float]:
    parts = [
        ViewGroup(net, scale, kind)
        for net in range(nets)
        for scale in protocol.scales
        for kind in protocol.kinds
    ]
    return dict.fromkeys(parts, 1 / len(parts))


def mixed(models: Sequence, images: Sequence, protocol: TestProtocol, **options: object) -> Tensor:
    pictures = TestPictures(images, protocol.scales)
    weights = mixture(len(models), protocol)
    (likely,) = mix_posteriors(models, K, pictures, [weights], average=protocol.average, **options)
    return likely
