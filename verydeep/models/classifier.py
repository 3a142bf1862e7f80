"""Trained classifier for images.

N images, H height, W width, K classes; h, w sides of a score map.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import TYPE_CHECKING, overload

import numpy as np
import torch
from numpy.typing import NDArray
from PIL import Image
from torch import Tensor

from verydeep.data.images.inputs import Picture
from verydeep.data.images.member import ImageSource
from verydeep.data.volumes.inputs import list_volumes
from verydeep.errors import ModelError
from verydeep.evaluation.abstention.abstention import Abstention
from verydeep.evaluation.abstention.familiarity import Familiarity
from verydeep.evaluation.calibration import Calibration
from verydeep.evaluation.thresholds import Thresholds
from verydeep.models.card import model_card
from verydeep.models.exported.reading import is_exported
from verydeep.models.folder import (
    ModelConfig,
    TaskName,
    read_config,
    read_familiarity,
    read_model,
    write_model,
)
from verydeep.models.path import find_model, int8_in, is_weights
from verydeep.models.predictor import Predictor
from verydeep.models.tensors import arrays_too
from verydeep.models.trained_net import TrainedNet, from_config
from verydeep.nets.interface import Net
from verydeep.system.progress import Progress, choose_progress
from verydeep.system.settings import Compute

if TYPE_CHECKING:
    from verydeep.models.weights.imported import Imported

USE = (
    'model = verydeep.load("path/to/this/folder")',
    'for prediction in model.predict("some/pictures"):',
    "    print(prediction.source, prediction.ranking)",
)
"""Example code for the model card."""

FEATURES = (
    'features = verydeep.features("path/to/this/folder", "some/pictures")  # of pool5',
    'verydeep.train("some/pictures", "transfer", init_from="path/to/this/folder")',
)
"""Example code for the model card of convolutions only."""


@dataclass(repr=False)
class Classifier(TrainedNet, Predictor):
    """A trained net that classifies images.

    Attributes:
        calibration: Temperature of the probabilities; None if not fitted.
        multi_label: Whether an image may have several classes, or none: each class has a sigmoid
            of its own.
        thresholds: Probabilities from which the classes of a multi-label classifier are predicted;
            None if not fitted.
        abstention: When to abstain, and sets of classes; None if not learned.
        familiarity: Training images that features are compared with; None without.
    """

    calibration: Calibration | None = None
    multi_label: bool = False
    thresholds: Thresholds | None = None
    abstention: Abstention | None = None
    familiarity: Familiarity | None = None

    interpolation = "bilinear"

    @property
    def any_size(self) -> bool:  # type: ignore[override]
        """Whether images larger than ``input_size`` are classified densely."""
        return self.net.any_size

    @property
    def slides(self) -> bool:
        """Whether the dense answer is a map of positions."""
        return self.net.any_size

    @property
    def density(self) -> str:
        """Description of the dense evaluation on an image larger than a crop."""
        return self.net.density

    @property
    def dimensions(self) -> int:
        """Axes of space of what it classifies: 2 for images, 3 for volumes."""
        return self.net.dimensions

    @overload
    def score_map(self, pictures: Tensor) -> Tensor: ...
    @overload
    def score_map(self, pictures: NDArray[np.uint8]) -> NDArray[np.float32]: ...
    def score_map(self, pictures: Tensor | NDArray[np.uint8]) -> Tensor | NDArray[np.float32]:
        """Return class scores before the softmax at every position.

        Args:
            pictures: Images, uint8 (N, 3, H, W); H, W ≥ ``input_size``. A tensor or an array.
                Volumes are (N, 3, D, H, W), with scores (N, K, d, h, w).

        Returns:
            Scores, float32 (N, K, h, w); h = w = 1 for images of ``input_size``. For a tensor, a
            tensor on the model's device; for an array, an array.
        """
        return arrays_too(self.answers, pictures)

    @property
    def feature_layer(self) -> str:
        """Deepest layer whose activations describe images, such as ``fc7``."""
        return self.net.feature_layers[0]

    @property
    def reference(self) -> Familiarity | None:
        """Training images that unlike ones are told by; None if the model tells none."""
        return self.familiarity if self.abstention and self.abstention.familiar else None

    @property
    def feature_size(self) -> int:
        """Number D of activations of this layer."""
        return self.net.activations(self.feature_layer)

    def scores_and_features(
        self, pictures: NDArray[np.uint8]
    ) -> tuple[NDArray[np.float32], NDArray[np.float32]]:
        """Return scores and the activations of :attr:`feature_layer` from one pass.

        Args:
            pictures: Images, as for :meth:`score_map`.

        Returns:
            Scores, float32 (N, K, h, w), and activations, float32 (N, D, h', w').
        """
        shown = torch.from_numpy(pictures)
        scores, inner = self.scores_and_activations(shown, self.feature_layer)
        return scores.cpu().numpy(), inner.cpu().numpy()

    def sources(
        self, pictures: Picture | Iterable[Picture], progress: Progress
    ) -> list[ImageSource | Image.Image]:
        """Return every image that is meant, or every volume for a net of three dimensions."""
        if self.dimensions == 3:
            return [*list_volumes(pictures)]
        return super().sources(pictures, progress)

    def save(self, folder: str | Path) -> None:
        """Write a model folder: ``config.json``, ``model.safetensors``, ``README.md``."""
        use = USE if self.classes else FEATURES
        calibration = asdict(self.calibration) if self.calibration else None
        thresholds = asdict(self.thresholds) if self.thresholds else None
        learned = asdict(self.abstention) if self.abstention else None
        task: TaskName = "multi-label" if self.multi_label else "classification"
        config = self.config(
            task, calibration=calibration, thresholds=thresholds, abstention=learned
        )
        arrays = self.familiarity.arrays() if self.familiarity else None
        write_model(Path(folder), self.net, config, model_card(self, use), arrays)


def load_classifier(
    folder: str | Path,
    compute: Compute | str | None = None,
    *,
    multi_label: bool | None = False,
    familiarity: bool = True,
) -> Classifier:
    """Load a classifier from a model folder, a run folder (its best model) or published weights.

    Args:
        folder: Folder written by training or :meth:`Classifier.save`; ``hf:owner/name`` for a model
            on the Hugging Face Hub; a name of published weights like ``keras/vgg16``, downloaded
            once, with a file of them after a colon (``torchvision/vgg16:FILE``); or a file of
            weights of another framework.
        compute: Device and precision; a string names the device.
        multi_label: Whether it must be a multi-label classifier; None accepts both kinds.
        familiarity: Whether to read the features of training images that unlike ones are told by.
            What learns or forgets them needs them not, and mends a model whose file is lost.

    Raises:
        ModelError: There is no such model or weights, the files are inconsistent, or the folder
            holds a model of another task.
    """
    if is_exported(folder):
        raise ModelError(
            f"{folder}: an exported file, which can be predicted with and evaluated; anything else "
            "needs the model or run folder that it was exported from"
        )
    if is_weights(folder):
        from verydeep.models.weights.named import (
            import_source,  # reading and downloads, rarely used
        )

        return imported_classifier(import_source(folder, progress=choose_progress(None)), compute)
    found = find_model(folder)
    task: TaskName = "multi-label" if multi_label else "classification"
    if multi_label is None and read_config(found).task == "multi-label":
        task = "multi-label"
    net, config = read_model(found, task)
    classifier = _classifier(net, config, compute, int8_in(found))
    learned = classifier.abstention
    if familiarity and learned and learned.familiar:
        classifier.familiarity = read_familiarity(found, classifier.feature_size)
    return classifier


def loaded_classifier(
    model: str | Path | Classifier,
    compute: Compute | str | None = None,
    *,
    multi_label: bool | None = False,
) -> Classifier:
    """Return a loaded classifier as it is, and load any other; see :func:`load_classifier`."""
    if isinstance(model, Classifier):
        return model
    return load_classifier(model, compute, multi_label=multi_label)


def name_of(model: str | Path | Classifier) -> str:
    """Return what a classifier is called in messages: as it was given, or by its net."""
    return model.name if isinstance(model, Classifier) else str(model)


def imported_classifier(imported: Imported, compute: Compute | str | None = None) -> Classifier:
    """Return a classifier made from weights of another framework."""
    return _classifier(imported.net, imported.config, compute)


def _classifier(
    net: Net, config: ModelConfig, compute: Compute | str | None, int8: Path | None = None
) -> Classifier:
    given, limits = config.calibration, config.thresholds
    return Classifier(
        **from_config(net, config, Compute.of(compute).machine(), int8),
        calibration=Calibration(**given.model_dump()) if given else None,
        multi_label=config.task == "multi-label",
        thresholds=Thresholds(**limits.model_dump()) if limits else None,
        abstention=Abstention.from_dict(config.abstention) if config.abstention else None,
    )
