"""Classification of images: the behaviour that all classifiers share.

N images, H height, W width, K classes; h, w sides of a score map.
"""

from __future__ import annotations

from abc import abstractmethod
from collections.abc import Iterable, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any, cast

import numpy as np
from numpy.typing import NDArray
from PIL import Image

from verydeep.data.images.inputs import Picture, list_pictures
from verydeep.data.images.member import ImageSource
from verydeep.data.pipeline.rescaled import TestPictures
from verydeep.errors import InputError, ModelError, PictureError
from verydeep.evaluation.abstention.abstention import Abstention, Decisions
from verydeep.evaluation.abstention.familiarity import FeatureDistance
from verydeep.evaluation.calibration import Calibration, temper
from verydeep.evaluation.feature_mixing import FeatureScorer, mix_features
from verydeep.evaluation.metrics import likeliest
from verydeep.evaluation.posteriors import mix_posteriors, view_groups
from verydeep.evaluation.protocol import Scales, TestProtocol
from verydeep.evaluation.sigmoid import sigmoid
from verydeep.evaluation.softmax import softmax
from verydeep.evaluation.thresholds import USUAL, Thresholds
from verydeep.evaluation.workload import pixels_to_see, shapes_vary
from verydeep.models.prediction import Prediction, Predictions
from verydeep.system.device import Machine
from verydeep.system.option_names import option
from verydeep.system.progress import Progress, ProgressTask, ProgressWish, choose_progress


