"""Multi-label task: the parts of training that are specific to several labels per image."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import torch
from torch import Tensor

from verydeep.data.pipeline.balance import positive_weights
from verydeep.data.samples import Sample, Samples
from verydeep.evaluation.evaluate import evaluate_label_tests, evaluate_labels
from verydeep.evaluation.label_log import LabelRecord
from verydeep.evaluation.multi_label import MultiLabelResult
from verydeep.evaluation.thresholds import fit_thresholds
from verydeep.evaluation.validation import validate_labels
from verydeep.models.classifier import Classifier, load_classifier
from verydeep.run.training.tasks.classifier import ClassifierTask, Measuring
from verydeep.run.training.tasks.task import Parts
from verydeep.system.progress import Progress
from verydeep.training.head_loss import SeveralLabels
from verydeep.training.label_objective import MultiLabel
from verydeep.training.objective import Objective


@dataclass(frozen=True)
class MultiLabelTask(ClassifierTask):
    """Training of a classifier whose classes do not exclude each other."""

    measuring = Measuring(validate_labels, evaluate_label_tests)

    @property
    def watched(self) -> str:
        """The counterpart of accuracy for the plateau schedule: 100 − mean average precision."""
        return "map_error"

    def objective(self, samples: Sequence[Sample]) -> Objective:
        """Return the binary cross-entropy with the recipe's label smoothing and weights."""
        table, weights = self._table_and_weights(samples)
        return MultiLabel(table, self.recipe.training.label_smoothing, weights)

    def head_loss(self, samples: Sequence[Sample]) -> SeveralLabels:
        """Return sigmoid and binary cross-entropy with the recipe's weights."""
        return SeveralLabels(*self._table_and_weights(samples))

    def _table_and_weights(self, samples: Sequence[Sample]) -> tuple[Tensor, Tensor | None]:
        """Return the classes of label sets, uint8 (L, K), and the weights of presence, (K,)."""
        given = Samples.of(samples)
        assert given.label_sets is not None
        weights = None
        if self.recipe.data.balance == "weights":
            counts = given.label_sets.images_of_classes(given.labels, self.outputs)
            weights = torch.tensor(positive_weights(counts, len(given)))
        return torch.from_numpy(given.label_sets.indicators(self.outputs)), weights

    def model(self, parts: Parts) -> Classifier:
        """Return a multi-label classifier."""
        return Classifier(**parts, multi_label=True)

    def load(self, folder: Path) -> Classifier:
        """Load a multi-label classifier."""
        return load_classifier(folder, multi_label=True)

    def complete(self, model: Classifier, progress: Progress) -> Classifier:
        """Return the model with thresholds fitted on the validation split."""
        how = self.recipe.test_protocol.for_model(model)
        result = evaluate_labels(
            [model], self.samples("val"), how, **self.circumstances("val", progress)
        )
        fitted = fit_thresholds(
            result.answers.posteriors, result.answers.truth, split="val", protocol=str(how)
        )
        return replace(model, thresholds=fitted)

    def answers(self, result: MultiLabelResult) -> Iterator[dict[str, Any]]:
        """Yield the true labels and the probabilities of every image."""
        return LabelRecord.of(result.answers).rows()
