"""Posteriors from scores, averaged over views, scales and nets (section 3.2).

Every test is a weighted mean over views of an image at several scales, seen by one or more nets.
This module computes many tests at once, and their shared work only once.

N images, K classes, M mixtures; h, w sides of a score map.
"""

from __future__ import annotations

import time
from collections import Counter, defaultdict
from collections.abc import Callable, Mapping, Sequence
from contextlib import closing
from dataclasses import dataclass
from functools import lru_cache
from typing import NamedTuple, Protocol

import numpy as np
from numpy.typing import NDArray

from verydeep.data.pipeline.rescaled import TestPictures
from verydeep.errors import ModelError
from verydeep.evaluation.protocol import Average, TestProtocol
from verydeep.evaluation.softmax import softmax
from verydeep.evaluation.view_batching import Together, in_blocks
from verydeep.evaluation.views import Views
from verydeep.evaluation.volume_views import AnyView, views_of
from verydeep.system.progress import ProgressTask


class Scorer(Protocol):
    """Interface of a net to test."""

    @property
    def input_size(self) -> int:
        """Side of the smallest image it accepts, in pixels."""

    @property
    def pixels_at_once(self) -> int:
        """Total pixels of a batch."""

    def score_map(self, pictures: NDArray[np.uint8]) -> NDArray[np.float32]:
        """Return scores (N, K, h, w) before the softmax, for uint8 images (N, 3, H, W).

        The images are a view of an array (N, H, W, 3).
        """


@dataclass(frozen=True, slots=True)
class ViewGroup:
    """Views of one kind at one scale for one net; all have the same weight.

    Attributes:
        net: Index of the net.
        scale: Q, in pixels.
        views: Kind of view.
    """

    net: int
    scale: int
    views: Views


def view_groups(protocol: TestProtocol, net: int = 0) -> list[ViewGroup]:
    """Return the groups of views that a protocol shows to a net: one per scale and kind."""
    return [ViewGroup(net, q, kind) for q in protocol.used_scales for kind in protocol.kinds]


Mixture = Mapping[ViewGroup, float]
"""A test: the weight of each part; weights sum to one."""

Activation = Callable[[NDArray[np.float32], int], NDArray[np.float32]]
"""Function from scores to posteriors; the number is the axis of the classes."""

Answer = Callable[[NDArray[np.float32]], NDArray[np.float32]]
"""Function from maps (n, C, h, w) of n views to (n, K)."""


class _Note(NamedTuple):
    """A view's image index, its part, and its weight within the part."""

    row: int
    part: ViewGroup
    weight: float


def mix_posteriors(
    nets: Sequence[Scorer],
    classes: int,
    pictures: TestPictures,
    mixtures: Sequence[Mixture],
    *,
    average: Average = "paper",
    activation: Activation = softmax,
    block: int = 256,
    task: ProgressTask | None = None,
    seconds: dict[ViewGroup, float] | None = None,
) -> NDArray[np.float32]:
    """Return the class probabilities of images in several tests.

    Images are processed in blocks of neighbours. Views of the same input size, from all images
    and scales of a block, form batches. The batches depend only on the block, so the results are
    identical to the last digit wherever a block is computed.

    Args:
        nets: Nets with the same classes.
        classes: K.
        pictures: Images at every scale of the mixtures. Afterwards it lists the unreadable ones.
        mixtures: The tests.
        average: Averaging rule; see :class:`~verydeep.evaluation.protocol.TestProtocol`.
        activation: Makes posteriors of scores along an axis: the softmax, or the sigmoid for
            classes that do not exclude each other.
        block: Images per block.
        task: Receives the number of images done.
        seconds: Receives the time that each part took.

    Returns:
        float32 (M, N, K); after a softmax rows sum to one; rows are zero for unreadable images.
    """
    total = mix_answers(
        nets,
        classes,
        pictures,
        mixtures,
        answer_of(average, activation),
        block=block,
        task=task,
        seconds=seconds,
    )
    if average != "scores":
        return total
    likely = activation(total, 2)
    likely[:, list(pictures.unreadable)] = 0
    return likely


