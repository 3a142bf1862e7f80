"""A hash of everything that a model's answers depend on, besides the test settings."""

from __future__ import annotations

import hashlib
import json
from dataclasses import asdict
from pathlib import Path
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from verydeep.models.loading import AnyClassifier


def model_key(model: AnyClassifier) -> str:
    """Return a hash of a classifier's weights, classes, preprocessing and calibration.

    Returns:
        32 hexadecimal digits, the same on every machine.
    """
    calibration = asdict(model.calibration) if model.calibration else None
    about = [_weights(model), list(model.classes), calibration, model.interpolation]
    if model.multi_label:
        about.append(asdict(model.thresholds) if model.thresholds else "multi-label")
    if model.abstention:
        about.append(asdict(model.abstention))
    titles = [model.title(label) for label in range(len(model.classes))]
    return hashlib.sha256(json.dumps([*about, titles]).encode()).hexdigest()[:32]


def _weights(model: Any) -> str:
    from verydeep.models.exported.classifier import ExportedClassifier

    if isinstance(model, ExportedClassifier):
        return _files_key(model.path)
    from verydeep.models.engines.net_files import add_state, weights_key
    from verydeep.models.trained_net import TrainedNet

    if isinstance(model, TrainedNet):
        return weights_key(model)
    digest = hashlib.sha256(repr(model.evaluation).encode())
    add_state(digest, model.net)
    return digest.hexdigest()


def _files_key(path: Path) -> str:
    """Return a hash of an exported file, and of the weights beside it if there are some."""
    from verydeep.models.exported.reading import weights_beside

    digest = hashlib.sha256()
    for part in (path, weights_beside(path)):
        if part is not None and part.is_file():
            with part.open("rb") as file:
                hashlib.file_digest(file, lambda: digest)
    return digest.hexdigest()
