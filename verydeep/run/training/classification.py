"""Classification task: objective, validation and tests of a classifier."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np
import torch

from verydeep.data.pipeline.balance import weights_of_counts
from verydeep.data.samples import Sample, Samples
from verydeep.evaluation.evaluate import evaluate_tests
from verydeep.evaluation.joint_tests import Test
from verydeep.evaluation.predictions_log import Record
from verydeep.evaluation.protocol import ProtocolName, TestProtocol
from verydeep.evaluation.result import EvaluationResult
from verydeep.evaluation.validation import validate_samples
from verydeep.evaluation.workload import pixels_to_see, shapes_vary
from verydeep.models.classifier import Classifier, load_classifier
from verydeep.run.training.classifier_task import ClassifierTask
from verydeep.run.training.task import Figures, Parts, Tested
from verydeep.system.progress import Progress
from verydeep.training.head_loss import OneClass
from verydeep.training.objective import Classification, Objective, SquaredError


@dataclass(frozen=True)
class ClassificationTask(ClassifierTask):
    """Training of a classifier of one class per image."""

    def objective(self, samples: Sequence[Sample]) -> Objective:
        """Return the recipe's loss with its label smoothing and class weights."""
        weights = None
        if self.recipe.data.balance == "weights":
            counts = np.bincount(Samples.of(samples).labels, minlength=self.outputs)
            if self.dataset.stream is not None:
                counts = np.array(self.dataset.stream.counts)
            weights = torch.tensor(weights_of_counts(counts))
        squared = self.recipe.training.loss == "squared-error"
        kind = SquaredError if squared else Classification
        return kind(self.outputs, self.recipe.training.label_smoothing, weights)

    def head_loss(self) -> OneClass:
        """Return softmax and cross-entropy."""
        return OneClass(self.outputs)

    def model(self, parts: Parts) -> Classifier:
        """Return a classifier."""
        return Classifier(**parts)

    def load(self, folder: Path) -> Classifier:
        """Load a classifier."""
        return load_classifier(folder)

    def validate(self, model: Classifier, progress: Progress) -> Figures:
        """Measure loss, top-1 and top-5 error."""
        figures, unreadable = validate_samples(
            model,
            self.samples("val"),
            TestProtocol("center", self.recipe.test_scales[:1], flip=False),
            split="val",
            root=self.dataset.root,
            workers=self.recipe.data.workers,
            progress=progress,
        )
        return asdict(figures), unreadable

    def tests(self, model: Classifier, progress: Progress) -> Sequence[Tested]:
        """Run the tests ``center`` and, where it exists, ``dense``, and the recipe's protocol."""
        split, protocol = self.dataset.test_split, self.recipe.test_protocol
        dense: list[ProtocolName] = ["dense"] if model.any_size else []
        names: list[ProtocolName] = ["center", *dense, protocol.name]
        hows = [replace(protocol, name=name).for_model(model) for name in dict.fromkeys(names)]
        images = len(self.samples(split))
        pixels = pixels_to_see(hows, images, model.input_size)
        model.prepare(pixels, progress, shapes_vary=shapes_vary(hows))
        return evaluate_tests(
            [model],
            self.dataset.split(split),
            [Test(((0, how),)) for how in hows],
            split=split,
            root=self.dataset.root,
            workers=self.recipe.data.workers,
            progress=progress,
        )

    def answers(self, result: EvaluationResult) -> Iterator[dict[str, Any]]:
        """Yield the true class and the most likely classes of every image."""
        return Record.of(result.answers, result.decisions).rows()
