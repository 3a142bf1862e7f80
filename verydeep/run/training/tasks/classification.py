"""Classification task: objective, validation and tests of a classifier."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import Tensor

from verydeep.data.pipeline.balance import weights_of_counts
from verydeep.data.samples import Sample, Samples
from verydeep.evaluation.evaluate import evaluate_tests
from verydeep.evaluation.predictions_log import Record
from verydeep.evaluation.result import EvaluationResult
from verydeep.evaluation.validation import validate_samples
from verydeep.models.classifier import Classifier, load_classifier
from verydeep.run.training.tasks.classifier import ClassifierTask, Measuring
from verydeep.run.training.tasks.task import Parts
from verydeep.training.head_loss import OneClass
from verydeep.training.objective import Classification, Objective, SquaredError


@dataclass(frozen=True)
class ClassificationTask(ClassifierTask):
    """Training of a classifier of one class per image."""

    measuring = Measuring(validate_samples, evaluate_tests)

    def objective(self, samples: Sequence[Sample]) -> Objective:
        """Return the recipe's loss with its label smoothing and class weights."""
        weights = self._class_weights(samples) if self.recipe.data.balance == "weights" else None
        squared = self.recipe.training.loss == "squared-error"
        kind = SquaredError if squared else Classification
        return kind(self.outputs, self.recipe.training.label_smoothing, weights)

    def head_loss(self, samples: Sequence[Sample]) -> OneClass:
        """Return softmax and cross-entropy with class weights.

        The head is fitted to every image once. Weights are what balanced sampling is on average.
        """
        balanced = self.recipe.data.balance != "none"
        return OneClass(self.outputs, self._class_weights(samples) if balanced else None)

    def _class_weights(self, samples: Sequence[Sample]) -> Tensor:
        counts = np.bincount(Samples.of(samples).labels, minlength=self.outputs)
        if self.dataset.stream is not None:
            counts = np.array(self.dataset.stream.counts)
        return torch.tensor(weights_of_counts(counts))

    def model(self, parts: Parts) -> Classifier:
        """Return a classifier."""
        return Classifier(**parts)

    def load(self, folder: Path) -> Classifier:
        """Load a classifier."""
        return load_classifier(folder)

    def answers(self, result: EvaluationResult) -> Iterator[dict[str, Any]]:
        """Yield the true class and the most likely classes of every image."""
        return Record.of(result.answers, result.decisions).rows()
