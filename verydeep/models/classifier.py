"""A trained net that people can use to name what is on images.

N images, H height, W width, K classes; h, w sides of a score map.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray
from PIL import Image
from torch import Tensor

from verydeep.data.images.inputs import Picture, list_pictures
from verydeep.data.pipeline.rescaled import TestPictures
from verydeep.errors import PictureError
from verydeep.evaluation.calibration import Calibration, temper
from verydeep.evaluation.posteriors import ViewGroup, mix_posteriors
from verydeep.evaluation.protocol import Scales, TestProtocol
from verydeep.evaluation.views import Dense
from verydeep.models.card import model_card
from verydeep.models.folder import read_model, write_model
from verydeep.models.path import find_model
from verydeep.models.prediction import Prediction, Predictions
from verydeep.models.trained_net import TrainedNet, from_config
from verydeep.system.progress import ProgressWish, choose_progress
from verydeep.system.settings import Compute

USE = (
    'model = verydeep.load("path/to/this/folder")',
    'for prediction in model.predict("some/pictures"):',
    "    print(prediction.source, prediction.ranking)",
)
"""How to use a classifier, for its model card."""


@dataclass(repr=False)
class Classifier(TrainedNet):
    """A net with all that is needed to name what is on an image.

    Attributes:
        calibration: The temperature of its probabilities, if one was fitted.
    """

    calibration: Calibration | None = None

    any_size = slides = True
    interpolation = "bilinear"
    density = "fully connected layers at every position of the last map"

    def score_map(self, pictures: Tensor) -> Tensor:
        """Return class scores before the softmax at every position of the net.

        Args:
            pictures: uint8 (N, 3, H, W), H and W at least ``input_size``.

        Returns:
            float32 (N, K, h, w) on the machine's device; h = w = 1 for images of ``input_size``.
        """
        return self.answers(pictures)

    def predict(
        self,
        pictures: Picture | Iterable[Picture],
        *,
        top: int = 5,
        scales: Scales = None,
        flip: bool | None = None,
        progress: ProgressWish = None,
    ) -> Predictions:
        """Name what is on images.

        Args:
            pictures: A path, a PIL image or an array (H, W, 3) or (H, W) of uint8, or many of
                them. A folder stands for the images in it.
            top: Classes to name, at most.
            scales: Test scales Q in pixels, or ``single`` or ``multi``; None takes
                :attr:`test_scales`.
            flip: Whether to average with the mirror image; None takes :attr:`test_flip`.
            progress: Where to report to; None reports in a notebook and to a terminal, False is
                silent, True reports anyway.

        Returns:
            One prediction an image, in order. A file that cannot be read has a fault and no
            ranking. The probabilities are calibrated if the model is.

        Raises:
            InputError: A file does not exist, an array has another shape, or a scale is too
                small.
        """
        progress = choose_progress(progress)
        sources = list_pictures(pictures, progress)
        how = TestProtocol("dense", scales, flip).for_model(self)
        for scale in how.used_scales:
            self.check_scale(scale)
        tested = TestPictures(sources, how.used_scales)
        groups = [ViewGroup(0, scale, Dense(how.mirrors)) for scale in how.used_scales]
        mixture = dict.fromkeys(groups, 1 / len(groups))
        with progress.task("naming images", len(sources)) as task:
            (likely,) = mix_posteriors([self], len(self.classes), tested, [mixture], task=task)
        if self.calibration:
            likely = temper(likely, self.calibration.temperature)
        return Predictions(
            self._prediction(source, likely[index], tested.unreadable.get(index), top)
            for index, source in enumerate(sources)
        )

    def predict_proba(
        self, pictures: Picture | Iterable[Picture], **options: Any
    ) -> NDArray[np.float32]:
        """Return the probability of every class on images.

        Args:
            pictures: As for :meth:`predict`.
            options: As for :meth:`predict`, but ``top``.

        Returns:
            float32 (N, K), columns in the order of :attr:`classes`; rows sum to one.

        Raises:
            PictureError: One of the images cannot be read.
        """
        found = self.predict(pictures, top=1, **options)
        if faults := [str(one.fault) for one in found if one.fault]:
            raise PictureError("\n".join(["images without probabilities:", *faults]))
        rows = [one.probabilities for one in found if one.probabilities is not None]
        return np.stack(rows) if rows else np.empty((0, len(self.classes)), np.float32)

    def _prediction(
        self, source: Path | Image.Image, likely: Tensor, fault: str | None, top: int
    ) -> Prediction:
        file = source if isinstance(source, Path) else None
        if fault:
            return Prediction(file, (), fault)
        values, labels = likely.topk(min(top, len(self.classes)))
        ranking = zip(map(self.title, labels.tolist()), values.tolist(), strict=True)
        return Prediction(
            file,
            tuple(ranking),
            class_name=self.classes[int(labels[0])],
            probabilities=likely.numpy().astype(np.float32),
        )

    def save(self, folder: str | Path) -> None:
        """Write the model folder: ``config.json``, ``model.safetensors``, ``README.md``."""
        calibration = asdict(self.calibration) if self.calibration else None
        config = self.config("classification", calibration=calibration)
        write_model(Path(folder), self.net, config, model_card(self, USE))


def load_classifier(folder: str | Path, compute: Compute | str | None = None) -> Classifier:
    """Load a classifier from its model folder, or the best model of a run folder.

    Args:
        folder: As written by training or :meth:`Classifier.save`.
        compute: Device and precision; a string names the device.

    Raises:
        ModelError: The folder is neither, its files do not fit each other, or it holds a box
            regressor.
    """
    net, config = read_model(find_model(folder), "classification")
    given = config.calibration
    return Classifier(
        **from_config(net, config, Compute.of(compute).machine()),
        calibration=Calibration(**given.model_dump()) if given else None,
    )
