"""A trained box net that people can use, with its classes and its preprocessing.

N images, H height, W width, K classes, G boxes a position; h, w sides of a map of boxes.
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
"""How to use a box net, for its model card."""


@dataclass(repr=False)
class Localizer(TrainedNet):
    """A box net with all that is needed to show it images (appendix A).

    Attributes:
        per_class: Whether it has a box for each class (PCR, G = K) or one for all (SCR, G = 1).
        baselines: Boxes fitted on the images that it was trained on, by name, centre and size
            relative to the image: what its results are compared with.
    """

    per_class: bool = True
    baselines: Mapping[str, tuple[float, float, float, float]] = field(default_factory=dict)

    # bf16 would round a centre to 1/256 of the crop, some pixels of a photograph.
    exact_answers = True

    @property
    def groups(self) -> int:
        """Boxes a position, G."""
        return len(self.classes) if self.per_class else 1

    def outputs(self, pictures: Tensor) -> Tensor:
        """Return boxes at every position of the net.

        Args:
            pictures: Pixel values from 0 to 255, (N, 3, H, W), H and W at least ``input_size``.

        Returns:
            float32 (N, G, 4, h, w) on the machine's device: centre and size, relative to the square
            of side ``input_size`` that the net sees at a position. h = w = 1 for images of
            ``input_size``.
        """
        return as_boxes(self.answers(pictures))

    def save(self, folder: str | Path) -> None:
        """Write the model folder: ``config.json``, ``model.safetensors``, ``README.md``."""
        config = self.config(
            "localization", per_class=self.per_class, baselines=dict(self.baselines)
        )
        what = "one for each class, PCR" if self.per_class else "one for all classes, SCR"
        card = model_card(self, USE, f"classes, whose boxes it tells ({what})")
        write_model(Path(folder), self.net, config, card)


def load_localizer(folder: str | Path, compute: Compute | str | None = None) -> Localizer:
    """Load a box regressor from its model folder, or the best model of its run folder.

    Args:
        folder: As written by training or :meth:`Localizer.save`.
        compute: Device and precision; a string names the device.

    Raises:
        ModelError: The folder is neither, its files do not fit each other, or it holds a
            classifier.
    """
    net, config = read_model(find_model(folder), "localization")
    assert config.per_class is not None
    return Localizer(
        **from_config(net, config, Compute.of(compute).machine()),
        per_class=config.per_class,
        baselines=config.baselines,
    )
