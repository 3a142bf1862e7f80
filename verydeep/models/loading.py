"""Loading of any classifier. What needs PyTorch is imported only for a model that does."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

from verydeep.errors import ModelError
from verydeep.models.exported.reading import SUFFIXES, is_exported, read_metadata
from verydeep.models.folder import TaskName, read_config, wrong_task
from verydeep.models.path import find_model, is_other_torchvision, is_weights
from verydeep.nets.registry import family_of
from verydeep.system.files import expanded
from verydeep.system.settings import Compute

if TYPE_CHECKING:
    from verydeep.models.classifier import Classifier
    from verydeep.models.exported.classifier import ExportedClassifier
    from verydeep.models.torchvision import TorchvisionClassifier

    AnyClassifier = Classifier | TorchvisionClassifier | ExportedClassifier


def load_any_classifier(
    model: str | Path,
    compute: Compute | str | None = None,
    *,
    multi_label: bool | None = False,
) -> AnyClassifier:
    """Load a classifier of any kind.

    Args:
        model: Model or run folder, file written by ``verydeep export``, name or file of weights,
            or ``torchvision/NAME``.
        compute: Device and precision; a string names the device.
        multi_label: Whether it must be a multi-label classifier; None accepts both kinds.

    Raises:
        ModelError: It is of another kind. There is no such model, or its files are damaged.
    """
    if names_exported(model):
        from verydeep.models.exported.classifier import load_exported

        return check_kind(load_exported(model, compute), model, multi_label)
    if is_other_torchvision(model):
        from verydeep.models.torchvision import torchvision_classifier

        return check_kind(torchvision_classifier(str(model), compute=compute), model, multi_label)
    from verydeep.models.classifier import load_classifier

    return load_classifier(model, compute, multi_label=multi_label)


def read_task(folder: str | Path) -> TaskName:
    """Return the task that a model or run folder's net was trained for.

    Raises:
        ModelError: The folder is not a model or run folder, or is broken.
    """
    return read_config(find_model(folder)).task


def is_multi_label(model: str | Path) -> bool:
    """Return whether a folder holds a multi-label classifier, without loading it.

    A folder that holds no model does not; loading it says what is wrong.
    """
    if names_exported(model):
        return read_metadata(expanded(model)).multi_label
    if is_weights(model) or not expanded(model).is_dir():
        return False
    try:
        return read_task(model) == "multi-label"
    except ModelError:
        return False


def check_kind(loaded: AnyClassifier, name: object, multi_label: bool | None) -> AnyClassifier:
    """Return a loaded classifier, unless it is of another kind than needed.

    Raises:
        ModelError: It is a multi-label classifier where one of one class per image is needed, or
            the other way round.
    """
    if multi_label is None or loaded.multi_label == multi_label:
        return loaded
    kinds: tuple[TaskName, TaskName] = ("classification", "multi-label")
    raise wrong_task(name, kinds[loaded.multi_label], kinds[multi_label])


def takes_crops_only(model: str) -> bool:
    """Return whether a model has no dense form, as far as its files say without being loaded."""
    if names_exported(model):
        return not read_metadata(expanded(model)).dense
    if is_weights(model) or not expanded(model).is_dir():
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
    path = expanded(model)
    kind = SUFFIXES.get(path.suffix.lower(), "onnx")
    return kind != "onnx" and path.is_file()
