"""What a linear head learns: the loss of its scores, and how its rows are cut for cross-validation.

M rows (augmented views of images), D channels, K classes, L distinct label sets.
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Iterator
from dataclasses import asdict, dataclass
from typing import Any

import numpy as np
import torch
from sklearn.model_selection import StratifiedGroupKFold
from torch import Tensor
from torch.nn import functional as F

from verydeep.data.label_split import random_folds
from verydeep.evaluation.sigmoid import sigmoid
from verydeep.evaluation.softmax import softmax
from verydeep.evaluation.validation import figures_of, label_figures
from verydeep.system.group.distributed import Group
from verydeep.training.weighted_losses import binary_cross_entropy, weigh

Cut = tuple[Tensor, Tensor]
"""Indices of the rows to fit on, and of those that are held out."""


@dataclass(frozen=True, eq=False)
class Rows:
    """Averaged maps to fit on.

    Attributes:
        values: Averages, float32 (M, D).
        labels: Class indices, or indices of label sets, int64 (M,).
        images: Index of the image of each row, int64 (M,); views of one image share it.
    """

    values: Tensor
    labels: Tensor
    images: Tensor

    def take(self, rows: Tensor) -> Rows:
        """Return some of the rows."""
        return Rows(self.values[rows], self.labels[rows], self.images[rows])


class HeadLoss(ABC):
    """Loss and errors of a head's scores (M, K) for labels (M,)."""

    error: str
    """The kind of error that :meth:`wrong` counts, in words."""

    @property
    @abstractmethod
    def outputs(self) -> int:
        """Number of scores, K."""

    @property
    def fit_factor(self) -> int:
        """Factor of the mean loss in a fit, beside the penalty."""
        return 1

    @abstractmethod
    def losses(self, scores: Tensor, labels: Tensor) -> Tensor:
        """Return the weighted loss of every row, (M,), in nats."""

    @abstractmethod
    def wrong(self, scores: Tensor, labels: Tensor) -> Tensor:
        """Return whether each answer is wrong, bool (M,)."""

    @abstractmethod
    def cuts(self, rows: Rows, folds: int, seed: int) -> Iterator[Cut]:
        """Yield cuts of the rows, each image's views on one side, every class on both if possible.

        There are none if no cut could tell a good fit from a bad one.

        Args:
            rows: The rows.
            folds: Number of folds; fewer if a class has fewer images.
            seed: Random seed.
        """

    @abstractmethod
    def figures(self, scores: Tensor, labels: Tensor, group: Group) -> dict[str, Any] | None:
        """Return the measures of a validation; None if there are no images.

        Args:
            scores: Of this process's images, float32 (M, K).
            labels: Their labels, (M,).
            group: Processes that have a share of the images each.
        """


@dataclass(frozen=True, eq=False)
class OneClass(HeadLoss):
    """Softmax and cross-entropy; one class per image.

    Attributes:
        num_classes: K.
        class_weights: Weight of each class, (K,); None for equal weights.
    """

    num_classes: int
    class_weights: Tensor | None = None
    error = "error"

    @property
    def outputs(self) -> int:
        """Number of scores, K."""
        return self.num_classes

    def losses(self, scores: Tensor, labels: Tensor) -> Tensor:
        """Return −log probability of the true class, times the weight of the class."""
        return weigh(F.cross_entropy(scores, labels, reduction="none"), labels, self.class_weights)

    def wrong(self, scores: Tensor, labels: Tensor) -> Tensor:
        """Return whether the likeliest class is wrong."""
        return scores.argmax(1) != labels

    def cuts(self, rows: Rows, folds: int, seed: int) -> Iterator[Cut]:
        """Yield cuts by image, stratified by class; the only image of a class is always kept."""
        labels, images = rows.labels.numpy(), rows.images.numpy()
        first = np.unique(images, return_index=True)[1]
        counts = np.bincount(labels[first], minlength=self.num_classes)
        several = np.flatnonzero(counts[labels] > 1)
        if not len(several):
            return
        fewest = int(counts[counts > 1].min())
        cut = StratifiedGroupKFold(min(folds, fewest), shuffle=True, random_state=seed)
        for _, places in cut.split(several, labels[several], images[several]):
            held = np.zeros(len(labels), bool)
            held[several[places]] = True
            yield torch.from_numpy(np.flatnonzero(~held)), torch.from_numpy(np.flatnonzero(held))

    def figures(self, scores: Tensor, labels: Tensor, group: Group) -> dict[str, Any] | None:
        """Return loss, top-1 and top-5 error."""
        found = figures_of(softmax(scores.numpy(), 1), labels, group)
        return None if found is None else asdict(found)


@dataclass(frozen=True, eq=False)
class SeveralLabels(HeadLoss):
    """Sigmoid and binary cross-entropy of each class; several classes per image, or none.

    Labels are indices of label sets. The loss is a mean over the classes, but a fit takes their
    sum: it is one logistic regression for each class, with the same penalty.

    Attributes:
        table: Ones for the classes of each label set, else zeros, uint8 (L, K).
        positive_weights: Weight of the loss where a class is present, (K,); None for ones.
    """

    table: Tensor
    positive_weights: Tensor | None = None
    error = "share of wrong label sets"

    @property
    def outputs(self) -> int:
        """Number of scores, K."""
        return self.table.shape[1]

    @property
    def fit_factor(self) -> int:
        """K, which turns the mean over the classes into their sum."""
        return self.outputs

    def losses(self, scores: Tensor, labels: Tensor) -> Tensor:
        """Return the binary cross-entropy, averaged over the classes."""
        truth = self.table[labels].to(scores)
        return binary_cross_entropy(scores, truth, self.positive_weights)

    def wrong(self, scores: Tensor, labels: Tensor) -> Tensor:
        """Return whether the set of classes with a probability of at least 0.5 is wrong."""
        return ((scores >= 0) != self.table[labels].bool()).any(1)

    def cuts(self, rows: Rows, folds: int, seed: int) -> Iterator[Cut]:
        """Yield cuts by image, by iterative stratification."""
        images, first, place = np.unique(
            rows.images.numpy(), return_index=True, return_inverse=True
        )
        if len(images) < 2:
            return
        truth = self.table[rows.labels[torch.from_numpy(first)]].bool().numpy()
        counts = truth.sum(0)
        fewest = int(counts[counts > 0].min(initial=len(images)))
        count = max(2, min(folds, fewest))
        dealt = random_folds(truth, count, seed)
        for fold in range(count):
            held = torch.from_numpy(dealt[place] == fold)
            yield torch.nonzero(~held)[:, 0], torch.nonzero(held)[:, 0]

    def figures(self, scores: Tensor, labels: Tensor, group: Group) -> dict[str, Any] | None:
        """Return loss, subset error and mean average precision, which ranks all images."""
        own = (sigmoid(scores.numpy()), self.table[labels].bool().numpy())
        likely, truth = (np.concatenate(parts) for parts in zip(*group.gather(own), strict=True))
        return asdict(label_figures(likely, truth)) if len(likely) else None
