"""The filters of the first convolution: the only ones that can be read as colours."""

from __future__ import annotations

from torch import Tensor

from verydeep.classifier import Classifier


def first_filters(model: Classifier) -> Tensor:
    """Return the weights of ``conv1_1``, float32 (channels, 3, 3, 3): RGB, rows, columns."""
    return model.net.get_parameter("features.conv1_1.weight").detach().float().cpu()