def mix_answers(
    nets: Sequence[Scorer],
    outputs: int,
    pictures: TestPictures,
    mixtures: Sequence[Mixture],
    answer: Answer,
    *,
    block: int = 256,
    task: ProgressTask | None = None,
    seconds: dict[ViewGroup, float] | None = None,
) -> NDArray[np.float32]:
    """Return weighted means over views of a function of the nets' maps.

    Args:
        nets: Nets with the same outputs.
        outputs: K, the length of the function's result for one view.
        pictures: As in :func:`mix_posteriors`.
        mixtures: Weights of the means.
        answer: Function from maps (n, C, h, w) of n views to (n, K).
        block: Images per block.
        task: Receives the number of images done.
        seconds: Receives the time that each part took.

    Returns:
        float32 (M, N, K); zero for unreadable images.

    Raises:
        ModelError: A net's scores are not finite, of which nothing can be said.
    """
    parts = list(dict.fromkeys(part for mixture in mixtures for part in mixture))
    total = np.zeros((len(mixtures), len(pictures), outputs), np.float32)
    mixer = _Mixer(nets, mixtures, answer, total)
    views = lru_cache(1024)(lambda part, *size: Counter(views_of(part.views, *size)))
    together = Together([net.pixels_at_once for net in nets], mixer.add)
    with closing(in_blocks(pictures, together, block, task=task)) as each:
        for picture in each:
            for part in parts:
                pixels = picture.at(part.scale)
                input_size = nets[part.net].input_size
                shown: Counter[AnyView] = views(part, pixels.shape[:-1], input_size)
                for view, times in shown.items():
                    note = _Note(picture.index, part, times / shown.total())
                    together.add(part.net, view, pixels, (picture.index, part.scale), note)
    if seconds is not None:
        for group, taken in mixer.seconds.items():
            seconds[group] = seconds.get(group, 0.0) + taken
    return mixer.total


class _Mixer:
    """Accumulates the answers of the nets."""

    def __init__(
        self,
        nets: Sequence[Scorer],
        mixtures: Sequence[Mixture],
        answer: Answer,
        total: NDArray[np.float32],
    ) -> None:
        self.nets = nets
        self.mixtures = mixtures
        self.answer = answer
        self.total = total
        self.seconds: dict[ViewGroup, float] = defaultdict(float)

    def add(self, net: int, shown: NDArray[np.uint8], notes: Sequence[_Note]) -> None:
        """Run a net on views, and accumulate its answers."""
        started = time.perf_counter()
        answers = self.answer(np.asarray(self.nets[net].score_map(shown)))
        if not np.isfinite(answers).all():
            raise not_finite()
        rows = [note.row for note in notes]
        for total, mixture in zip(self.total, self.mixtures, strict=True):
            weights = [mixture.get(note.part, 0.0) * note.weight for note in notes]
            np.add.at(total, rows, answers * np.array(weights, np.float32)[:, None])
        each = (time.perf_counter() - started) / len(notes)
        for note in notes:
            self.seconds[note.part] += each


def not_finite() -> ModelError:
    """Return the error for scores that are not finite."""
    return ModelError(
        "the net's scores are not finite numbers: its weights are damaged, or its training diverged"
    )


def over_positions(maps: NDArray[np.float32]) -> NDArray[np.float32]:
    """Return the means (n, C) over the positions of maps (n, C, h, w), or of volumes' maps."""
    means: NDArray[np.float32] = maps.mean(tuple(range(2, maps.ndim)))
    return means


def answer_of(average: Average, activation: Activation = softmax) -> Answer:
    """Return the function from score maps (n, K, h, w) to (n, K) applied to each view."""
    match average:
        case "paper":
            return lambda maps: activation(over_positions(maps), 1)
        case "scores":
            return over_positions
        case "posteriors":
            return lambda maps: over_positions(activation(maps, 1))


ANSWERS: dict[Average, Answer] = {
    "paper": answer_of("paper"),
    "scores": answer_of("scores"),
    "posteriors": answer_of("posteriors"),
}
"""The same for classes that exclude each other."""
