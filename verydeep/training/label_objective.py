"""Objective of multi-label classification: binary cross-entropy.

N crops, K classes, D distinct label sets.
"""

from __future__ import annotations

from dataclasses import dataclass, field

import torch
from torch import Tensor

from verydeep.data.pipeline.micro_batch import MicroBatch
from verydeep.training.objective import AUXILIARY_WEIGHT, heads_of
from verydeep.training.weighted_losses import binary_cross_entropy


@dataclass(frozen=True)
class MultiLabel:
    """Sigmoid and binary cross-entropy of every class, averaged over classes and images.

    Labels of a batch are indices of label sets. Label smoothing ε makes the targets ε / 2 and
    1 − ε / 2: a share ε of each is spread over its two outcomes.

    Attributes:
        table: Ones for the classes of each label set, else zeros, uint8 (D, K).
        label_smoothing: ε.
        positive_weights: Weight of the loss where a class is present, (K,); None for ones.
    """

    table: Tensor
    label_smoothing: float = 0.0
    positive_weights: Tensor | None = None
    _tables: dict[torch.device, Tensor] = field(default_factory=dict, repr=False, compare=False)

    error = "subset_error"

    def losses(self, outputs: Tensor, batch: MicroBatch) -> Tensor:
        """Return the losses (N,) of scores (N, K) or (N, 1 + A, K), in nats.

        The losses of A auxiliary heads are added with a weight of 0.3.
        """
        scores, auxiliary = heads_of(outputs)
        targets = self.targets(batch.labels)
        losses = binary_cross_entropy(scores, targets, self.positive_weights)
        for more in auxiliary:
            extra = binary_cross_entropy(more, targets, self.positive_weights)
            losses = losses + AUXILIARY_WEIGHT * extra
        return losses

    def targets(self, labels: Tensor) -> Tensor:
        """Return the smoothed targets of label sets, float32 (N, K), on the labels' device."""
        truth = self._truth(labels).float()
        return truth * (1 - self.label_smoothing) + self.label_smoothing / 2

    def _truth(self, labels: Tensor) -> Tensor:
        """Return ones for the classes of label sets, uint8 (N, K); the table moves once."""
        device = labels.device
        if device not in self._tables:
            self._tables[device] = self.table.to(device)
        return self._tables[device][labels]

    def wrong(self, outputs: Tensor, batch: MicroBatch) -> Tensor:
        """Return whether the set of classes with a probability of at least 0.5 is wrong, (N,)."""
        found = heads_of(outputs)[0] >= 0
        return (found != self._truth(batch.labels).bool()).any(1)

    @property
    def chance_of(self) -> None:
        """None: the loss at chance level depends on how frequent the classes are."""
