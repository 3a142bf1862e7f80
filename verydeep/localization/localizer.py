"""Trained box regressor with its classes and preprocessing.

N images, H height, W width, K classes, G boxes per position; h, w sides of a map of boxes.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path

from torch import Tensor

from verydeep.localization.head import as_boxes
from verydeep.models.card import model_card
from verydeep.models.folder import read_model, write_model
from verydeep.models.path import find_model
from verydeep.models.trained_net import TrainedNet, from_config
from verydeep.system.settings import Compute

USE = (
    'classifier = verydeep.load("path/to/a/classifier")',
    'localizer = verydeep.load("path/to/this/folder")',
    'for found in verydeep.localize(classifier, localizer, "some/pictures"):',
    "    print(found.source, found.boxes)",
)
"""Example code for the model card."""


@dataclass(repr=False)
class Localizer(TrainedNet):
    """A trained net that predicts boxes (appendix A).

    Attributes:
        per_class: True for one box per class (PCR, G = K), False for one box for all classes (SCR,
            G = 1).
        baselines: Baseline boxes fitted on the training images, by name: centre and size relative
            to the image.
    """

    per_class: bool = True
    baselines: Mapping[str, tuple[float, float, float, float]] = field(default_factory=dict)

    # bf16 would round a centre to 1/256 of the crop, several pixels of a photograph.
    exact_answers = True

    @property
    def groups(self) -> int:
        """Number of boxes per position, G."""
        return len(self.classes) if self.per_class else 1

    def outputs(self, pictures: Tensor) -> Tensor:
        """Return boxes at every position.

        Args:
            pictures: Pixel values from 0 to 255, (N, 3, H, W); H, W ≥ ``input_size``.

        Returns:
            Boxes, float32 (N, G, 4, h, w), on the net's device: centre and size relative to the
            square of side ``input_size`` at each position. h = w = 1 for images of ``input_size``.
        """
        return as_boxes(self.answers(pictures))

    def save(self, folder: str | Path) -> None:
        """Write a model folder: ``config.json``, ``model.safetensors``, ``README.md``."""
        config = self.config(
            "localization", per_class=self.per_class, baselines=dict(self.baselines)
        )
        what = "one for each class, PCR" if self.per_class else "one for all classes, SCR"
        card = model_card(self, USE, f"classes, whose boxes it tells ({what})")
        write_model(Path(folder), self.net, config, card)


def load_localizer(folder: str | Path, compute: Compute | str | None = None) -> Localizer:
    """Load a box regressor from a model folder or a run folder (its best model).

    Args:
        folder: Folder written by training or :meth:`Localizer.save`.
        compute: Device and precision; a string names the device.

    Raises:
        ModelError: The folder is not a model or run folder, its files are inconsistent, or it
            holds a classifier.
    """
    net, config = read_model(find_model(folder), "localization")
    assert config.per_class is not None
    return Localizer(
        **from_config(net, config, Compute.of(compute).machine()),
        per_class=config.per_class,
        baselines=config.baselines,
    )
