"""A trained net that people can use to name what is on pictures.

N images, H height, W width, K classes; h, w sides of a score map.
"""

from __future__ import annotations

from dataclasses import asdict, dataclass
from pathlib import Path

from torch import Tensor

from verydeep.evaluation.calibration import Calibration
from verydeep.model_card import model_card
from verydeep.model_folder import read_model, write_model
from verydeep.model_path import find_model, names_torchvision
from verydeep.predictor import Predictor
from verydeep.torchvision_vgg import read_vgg
from verydeep.trained_net import TrainedNet, from_config

USE = (
    'model = verydeep.load("path/to/this/folder")',
    'for prediction in model.predict("some/pictures"):',
    "    print(prediction.source, prediction.ranking)",
)
"""How to use a classifier, for its model card."""


@dataclass(repr=False)
class Classifier(TrainedNet, Predictor):
    """A net with all that is needed to name what is on a picture.

    Attributes:
        calibration: The temperature of its probabilities, if one was fitted.
    """

    calibration: Calibration | None = None

    any_size = slides = True
    interpolation = "bilinear"
    density = "fully connected layers at every position of the last map"

    def score_map(self, pictures: Tensor) -> Tensor:
        """Return class scores before the soft-max at every position of the net.

        Args:
            pictures: uint8 (N, 3, H, W), H and W at least ``input_size``.

        Returns:
            float32 (N, K, h, w) on the machine's device; h = w = 1 for pictures of ``input_size``.
        """
        return self.answers(pictures)

    def save(self, folder: str | Path) -> None:
        """Write the model folder: ``config.json``, ``model.safetensors``, ``README.md``."""
        calibration = asdict(self.calibration) if self.calibration else None
        config = self.config("classification", calibration=calibration)
        write_model(Path(folder), self.net, config, model_card(self, USE))


def load(
    folder: str | Path, *, device: str | None = None, precision: str | None = None
) -> Classifier:
    """Load a model folder, the best model of a run folder, or a VGG net of torchvision.

    Args:
        folder: As written by training or :meth:`Classifier.save`; or ``torchvision/NAME`` for one
            of torchvision's VGG nets (``vgg11`` to ``vgg19``, ``vgg11_bn`` to ``vgg19_bn``) trained
            on ImageNet, which torchvision downloads once, ``torchvision/NAME:FILE`` with the
            weights of a file.
        device: Where it computes; None takes a GPU if there is one.
        precision: ``bf16`` or ``fp32``; None takes bf16 where it is native.

    Raises:
        ModelError: The folder is neither, its files do not fit each other, it is a box net, or
            there are no such weights.
    """
    if names_torchvision(folder):
        net, config = read_vgg(str(folder))
    else:
        net, config = read_model(find_model(folder), "classification")
    given = config.calibration
    return Classifier(
        **from_config(net, config, device, precision),
        calibration=Calibration(**given.model_dump()) if given else None,
    )
