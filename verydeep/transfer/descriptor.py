"""Image descriptors: averaged activations of a net, normalised to unit length (appendix B).

N images, D features, Q scales; h, w: sides of a map.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Literal, get_args

from torch import Tensor
from torch.nn.functional import normalize

from verydeep.data.pipeline.rescaled import TestPictures
from verydeep.errors import InputError, did_you_mean
from verydeep.evaluation.posteriors import ViewGroup, mix_answers
from verydeep.evaluation.protocol import make_protocol
from verydeep.evaluation.views import Dense
from verydeep.models.trained_net import TrainedNet
from verydeep.system.progress import ProgressTask

Aggregate = Literal["mean", "stack"]


@dataclass(frozen=True, slots=True)
class Descriptor:
    """Definition of a feature vector.

    Attributes:
        scales: Smallest sides Q of the rescaled images, in pixels.
        flip: Whether to average with the mirrored image.
        layer: ``fc7``, ``fc6`` or ``pool5``; see
            :meth:`verydeep.nets.vgg.VGG.activation_map`.
        aggregate: ``mean`` averages the scales; ``stack`` concatenates them in the order of
            ``scales``, which multiplies D by their number. In the paper, both are equal on Pascal
            VOC, and ``stack`` is better on Caltech-101 and -256.
    """

    scales: tuple[int, ...]
    flip: bool = True
    layer: str = "fc7"
    aggregate: Aggregate = "mean"

    def dimension(self, model: TrainedNet) -> int:
        """Return the number D of features."""
        times = len(self.scales) if self.aggregate == "stack" else 1
        return times * model.net.activations(self.layer)

    def names(self, model: TrainedNet) -> list[str]:
        """Return a name for each of the D features, like ``fc7_0``, or ``fc7_256_0`` if stacked."""
        stems = [f"{self.layer}_"]
        if self.aggregate == "stack":
            stems = [f"{self.layer}_{scale}_" for scale in self.scales]
        units = model.net.activations(self.layer)
        return [f"{stem}{unit}" for stem in stems for unit in range(units)]


def make_descriptor(
    model: TrainedNet,
    *,
    scales: Sequence[int] | None = None,
    flip: bool | None = None,
    layer: str = "fc7",
    aggregate: str = "mean",
) -> Descriptor:
    """Return a valid descriptor for a model; None means as in the model's test.

    Raises:
        InputError: The layer or aggregate is unknown; scales are empty, repeated, or below the
            input size.
    """
    flip = model.test_flip if flip is None else flip
    protocol = make_protocol("dense", model.test_scales if scales is None else scales, flip=flip)
    for scale in protocol.scales:
        model.check_scale(scale)
    model.net.activations(layer)
    if aggregate not in get_args(Aggregate):
        known = get_args(Aggregate)
        raise InputError(
            f"aggregate must be {' or '.join(known)}, got {aggregate!r} instead"
            f"{did_you_mean(aggregate, known)}"
        )
    return Descriptor(protocol.scales, flip, layer, aggregate)  # type: ignore[arg-type]


def describe_pictures(
    model: TrainedNet,
    pictures: TestPictures,
    descriptor: Descriptor,
    *,
    block: int = 256,
    task: ProgressTask | None = None,
) -> Tensor:
    """Return a feature vector for each image.

    The net is applied densely at every scale. Activations are averaged over positions and mirrored
    views, then averaged or stacked over scales; the vector is normalised to unit Euclidean length.

    Args:
        model: The net.
        pictures: Images at the descriptor's scales; its ``unreadable`` is filled by this call.
        descriptor: Definition of the features.
        block: Images per block; see :func:`verydeep.evaluation.posteriors.mix_posteriors`.
        task: Progress task, updated with the number of finished images.

    Returns:
        Unit vectors, float32 (N, D), on the CPU; zero for unreadable images.
    """
    parts = [ViewGroup(0, scale, Dense(descriptor.flip)) for scale in descriptor.scales]
    mixtures = [{part: 1.0} for part in parts]
    if descriptor.aggregate == "mean":
        mixtures = [{part: 1 / len(parts) for part in parts}]
    total = mix_answers(
        [_Layer(model, descriptor.layer)],
        model.net.activations(descriptor.layer),
        pictures,
        mixtures,
        lambda maps: maps.mean((2, 3)),
        block=block,
        task=task,
    )
    return normalize(total.permute(1, 0, 2).flatten(1))


@dataclass(frozen=True, slots=True)
class _Layer:
    """Adapter that returns a layer's activations as the scores of a net."""

    model: TrainedNet
    layer: str

    @property
    def input_size(self) -> int:
        return self.model.input_size

    @property
    def pixels_at_once(self) -> int:
        return self.model.pixels_at_once

    def score_map(self, pictures: Tensor) -> Tensor:
        """Return the layer's activations (N, D, h, w)."""
        return self.model.activation_map(pictures, self.layer)
