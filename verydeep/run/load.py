"""Load a model folder of any task."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Literal, overload

from verydeep.errors import ModelError
from verydeep.models.loading import check_kind, names_exported, read_task
from verydeep.models.path import names_torchvision
from verydeep.system.settings import Compute

if TYPE_CHECKING:
    from verydeep.localization.localizer import Localizer
    from verydeep.models.classifier import Classifier
    from verydeep.models.folder import TaskName
    from verydeep.models.loading import AnyClassifier


@overload
def load(
    folder: str | Path,
    compute: Compute | str | None = None,
    *,
    task: Literal["classification", "multi-label"] | None = None,
) -> Classifier: ...
@overload
def load(
    folder: str | Path, compute: Compute | str | None = None, *, task: Literal["localization"]
) -> Localizer: ...
def load(
    folder: str | Path, compute: Compute | str | None = None, *, task: TaskName | None = None
) -> AnyClassifier | Localizer:
    """Load a model folder, the kept model of a run folder, an exported file, or pretrained weights.

    Args:
        folder: Folder written by training or by a model's ``save``; a file written by
            :func:`verydeep.export`, which loads without PyTorch; ``hf:owner/name`` for a model on
            the Hugging Face Hub; or a name or file of weights, such as ``torchvision/vgg16`` or
            ``keras/vgg16`` (:func:`verydeep.import_weights`).
        compute: Device and precision; a string names the device.
        task: Required task, ``classification``, ``multi-label`` or ``localization``; None accepts
            all, and type checkers then assume a classifier.

    Returns:
        A :class:`~verydeep.Classifier`, a :class:`~verydeep.Localizer`, or for an exported file
        an :class:`~verydeep.models.exported.classifier.ExportedClassifier`, which predicts and can
        be evaluated.

    Raises:
        ModelError: The folder is neither, its files are inconsistent, or it holds a model for
            another task.
    """
    if names_exported(folder):
        from verydeep.models.exported.classifier import load_exported

        if task == "localization":
            raise ModelError(f"{folder}: an exported classifier, where a box regressor is needed")
        exported = load_exported(folder, compute)
        return check_kind(exported, folder, None if task is None else task == "multi-label")
    from verydeep.localization.localizer import load_localizer
    from verydeep.models.classifier import load_classifier

    if task is None and not names_torchvision(folder):
        task = read_task(folder)
    if task == "localization":
        return load_localizer(folder, compute)
    return load_classifier(folder, compute, multi_label=task == "multi-label")
