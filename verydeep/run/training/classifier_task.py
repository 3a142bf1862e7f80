"""What tasks of classifiers share, whether images have one class or several labels."""

from __future__ import annotations

from abc import abstractmethod
from dataclasses import replace

from verydeep.data.pipeline.augment import Augmentation
from verydeep.data.pipeline.colour_statistics import ColourStatistics
from verydeep.data.pipeline.crop_policy import AnyCrop, Drawing
from verydeep.data.samples import Samples
from verydeep.models.classifier import Classifier
from verydeep.models.weights.named import source_config
from verydeep.run.training.task import TrainingTask
from verydeep.training.head_loss import HeadLoss


class ClassifierTask(TrainingTask[Classifier]):
    """Training of a classifier."""

    @property
    def outputs(self) -> int:
        """Number of scores, K."""
        return len(self.dataset.classes)

    def samples(self, split: str) -> Samples:
        """Return all images of a split."""
        return self.dataset.split(split)

    def colours(self, measured: ColourStatistics) -> ColourStatistics:
        """Return the statistics, with the mean of the source if all its layers are taken."""
        start = self.recipe.initialize
        if start.source is None or start.layers != "all":
            return measured
        return replace(measured, mean=source_config(start.source).preprocessing.mean)

    def drawing(self, augmentation: Augmentation) -> Drawing:
        """Return the rule that accepts any crop."""
        return AnyCrop(augmentation)

    @abstractmethod
    def head_loss(self) -> HeadLoss:
        """Return what the head of a transfer learns."""
