"""Loading of any classifier. What needs PyTorch is imported only for a model that does."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

from verydeep.models.exported.reading import SUFFIXES, is_exported, read_metadata
from verydeep.models.folder import read_config
from verydeep.models.path import find_model, is_other_torchvision, is_weights
from verydeep.nets.registry import family_of
from verydeep.system.settings import Compute

if TYPE_CHECKING:
    from verydeep.models.classifier import Classifier
    from verydeep.models.exported.classifier import ExportedClassifier
    from verydeep.models.torchvision import TorchvisionClassifier

    AnyClassifier = Classifier | TorchvisionClassifier | ExportedClassifier


def load_any_classifier(model: str | Path, compute: Compute | str | None = None) -> AnyClassifier:
    """Load a classifier of any kind.

    Args:
        model: Model or run folder, file written by ``verydeep export``, name or file of weights,
            or ``torchvision/NAME``.
        compute: Device and precision; a string names the device.

    Raises:
        ModelError: There is no such model, or its files are damaged.
    """
    if names_exported(model):
        from verydeep.models.exported.classifier import load_exported

        return load_exported(model, compute)
    if is_other_torchvision(model):
        from verydeep.models.torchvision import torchvision_classifier

        return torchvision_classifier(str(model), compute=compute)
    from verydeep.models.classifier import load_classifier

    return load_classifier(model, compute)


def takes_crops_only(model: str) -> bool:
    """Return whether a model has no dense form, as far as its files say without being loaded."""
    if names_exported(model):
        return not read_metadata(Path(model).expanduser()).dense
    if is_weights(model) or not Path(model).expanduser().is_dir():
        return False
    return not family_of(read_config(find_model(model)).net.name).any_size


def names_exported(model: object) -> bool:
    """Return whether a value is an exported file, or a file that can be nothing else.

    ONNX files of others are weights to import.
    """
    if is_exported(model):
        return True
    if not isinstance(model, str | Path):
        return False
    path = Path(model).expanduser()
    kind = SUFFIXES.get(path.suffix.lower(), "onnx")
    return kind != "onnx" and path.is_file()
