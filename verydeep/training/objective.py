"""What a training minimises, and what counts as wrong: classes, or boxes.

N crops, K classes, G boxes a crop.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Protocol

from torch import Tensor
from torch.nn import functional as F

from verydeep.data.pipeline.batches import MicroBatch
from verydeep.localization.box_geometry import iou, to_corners
from verydeep.localization.head import CORRECT_ABOVE, LOSSES, LossName, as_boxes, of_class


class Objective(Protocol):
    """All that the loop knows of its task."""

    @property
    def error(self) -> str:
        """Name of the figure that counts what is wrong, in percent: of logs and validation."""

    def losses(self, outputs: Tensor, batch: MicroBatch) -> Tensor:
        """Return the loss (N,) of every crop from what the net answered, float32 (N, ...)."""

    def wrong(self, outputs: Tensor, batch: MicroBatch) -> Tensor:
        """Return whether the answer to every crop is wrong, bool (N,)."""

    @property
    def chance_of(self) -> int | None:
        """Number of classes K, if the loss of chance is ln K; None if it depends on the data."""


@dataclass(frozen=True)
class Classification:
    """To learn the class: cross-entropy, the mean over the images.

    Attributes:
        classes: K.
        label_smoothing: Share of the target that is spread over all classes.
        class_weights: (K,), what the images of each class weigh; None weighs all alike.
    """

    classes: int
    label_smoothing: float = 0.0
    class_weights: Tensor | None = None

    error = "top1_error"

    def losses(self, outputs: Tensor, batch: MicroBatch) -> Tensor:
        """Return the loss (N,) of scores (N, K), each weighted as its class is."""
        losses = F.cross_entropy(
            outputs, batch.labels, label_smoothing=self.label_smoothing, reduction="none"
        )
        if self.class_weights is not None:
            # Their mean is divided by the number of images, not by the sum of weights as PyTorch
            # does: parts of a batch then add up to the batch.
            losses = losses * self.class_weights.to(outputs.device)[batch.labels]
        return losses

    def wrong(self, outputs: Tensor, batch: MicroBatch) -> Tensor:
        """Return whether the likeliest class is another, bool (N,)."""
        return outputs.argmax(1) != batch.labels

    @property
    def chance_of(self) -> int:
        """K."""
        return self.classes


@dataclass(frozen=True)
class Localization:
    """To learn the box of the true class; the boxes of other classes bear no loss (appendix A).

    Attributes:
        loss: Name of the loss on a box; see :data:`verydeep.localization.head.LOSSES`.
    """

    loss: LossName = "euclidean"

    error = "localization_error"

    def losses(self, outputs: Tensor, batch: MicroBatch) -> Tensor:
        """Return the loss (N,) of answers (N, 4·G)."""
        assert batch.boxes is not None
        return LOSSES[self.loss](_found(outputs, batch), batch.boxes)

    def wrong(self, outputs: Tensor, batch: MicroBatch) -> Tensor:
        """Return whether the true class's box overlaps the true box too little, bool (N,)."""
        assert batch.boxes is not None
        # Stretching the crop to a square changes no ratio of areas.
        overlap = iou(to_corners(_found(outputs, batch)), to_corners(batch.boxes))
        return overlap <= CORRECT_ABOVE

    @property
    def chance_of(self) -> None:
        """None: the loss of chance depends on the boxes."""


def _found(outputs: Tensor, batch: MicroBatch) -> Tensor:
    return of_class(as_boxes(outputs), batch.labels)
