"""What tasks of classifiers share, whether images have one class or several labels."""

from __future__ import annotations

from abc import abstractmethod
from collections.abc import Callable, Sequence
from dataclasses import asdict, replace
from typing import Any, ClassVar, NamedTuple

from verydeep.data.pipeline.augment import Augmentation
from verydeep.data.pipeline.colour_statistics import ColourStatistics
from verydeep.data.pipeline.crop_policy import AnyCrop, Drawing
from verydeep.data.samples import Sample, Samples
from verydeep.evaluation.joint_tests import Circumstances, Test
from verydeep.evaluation.protocol import ProtocolName, TestProtocol
from verydeep.evaluation.workload import pixels_to_see, shapes_vary
from verydeep.models.classifier import Classifier
from verydeep.models.weights.named import source_config
from verydeep.run.training.tasks.task import Figures, Tested, TrainingTask
from verydeep.system.progress import Progress
from verydeep.training.head_loss import HeadLoss


class Measuring(NamedTuple):
    """Functions that measure a kind of classifier.

    Attributes:
        validate: As :func:`verydeep.evaluation.validation.validate_samples`.
        tests: As :func:`verydeep.evaluation.evaluate.evaluate_tests`.
    """

    validate: Callable[..., tuple[Any, tuple[str, ...]]]
    tests: Callable[..., Sequence[Tested]]


class ClassifierTask(TrainingTask[Classifier]):
    """Training of a classifier.

    Attributes:
        measuring: How it is measured.
    """

    measuring: ClassVar[Measuring]

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

    def validate(self, model: Classifier, progress: Progress) -> Figures:
        """Measure loss and errors on the validation split."""
        how = TestProtocol("center", self.recipe.test_scales[:1], flip=False)
        figures, unreadable = self.measuring.validate(
            model, self.samples("val"), how, **self.circumstances("val", progress)
        )
        return asdict(figures), unreadable

    def tests(self, model: Classifier, progress: Progress) -> Sequence[Tested]:
        """Run the tests ``center`` and, where it exists, ``dense``, and the recipe's protocol."""
        split, protocol = self.dataset.test_split, self.recipe.test_protocol
        dense: list[ProtocolName] = ["dense"] if model.any_size else []
        names: list[ProtocolName] = ["center", *dense, protocol.name]
        hows = [replace(protocol, name=name).for_model(model) for name in dict.fromkeys(names)]
        pixels = pixels_to_see(hows, len(self.samples(split)), model.input_size)
        model.prepare(pixels, progress, shapes_vary=shapes_vary(hows))
        tests = [Test(((0, how),)) for how in hows]
        how = self.circumstances(split, progress)
        return self.measuring.tests([model], self.dataset.split(split), tests, **how)

    def circumstances(self, split: str, progress: Progress) -> Circumstances:
        """Return the keyword arguments of tests on a split."""
        return {
            "split": split,
            "root": self.dataset.root,
            "workers": self.recipe.data.workers,
            "progress": progress,
        }

    @abstractmethod
    def head_loss(self, samples: Sequence[Sample]) -> HeadLoss:
        """Return what the head of a transfer learns from training images."""
