"""A step-by-step test of one image: its views, the sizes of their maps, and every average.

h, w sides of a score map, K classes.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray
from PIL import Image

from verydeep.data.geometry import View
from verydeep.data.images.member import ImageSource
from verydeep.data.pipeline.rescaled import Pixels, TestPicture, TestPictures
from verydeep.errors import PictureError
from verydeep.evaluation.description import steps
from verydeep.evaluation.joint_tests import Model, Test, check_tests, rescaling
from verydeep.evaluation.posteriors import Activation, answer_of
from verydeep.evaluation.protocol import TestProtocol
from verydeep.evaluation.sigmoid import sigmoid
from verydeep.evaluation.softmax import softmax
from verydeep.evaluation.view_batching import show


@dataclass(frozen=True)
class Glance:
    """One view, and a net's answer to it.

    Attributes:
        view: Part of the rescaled image.
        map_size: h and w of the score map.
        likely: Posterior of this view alone, (K,).
    """

    view: View
    map_size: tuple[int, int]
    likely: NDArray[np.float32]


@dataclass(frozen=True)
class Stage:
    """Views of one kind at one scale for one net.

    Attributes:
        net: Index of the net.
        model: Name of the net.
        kind: Kind of view, in a word.
        input_size: Side of the net's crops, in pixels.
        slides: Whether the net's dense answer is a map of positions.
        stride: Image pixels between neighbouring positions.
        scale: Q, in pixels.
        pixels: The rescaled image, uint8 (H, W, 3).
        glances: The views, in order.
        likely: Posterior averaged over the views, (K,).
    """

    net: int
    model: str
    kind: str
    input_size: int
    slides: bool
    stride: int
    scale: int
    pixels: Pixels
    glances: tuple[Glance, ...]
    likely: NDArray[np.float32]


@dataclass(frozen=True)
class Explanation:
    """A step-by-step test of one image.

    Attributes:
        source: The file; None for an image in memory.
        steps: The test in words.
        stages: Ordered by net, then by scale.
        likely: Final posterior, (K,).
        classes: Names of the K classes.
    """

    source: ImageSource | None
    steps: tuple[str, ...]
    stages: tuple[Stage, ...]
    likely: NDArray[np.float32]
    classes: tuple[str, ...]

    def guess(self, likely: NDArray[np.float32]) -> tuple[str, float]:
        """Return the likeliest class and its probability."""
        label = int(likely.argmax())
        return self.classes[label], float(likely[label])

    def to_dict(self) -> dict[str, Any]:
        """Return plain values; windows are top, left, height, width, in pixels."""
        return {
            "file": None if self.source is None else str(self.source),
            "steps": list(self.steps),
            "stages": [
                {
                    "net": stage.net,
                    "model": stage.model,
                    "kind": stage.kind,
                    "scale": stage.scale,
                    "rescaled": list(stage.pixels.shape[:2]),
                    "views": [
                        {
                            "window": list(glance.view.window),
                            "flip": glance.view.flip,
                            "shown": list(glance.view.shown),
                            "map": list(glance.map_size),
                            **self._guess(glance.likely),
                        }
                        for glance in stage.glances
                    ],
                    **self._guess(stage.likely),
                }
                for stage in self.stages
            ],
            **self._guess(self.likely),
        }

    def _guess(self, likely: NDArray[np.float32]) -> dict[str, Any]:
        name, probability = self.guess(likely)
        return {"class": name, "probability": probability}


def explain(
    models: Sequence[Model], protocols: Sequence[TestProtocol], source: ImageSource | Image.Image
) -> Explanation:
    """Test one image view by view, and keep the intermediate results.

    Args:
        models: Models with the same classes.
        protocols: One for each model.
        source: The image.

    Raises:
        PictureError: The image cannot be read.
        InputError: A scale is too small for a net.
    """
    tests = [Test(tuple(enumerate(protocols)))]
    check_tests(models, tests)
    scales = tuple(sorted({scale for protocol in protocols for scale in protocol.used_scales}))
    dimensions = models[0].dimensions
    pictures = TestPictures([source], scales, 0, *rescaling(models, tests), dimensions=dimensions)
    picture = next(iter(pictures), None)
    if picture is None:
        raise PictureError(pictures.unreadable[0])
    activation = activation_of(models)
    nets = [
        [*_stages(net, model, protocol, picture, activation)]
        for net, (model, protocol) in enumerate(zip(models, protocols, strict=True))
    ]
    answers = np.stack([np.stack([answer for _, answer in stages]).mean(0) for stages in nets])
    return Explanation(
        source=None if isinstance(source, Image.Image) else source,
        steps=steps(models, protocols, activation.__name__),
        stages=tuple(stage for stages in nets for stage, _ in stages),
        likely=_posterior(answers.mean(0), protocols[0], activation),
        classes=models[0].classes,
    )


def _stages(
    net: int,
    model: Model,
    protocol: TestProtocol,
    picture: TestPicture,
    activation: Activation,
) -> Iterator[tuple[Stage, NDArray[np.float32]]]:
    """Yield each stage with its average of scores or posteriors."""
    for scale in protocol.used_scales:
        for kind in protocol.kinds:
            pixels = picture.at(scale)
            height, width, _ = pixels.shape
            glances, answers = [], []
            for view in kind(height, width, model.input_size):
                shown = show(pixels, view).copy().transpose(2, 0, 1)
                maps = np.asarray(model.score_map(shown[None]))
                (answer,) = answer_of(protocol.average, activation)(maps)
                size = (maps.shape[2], maps.shape[3])
                glances.append(Glance(view, size, _posterior(answer, protocol, activation)))
                answers.append(answer)
            mean = np.stack(answers).mean(0)
            name = type(kind).__name__.removesuffix("Crops").lower()
            likely = _posterior(mean, protocol, activation)
            stage = Stage(
                net=net,
                model=model.name,
                kind=name,
                input_size=model.input_size,
                stride=model.stride,
                slides=model.slides,
                scale=scale,
                pixels=pixels,
                glances=tuple(glances),
                likely=likely,
            )
            yield stage, mean


def activation_of(models: Sequence[Model]) -> Activation:
    """Return the sigmoid for multi-label models, else the softmax."""
    return sigmoid if getattr(models[0], "multi_label", False) else softmax


def _posterior(
    answer: NDArray[np.float32], protocol: TestProtocol, activation: Activation
) -> NDArray[np.float32]:
    return activation(answer, 0) if protocol.average == "scores" else answer
