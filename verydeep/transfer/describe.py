"""Images as vectors: a net's activations, averaged and of length one (appendix B).

N images, D numbers of an image; h, w sides of a map.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor
from torch.nn.functional import normalize

from verydeep.data.pipeline.rescaled import TestPictures
from verydeep.evaluation.posteriors import mix_answers, over_positions, view_groups
from verydeep.models.trained_net import TrainedNet
from verydeep.system.progress import ProgressTask
from verydeep.transfer.descriptor import Descriptor


def describe_pictures(
    model: TrainedNet,
    pictures: TestPictures,
    descriptor: Descriptor,
    *,
    block: int = 256,
    task: ProgressTask | None = None,
) -> Tensor:
    """Return a vector for each image.

    The whole image goes through the net at every scale; the activations are averaged over the
    positions of the map and over the mirror image, then over the scales, or stacked; at last the
    vector is divided by its Euclidean length.

    Args:
        model: The net.
        pictures: Rescaled to the descriptor's scales. Which are unreadable they know afterwards.
        descriptor: What to compute.
        block: Images in a block; see :func:`verydeep.evaluation.posteriors.mix_posteriors`.
        task: Told how many images are done.

    Returns:
        float32 (N, D) on the CPU, rows of length one; zero for unreadable images.
    """
    parts = view_groups(descriptor.views)
    mixtures = [{part: 1.0} for part in parts]
    if descriptor.aggregate == "mean":
        mixtures = [{part: 1 / len(parts) for part in parts}]
    total = mix_answers(
        [_Layer(model, descriptor.used_layer)],
        model.net.activations(descriptor.used_layer),
        pictures,
        mixtures,
        over_positions,
        block=block,
        task=task,
    )
    return normalize(torch.from_numpy(total).permute(1, 0, 2).flatten(1))


@dataclass(frozen=True, slots=True)
class _Layer:
    """A layer of a net, asked like a net that is tested."""

    model: TrainedNet
    layer: str

    @property
    def input_size(self) -> int:
        return self.model.input_size

    @property
    def pixels_at_once(self) -> int:
        return self.model.pixels_at_once

    def score_map(self, pictures: NDArray[np.uint8]) -> NDArray[np.float32]:
        """Return the layer's activations (N, D, h, w)."""
        maps = self.model.activation_map(torch.from_numpy(pictures), self.layer)
        return maps.cpu().numpy()
