"""What a run is for, as far as the rest of it need not know: to tell classes, or boxes."""

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
