"""Losses of classification with weights of the classes.

N images, K classes.
"""

from __future__ import annotations

from torch import Tensor
from torch.nn import functional as F


def weigh(losses: Tensor, labels: Tensor, class_weights: Tensor | None) -> Tensor:
    """Return losses (N,) times the weights of their classes.

    Unlike PyTorch's, their mean divides by the number of images instead of the sum of the weights,
    so that the parts of a batch add up to the batch.

    Args:
        losses: Losses, (N,).
        labels: Class indices, int64 (N,).
        class_weights: Weight of each class, (K,), on any device; None for equal weights.
    """
    return losses if class_weights is None else losses * class_weights.to(losses.device)[labels]


def binary_cross_entropy(
    scores: Tensor, targets: Tensor, positive_weights: Tensor | None
) -> Tensor:
    """Return the binary cross-entropy of each image, averaged over the classes, in nats, (N,).

    Args:
        scores: Scores before the sigmoid, (N, K).
        targets: Probabilities that each class is present, (N, K).
        positive_weights: Weight of the loss where a class is present, (K,), on any device; None
            for ones.
    """
    return F.binary_cross_entropy_with_logits(
        scores,
        targets,
        pos_weight=None if positive_weights is None else positive_weights.to(scores),
        reduction="none",
    ).mean(1)
