"""What a run is for, as far as the rest of it need not know: to tell classes, or boxes."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Generic, Protocol, TypeVar

import numpy as np
import torch

from verydeep.data.dataset import Dataset
from verydeep.data.pipeline.augment import Augmentation
from verydeep.data.pipeline.balance import weights_of_counts
from verydeep.data.pipeline.colour_statistics import ColourStatistics
from verydeep.data.pipeline.crop_policy import AnyCrop, Drawing
from verydeep.data.samples import Sample, Samples
from verydeep.evaluation.evaluate import evaluate_samples
from verydeep.evaluation.predictions_log import Record
from verydeep.evaluation.protocol import TestProtocol as Views
from verydeep.evaluation.result import EvaluationResult
from verydeep.models.classifier import Classifier, load
from verydeep.models.trained_net import TrainedNet
from verydeep.recipe.recipe import Recipe
from verydeep.run.testing.evaluate import final_tests
from verydeep.system.progress import Progress
from verydeep.training.objective import Classification, Objective

M = TypeVar("M", bound=TrainedNet)

Parts = Mapping[str, Any]
"""Attributes of a :class:`~verydeep.models.trained_net.TrainedNet`."""

Figures = tuple[dict[str, float], tuple[str, ...]]
"""What a validation measured, and the names of the images that could not be read."""


class Tested(Protocol):
    """The result of a test."""

    @property
    def protocol(self) -> str:
        """Name of the protocol."""

    def to_dict(self) -> dict[str, Any]:
        """Return plain values."""


@dataclass(frozen=True)
class TrainingTask(ABC, Generic[M]):
    """What tells one kind of training from another; M is the kind of model that it leaves.

    Attributes:
        recipe: Of the run.
        dataset: That it learns from.
    """

    recipe: Recipe
    dataset: Dataset

    @property
    @abstractmethod
    def outputs(self) -> int:
        """How many numbers the net's last layer gives."""

    @abstractmethod
    def samples(self, split: str) -> Samples:
        """Return the images of a split that can be used.

        Raises:
            DataError: There is none.
        """

    def colours(self, measured: ColourStatistics) -> ColourStatistics:
        """Return the colours that the net is to be used with, from those of its images."""
        return measured

    @abstractmethod
    def objective(self, samples: Sequence[Sample]) -> Objective:
        """Return what is minimised on the training images."""

    @abstractmethod
    def drawing(self, augmentation: Augmentation) -> Drawing:
        """Return how training crops are drawn."""

    @abstractmethod
    def model(self, parts: Parts) -> M:
        """Return a trained net with these attributes."""

    @abstractmethod
    def load(self, folder: Path) -> M:
        """Load a trained net."""

    @abstractmethod
    def validate(self, model: M, progress: Progress) -> Figures:
        """Make the quick test after an epoch: the centre crop at one scale, no mirror image."""

    @abstractmethod
    def tests(self, model: M, progress: Progress) -> Sequence[Tested]:
        """Make the tests at the end of a run."""

    def chosen(self, results: Sequence[Tested]) -> Tested:
        """Return the test by the recipe's protocol, whose figures are those of the run."""
        return next(r for r in results if r.protocol == self.recipe.test.protocol)

    @abstractmethod
    def answers(self, result: Any) -> Iterator[dict[str, Any]]:
        """Yield what is kept of every image of a test, as plain values."""


@dataclass(frozen=True)
class ClassificationTask(TrainingTask[Classifier]):
    """To tell classes."""

    @property
    def outputs(self) -> int:
        """K scores."""
        return len(self.dataset.classes)

    def samples(self, split: str) -> Samples:
        """Return all images of a split."""
        return self.dataset.split(split)

    def objective(self, samples: Sequence[Sample]) -> Objective:
        """Return the cross-entropy, as the recipe smooths and weights it."""
        weights = None
        if self.recipe.data.balance == "weights":
            counts = np.bincount(Samples.of(samples).labels, minlength=self.outputs)
            if self.dataset.stream is not None:
                counts = np.array(self.dataset.stream.counts)
            weights = torch.tensor(weights_of_counts(counts))
        return Classification(self.outputs, self.recipe.training.label_smoothing, weights)

    def drawing(self, augmentation: Augmentation) -> Drawing:
        """Return any crops."""
        return AnyCrop(augmentation)

    def model(self, parts: Parts) -> Classifier:
        """Return a classifier."""
        return Classifier(**parts)

    def load(self, folder: Path) -> Classifier:
        """Load a classifier."""
        return load(folder)

    def validate(self, model: Classifier, progress: Progress) -> Figures:
        """Measure loss, top-1 and top-5 error."""
        result = evaluate_samples(
            [model],
            self.samples("val"),
            Views("center", self.recipe.test_scales[:1], flip=False),
            split="val",
            root=self.dataset.root,
            workers=self.recipe.data.workers,
            progress=progress,
        )
        measured = {key: getattr(result, key) for key in ("loss", "top1_error", "top5_error")}
        return measured, result.unreadable

    def tests(self, model: Classifier, progress: Progress) -> Sequence[Tested]:
        """Test densely, by the centre crop and as the recipe says."""
        return final_tests(model, self.dataset, self.recipe, progress)

    def answers(self, result: EvaluationResult) -> Iterator[dict[str, Any]]:
        """Yield the true class and the likeliest ones of every image."""
        return Record.of(result.answers).rows()