class Predictor:
    """Base class of all classifiers.

    Attributes:
        classes: Names of the K classes.
        calibration: Temperature of the probabilities; None if not fitted.
        abstention: When to abstain, and sets of classes; None if not learned.
        familiarity: Distance of features from those of training images; None without.
        test_scales: Default test scales Q, in pixels.
        test_flip: Average with the mirror image by default.
        any_size: True if the model takes images of any size, False if only the central square.
        multi_label: Whether an image may have several classes, or none.
        thresholds: Probabilities from which classes are predicted then; None if not fitted.
        interpolation: Interpolation for rescaling images, ``bilinear`` or ``bicubic``.
    """

    @property
    def dimensions(self) -> int:
        """Axes of space of what it classifies: 2 for images, 3 for volumes."""
        return 2

    classes: tuple[str, ...]
    calibration: Calibration | None
    abstention: Abstention | None = None
    familiarity: FeatureDistance | None = None
    test_scales: tuple[int, ...]
    test_flip: bool
    any_size: bool
    interpolation: str
    multi_label: bool = False
    thresholds: Thresholds | None = None

    train_scale: tuple[int, int]
    machine: Machine

    @property
    @abstractmethod
    def resize_size(self) -> int:
        """Smallest side of rescaled images in torchvision's evaluation, in pixels."""

    @property
    @abstractmethod
    def input_size(self) -> int:
        """Side of the smallest accepted image, in pixels."""

    @property
    @abstractmethod
    def pixels_at_once(self) -> int:
        """Recommended number of pixels per batch."""

    @abstractmethod
    def score_map(self, pictures: NDArray[np.uint8]) -> NDArray[np.float32]:
        """Return scores (N, K, h, w) before the softmax, from uint8 images (N, 3, H, W)."""

    def prepare(
        self, pixels: float, progress: Progress | None = None, *, shapes_vary: bool = False
    ) -> None:
        """Choose the engine for a job of so many pixels; without a choice, do nothing."""

    @property
    def answered_by(self) -> dict[str, Any]:
        """Engine and precision of the scores."""
        return {"engine": "torch", "precision": self.machine.precision}

    def check_images(self, what: str) -> None:
        """Refuse a net for volumes.

        Args:
            what: What needs a net for images, for the message.

        Raises:
            ModelError: The net is for volumes.
        """
        if self.dimensions == 3:
            raise ModelError(f"the net is for volumes, and {what} is for images")

    @abstractmethod
    def check_scale(self, scale: int) -> None:
        """Refuse a test scale below the smallest accepted image."""

    @abstractmethod
    def title(self, label: int) -> str:
        """Return the display name of a class."""

    def predict(
        self,
        pictures: Picture | Iterable[Picture],
        *,
        top: int = 5,
        scales: Scales = None,
        flip: bool | None = None,
        abstain: bool | None = None,
        progress: ProgressWish = None,
    ) -> Predictions:
        """Predict the classes of images.

        Args:
            pictures: A path, a PIL image, a uint8 array (H, W, 3) or (H, W), or several of them.
                A folder means all images in it.
            top: Maximum number of classes in the ranking.
            scales: Test scales Q in pixels (default: :attr:`test_scales`).
            flip: Average with the mirror image (default: :attr:`test_flip`).
            abstain: Say which images the model does not know, and give sets of classes. None does
                so if it has learned that for this test, True insists on it, False does not.
            progress: Progress report: None reports in a notebook or terminal only, True always,
                False never.

        Returns:
            One prediction per image, in order. An unreadable file has a fault and no ranking.
            Probabilities are calibrated if the model is.

        Raises:
            InputError: A file does not exist, an array has another shape, a scale or ``top`` is too
                small, or the model has not learned to abstain in this test.
        """
        if top < 1:
            raise InputError(f"top must be at least 1 class, got {top} instead")
        progress = choose_progress(progress)
        sources = self.sources(pictures, progress)
        how = self.test_protocol(scales, flip)
        self.check_abstention(how, abstain, progress)
        pixels = pixels_to_see([how], len(sources), self.input_size)
        self.prepare(pixels, progress, shapes_vary=shapes_vary([how]))
        with progress.task("naming images", len(sources)) as task:
            return self.predict_sources(sources, how, top=top, task=task, abstain=abstain)

    def sources(
        self, pictures: Picture | Iterable[Picture], progress: Progress
    ) -> list[ImageSource | Image.Image]:
        """Return every image that is meant, or every volume for a net of three dimensions."""
        return [*list_pictures(pictures, progress)]

    def test_protocol(self, scales: Scales = None, flip: bool | None = None) -> TestProtocol:
        """Return the test that predictions are made by, with its scales in pixels.

        Raises:
            InputError: A scale is too small.
        """
        how = TestProtocol("dense" if self.any_size else "center", scales, flip).for_model(self)
        for scale in how.used_scales:
            self.check_scale(scale)
        return how

    def predict_sources(
        self,
        sources: Sequence[ImageSource | Image.Image],
        how: TestProtocol,
        *,
        top: int = 5,
        workers: int | None = None,
        task: ProgressTask | None = None,
        abstain: bool | None = None,
    ) -> Predictions:
        """Predict the classes of images by their locations.

        Args:
            sources: Locations, also within archives, or images in memory.
            how: From :meth:`test_protocol`.
            top: Maximum number of classes in the ranking.
            workers: Decoding processes; 0 uses threads, None decides by the number of images.
            task: Receives the number of images done.
            abstain: As for :meth:`predict`.

        Returns:
            As for :meth:`predict`.
        """
        tested = TestPictures(
            sources,
            how.used_scales,
            workers,
            interpolation=self.interpolation,
            dimensions=self.dimensions,
        )
        return self.predict_tested(tested, how, top=top, task=task, abstain=abstain)

    def predict_tested(
        self,
        tested: TestPictures,
        how: TestProtocol,
        *,
        top: int = 5,
        task: ProgressTask | None = None,
        abstain: bool | None = None,
    ) -> Predictions:
        """Predict the classes of images that are rescaled already, or will be when iterated.

        Args:
            tested: Images at every scale of the protocol, in the model's interpolation.
            how: From :meth:`test_protocol`.
            top: Maximum number of classes in the ranking.
            task: Receives the number of images done.
            abstain: As for :meth:`predict`.

        Returns:
            As for :meth:`predict`.
        """
        learned = self.abstention_for(how) if abstain is not False else None
        likely, distances = self._answers(tested, how, learned, task)
        if self.calibration:
            likely = temper(likely, self.calibration.temperature)
        decided = learned.decide(likely, distances) if learned else None
        predictions = (
            self._prediction(source, likely[index], tested.unreadable.get(index), top)
            for index, source in enumerate(tested.pictures)
        )
        if decided:
            predictions = (self._with(decided, *numbered) for numbered in enumerate(predictions))
        return Predictions(predictions, **self.answered_by)

    def _answers(
        self,
        tested: TestPictures,
        how: TestProtocol,
        learned: Abstention | None,
        task: ProgressTask | None,
    ) -> tuple[NDArray[np.float32], NDArray[np.float32] | None]:
        """Return posteriors (N, K), and distances (N,) from the training images if needed."""
        groups = view_groups(how)
        mixture = dict.fromkeys(groups, 1 / len(groups))
        if learned and learned.familiar and self.familiarity:
            net = cast(FeatureScorer, self)
            return mix_features(net, tested, mixture, self.familiarity.distances, task=task)
        activation = sigmoid if self.multi_label else softmax
        (likely,) = mix_posteriors(
            [self], len(self.classes), tested, [mixture], activation=activation, task=task
        )
        return likely, None

    def abstention_for(self, how: TestProtocol) -> Abstention | None:
        """Return what was learned about abstaining in a test; None if it was another test."""
        learned = self.abstention
        return learned if learned and learned.protocol == str(how) else None

    def check_abstention(
        self, how: TestProtocol, abstain: bool | None, progress: Progress | None = None
    ) -> None:
        """Refuse the wish to abstain if that was not learned; say so if it was for another test.

        Raises:
            InputError: ``abstain`` is true, and nothing was learned for this test.
        """
        if abstain is False or self.abstention_for(how):
            return
        if self.abstention is None:
            if abstain:
                raise InputError(
                    f"{option('abstain', True)}: this model has not learned when to abstain; "
                    "verydeep calibrate teaches it"
                )
            return
        other = (
            f"this model has learned when to abstain in the test {self.abstention.protocol}, which "
            f"says nothing about {how}"
        )
        if abstain:
            raise InputError(f"{option('abstain', True)}: {other}")
        (progress or Progress()).log(f"{other}: it answers every image")

    def predict_proba(
        self, pictures: Picture | Iterable[Picture], **options: Any
    ) -> NDArray[np.float32]:
        """Return the probabilities of all classes for images.

        Args:
            pictures: Images, as for :meth:`predict`.
            options: Other arguments of :meth:`predict`, except ``top``.

        Returns:
            Probabilities, float32 (N, K), columns in the order of :attr:`classes`; rows sum to one
            unless the model is multi-label.

        Raises:
            PictureError: An image cannot be read.
        """
        found = self.predict(pictures, top=1, **options)
        if faults := [str(one.fault) for one in found if one.fault]:
            raise PictureError("\n".join(["images without probabilities:", *faults]))
        rows = [one.probabilities for one in found if one.probabilities is not None]
        return np.stack(rows) if rows else np.empty((0, len(self.classes)), np.float32)

    @property
    def label_thresholds(self) -> tuple[float, ...] | None:
        """Probability from which each class is predicted, K; None unless multi-label."""
        if not self.multi_label:
            return None
        return self.thresholds.values if self.thresholds else (USUAL,) * len(self.classes)

    def _labels(self, likely: NDArray[np.float32]) -> list[int] | None:
        """Return the classes above their thresholds, most likely first; None unless multi-label."""
        limits = self.label_thresholds
        if limits is None:
            return None
        ranked = likeliest(likely[None], len(self.classes))[0].tolist()
        return [label for label in ranked if likely[label] >= limits[label]]

    def _titles(self, labels: Sequence[int] | None) -> tuple[str, ...] | None:
        return None if labels is None else tuple(map(self.title, labels))

    def _names(self, labels: Sequence[int] | None) -> tuple[str, ...] | None:
        return None if labels is None else tuple(self.classes[label] for label in labels)

    def _with(self, decided: Decisions, index: int, prediction: Prediction) -> Prediction:
        """Return a prediction with what was decided about its image."""
        if prediction.fault:
            return prediction
        abstained, possible = decided.abstained, None
        if decided.sets is not None:
            (labels,) = np.nonzero(decided.sets[index])
            assert prediction.probabilities is not None
            order = np.argsort(-prediction.probabilities[labels], kind="stable")
            possible = labels[order].tolist()
        return replace(
            prediction,
            abstained=None if abstained is None else bool(abstained[index]),
            reason=decided.reason(index),
            class_set=self._titles(possible),
            class_set_names=self._names(possible),
        )

    def _prediction(
        self,
        source: ImageSource | Image.Image,
        likely: NDArray[np.float32],
        fault: str | None,
        top: int,
    ) -> Prediction:
        file = source if isinstance(source, Path) else None
        if fault:
            return Prediction(file, (), fault)
        ranked = likeliest(likely[None], top)[0].tolist()
        ranking = zip(map(self.title, ranked), likely[ranked].tolist(), strict=True)
        labels = self._labels(likely)
        return Prediction(
            file,
            tuple(ranking),
            class_name=self.classes[ranked[0]],
            probabilities=likely.copy(),
            labels=self._titles(labels),
            label_names=self._names(labels),
        )
