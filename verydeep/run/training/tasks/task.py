"""Interface between a training run and its task: classification or localization."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Generic, Protocol, TypeVar

from verydeep.data.dataset import Dataset
from verydeep.data.pipeline.augment import Augmentation
from verydeep.data.pipeline.colour_statistics import ColourStatistics
from verydeep.data.pipeline.crop_policy import Drawing
from verydeep.data.samples import Sample, Samples
from verydeep.models.trained_net import TrainedNet
from verydeep.recipe.recipe import Recipe
from verydeep.system.progress import Progress
from verydeep.training.objective import Objective

M = TypeVar("M", bound=TrainedNet)

Parts = Mapping[str, Any]
"""Attributes of a :class:`~verydeep.models.trained_net.TrainedNet`."""

Figures = tuple[dict[str, float], tuple[str, ...]]
"""Measures of a validation, and the names of unreadable images."""


class Tested(Protocol):
    """The result of a test."""

    @property
    def protocol(self) -> str:
        """Name of the protocol."""

    def to_dict(self) -> dict[str, Any]:
        """Return plain values."""


@dataclass(frozen=True)
class TrainingTask(ABC, Generic[M]):
    """Task-specific parts of a training; M is the type of the trained model.

    Attributes:
        recipe: Recipe of the run.
        dataset: Data set to train on.
    """

    recipe: Recipe
    dataset: Dataset

    @property
    @abstractmethod
    def outputs(self) -> int:
        """Number of outputs of the net's last layer."""

    @property
    def watched(self) -> str | None:
        """Validation error that stands for accuracy in ``plateau.monitor``; None: the objective's.

        Lower is better.
        """
        return None

    @property
    def test_split(self) -> str:
        """Name of the split to test on at the end of a run."""
        return self.dataset.test_split

    @abstractmethod
    def samples(self, split: str) -> Samples:
        """Return the usable images of a split.

        Raises:
            DataError: No image is usable.
        """

    def colours(self, measured: ColourStatistics) -> ColourStatistics:
        """Return the colour statistics to use with the net, given those of its images."""
        return measured

    @abstractmethod
    def objective(self, samples: Sequence[Sample]) -> Objective:
        """Return the objective to minimise on the training images."""

    @abstractmethod
    def drawing(self, augmentation: Augmentation) -> Drawing:
        """Return the rule for drawing training crops."""

    @abstractmethod
    def model(self, parts: Parts) -> M:
        """Return a trained net with these attributes."""

    @abstractmethod
    def load(self, folder: Path) -> M:
        """Load a trained net."""

    @abstractmethod
    def validate(self, model: M, progress: Progress) -> Figures:
        """Run the quick test after an epoch: centre crop at one scale, no mirror image."""

    def complete(self, model: M, progress: Progress) -> M:
        """Return the kept model with what is fitted after training; by default as it is."""
        return model

    @abstractmethod
    def tests(self, model: M, progress: Progress) -> Sequence[Tested]:
        """Run the tests at the end of a run."""

    def chosen(self, results: Sequence[Tested]) -> Tested:
        """Return the test by the recipe's protocol, which provides the metrics of the run."""
        return next(r for r in results if r.protocol == self.recipe.test.protocol)

    @abstractmethod
    def answers(self, result: Any) -> Iterator[dict[str, Any]]:
        """Yield the recorded answer for every image of a test, as plain values."""
