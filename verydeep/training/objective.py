"""Training objectives: loss and error of classification and localization.

N crops, K classes, G boxes per crop.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Protocol

from torch import Tensor
from torch.nn import functional as F

from verydeep.data.pipeline.micro_batch import MicroBatch
from verydeep.localization.box_geometry import iou, to_corners
from verydeep.localization.head import LOSSES, LossName, as_boxes, of_class
from verydeep.localization.protocol import CORRECT_ABOVE
from verydeep.training.weighted_losses import weigh

AUXILIARY_WEIGHT = 0.3
"""Weight of the loss of an auxiliary head (Szegedy et al. 2014)."""


def heads_of(outputs: Tensor) -> tuple[Tensor, tuple[Tensor, ...]]:
    """Return scores (N, K) and those of auxiliary heads, from (N, K) or (N, 1 + A, K)."""
    if outputs.dim() == 2:
        return outputs, ()
    scores, *others = outputs.unbind(1)
    return scores, tuple(others)


class Objective(Protocol):
    """Interface between the loop and its task."""

    @property
    def error(self) -> str:
        """Name of the error metric (in percent) in logs and validation."""

    def losses(self, outputs: Tensor, batch: MicroBatch) -> Tensor:
        """Return the losses (N,) of outputs, float32 (N, ...)."""

    def wrong(self, outputs: Tensor, batch: MicroBatch) -> Tensor:
        """Return whether each prediction is wrong, bool (N,)."""

    @property
    def chance_of(self) -> int | None:
        """Number of classes K if the loss at chance level is ln K; None if it depends on data."""


@dataclass(frozen=True)
class Classification:
    """Classification by cross-entropy, averaged over the images.

    Attributes:
        classes: Number of classes K.
        label_smoothing: Share of the target spread over all classes.
        class_weights: Weight of each class, (K,); None for equal weights.
    """

    classes: int
    label_smoothing: float = 0.0
    class_weights: Tensor | None = None

    error = "top1_error"

    def losses(self, outputs: Tensor, batch: MicroBatch) -> Tensor:
        """Return the weighted losses (N,) of scores (N, K) or (N, 1 + A, K).

        The losses of A auxiliary heads are added with :data:`AUXILIARY_WEIGHT`.
        """
        scores, auxiliary = heads_of(outputs)
        losses = self._losses(scores, batch.labels)
        for more in auxiliary:
            losses = losses + AUXILIARY_WEIGHT * self._losses(more, batch.labels)
        return weigh(losses, batch.labels, self.class_weights)

    def _losses(self, scores: Tensor, labels: Tensor) -> Tensor:
        return F.cross_entropy(
            scores, labels, label_smoothing=self.label_smoothing, reduction="none"
        )

    def wrong(self, outputs: Tensor, batch: MicroBatch) -> Tensor:
        """Return whether the predicted class is wrong, bool (N,)."""
        return heads_of(outputs)[0].argmax(1) != batch.labels

    @property
    def chance_of(self) -> int | None:
        """Number of classes K."""
        return self.classes


@dataclass(frozen=True)
class SquaredError(Classification):
    """Classification by the mean squared error of the scores to 1 for the class, else to −1.

    The loss of an image is the mean over its K scores, as LeCun et al. (1989) report it.
    """

    def _losses(self, scores: Tensor, labels: Tensor) -> Tensor:
        targets = 2 * F.one_hot(labels, self.classes).to(scores) - 1
        return (scores - targets).square().mean(1)

    @property
    def chance_of(self) -> None:
        """None: the loss at chance level is not ln K."""


@dataclass(frozen=True)
class Localization:
    """Regression of the true class's box; boxes of other classes have no loss (appendix A).

    Attributes:
        loss: Name of the box loss; see :data:`verydeep.localization.head.LOSSES`.
    """

    loss: LossName = "euclidean"

    error = "localization_error"

    def losses(self, outputs: Tensor, batch: MicroBatch) -> Tensor:
        """Return the losses (N,) of outputs (N, 4·G)."""
        assert batch.boxes is not None
        return LOSSES[self.loss](_predicted(outputs, batch), batch.boxes)

    def wrong(self, outputs: Tensor, batch: MicroBatch) -> Tensor:
        """Return whether the predicted box overlaps the true box too little, bool (N,)."""
        assert batch.boxes is not None
        # Stretching the crop to a square does not change ratios of areas.
        overlap = iou(to_corners(_predicted(outputs, batch)), to_corners(batch.boxes))
        return overlap <= CORRECT_ABOVE

    @property
    def chance_of(self) -> None:
        """None: the loss at chance level depends on the boxes."""


def _predicted(outputs: Tensor, batch: MicroBatch) -> Tensor:
    return of_class(as_boxes(outputs), batch.labels)
