"""Exported classifier: an exported net as a model that predicts and can be tested.

N images, H height, W width, K classes; h, w: sides of a score map.
"""

from __future__ import annotations

from functools import cached_property
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from verydeep.errors import InputError, ModelError, SizeError, plural
from verydeep.evaluation.abstention.abstention import Abstention
from verydeep.evaluation.abstention.familiarity import ProjectedFamiliarity
from verydeep.evaluation.calibration import Calibration
from verydeep.evaluation.thresholds import Thresholds
from verydeep.models.crop_sized import CropSized
from verydeep.models.exported.metadata import FEATURES, PROJECTIONS, Metadata
from verydeep.models.exported.reading import SUFFIXES, read_metadata
from verydeep.models.exported.session import Outputs, Session, open_session
from verydeep.models.predictor import Predictor
from verydeep.system.engine_names import AUTO
from verydeep.system.files import expanded
from verydeep.system.settings import Compute

RUNTIMES = {"onnx": "onnxruntime", "openvino": "openvino", "torch": "torch"}
"""Engines by the target of an export."""


class ExportedClassifier(CropSized, Predictor):
    """A classifier in a file of ONNX, OpenVINO or PyTorch, with its classes and test settings.

    PyTorch is not needed, except for its own files.

    Args:
        path: File written by ``verydeep export``.
        metadata: Description of the net.

    Attributes:
        path: The file.
        metadata: Description of the net.
    """

    familiarity: ProjectedFamiliarity | None = None

    slides = True
    pixels_at_once = 2**19

    def __init__(self, path: Path, metadata: Metadata) -> None:
        self.path, self.metadata = path, metadata
        self.classes, self.titles = metadata.classes, metadata.titles
        self.test_scales, self.test_flip = metadata.test_scales, metadata.test_flip
        self.train_scale = metadata.train_scale
        self.any_size = metadata.dense
        self.interpolation = metadata.interpolation
        self.multi_label = metadata.multi_label
        if limits := metadata.thresholds:
            own = (True,) * len(limits)
            self.thresholds = Thresholds(tuple(limits), own, "", metadata.protocol, 0)
        kept = metadata.calibration
        self.calibration = Calibration(**kept) if kept else None
        learned = metadata.abstention
        self.abstention = Abstention.from_dict(learned) if learned else None
        if sizes := metadata.unlike:
            self.familiarity = ProjectedFamiliarity(sizes[FEATURES], sizes[PROJECTIONS])

    def __repr__(self) -> str:
        classes = plural(len(self.classes), "class", "classes")
        return (
            f"ExportedClassifier({str(self.path)!r}, net {self.name}, {classes}, input size "
            f"{self.input_size}{', dense' if self.any_size else ''})"
        )

    @property
    def name(self) -> str:
        """Name of the net, a column of Table 1."""
        return self.metadata.net

    @property
    def input_size(self) -> int:
        """Side of the smallest accepted image, in pixels."""
        return self.metadata.input_size

    @property
    def stride(self) -> int:
        """Image pixels between neighbouring positions of a score map."""
        return self.metadata.stride

    @property
    def density(self) -> str:
        """Description of dense evaluation on an image larger than a crop."""
        if self.any_size:
            return "fully connected layers at every position of the last map"
        return "not at all: it takes crops only"

    @cached_property
    def session(self) -> Session:
        """The net in its runtime, loaded at first use."""
        return open_session(self.path)

    @property
    def answered_by(self) -> dict[str, Any]:
        """Engine and precision of the scores."""
        return {"engine": self.engine, "precision": self.metadata.precision}

    @property
    def engine(self) -> str:
        """Name of the engine that reads files of this kind."""
        return RUNTIMES[SUFFIXES[self.path.suffix.lower()]]

    def score_map(self, pictures: NDArray[np.uint8]) -> NDArray[np.float32]:
        """Return class scores before the softmax at every position.

        Args:
            pictures: Images, uint8 (N, 3, H, W); H, W ≥ ``input_size``, or equal to it if the file
                takes crops only.

        Returns:
            Scores, float32 (N, K, h, w).

        Raises:
            SizeError: The images have another size.
            ModelError: The runtime cannot run the file.
        """
        return self._run(pictures).scores

    @property
    def feature_size(self) -> int:
        """Number of columns that the distance from the training images is computed of."""
        return self.familiarity.columns if self.familiarity else 0

    def scores_and_features(
        self, pictures: NDArray[np.uint8]
    ) -> tuple[NDArray[np.float32], NDArray[np.float32]]:
        """Return scores, and what the distance from the training images is computed of.

        Args:
            pictures: Images, as for :meth:`score_map`.

        Returns:
            Scores, float32 (N, K, h, w), and the features of the images followed by their
            projections, float32 (N, :attr:`feature_size`, 1, 1); both are means over positions.

        Raises:
            SizeError: The images have another size.
            ModelError: The runtime cannot run the file, or it has no such outputs.
        """
        found = self._run(pictures)
        if found.features is None or found.projections is None:
            raise self._damaged()
        both = np.concatenate([found.features, found.projections], 1)
        if both.shape[1] != self.feature_size:
            raise self._damaged()
        return found.scores, both[:, :, None, None]

    def _run(self, pictures: NDArray[np.uint8]) -> Outputs:
        images = np.asarray(pictures)
        self._check_size(*images.shape[2:])
        return self.session.run(images.transpose(0, 2, 3, 1))

    def _damaged(self) -> ModelError:
        return ModelError(
            f"{self.path}: its outputs {FEATURES} and {PROJECTIONS} are not those of its "
            "description; export the net again"
        )

    def _check_size(self, height: int, width: int) -> None:
        size = self.input_size
        fits = min(height, width) >= size if self.any_size else height == width == size
        if not fits:
            least = "at least " if self.any_size else ""
            raise SizeError(
                f"{self.path}: the image is {height}x{width} pixels (height x width), but this "
                f"file takes {least}{size}x{size}"
            )


def load_exported(path: str | Path, compute: Compute | str | None = None) -> ExportedClassifier:
    """Load a classifier from a file written by ``verydeep export``.

    Args:
        path: The file: ``.onnx``, ``.xml`` with its ``.bin``, or ``.pt2``.
        compute: Only the CPU is possible, with the file's own engine and precision.

    Raises:
        ModelError: The file is not one of this package's exports, or is damaged.
        InputError: Another device, precision or engine is wanted.
    """
    wish, where = Compute.of(compute), expanded(path)
    found = ExportedClassifier(where, read_metadata(where))
    can = {
        "device": (None, "cpu"),
        "precision": (None, found.metadata.precision),
        "engine": (AUTO, found.engine),
    }
    for name, values in can.items():
        if (given := getattr(wish, name)) not in values:
            raise InputError(f"{path}: {name} must be {values[1]} for this file, got {given!r}")
    return found
