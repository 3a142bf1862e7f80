"""Load a model folder of any task."""

from __future__ import annotations

from pathlib import Path
from typing import Literal, overload

from verydeep.localization.localizer import Localizer, load_localizer
from verydeep.models.classifier import Classifier, load_classifier
from verydeep.models.folder import TaskName, read_task
from verydeep.models.path import names_torchvision
from verydeep.system.settings import Compute


@overload
def load(
    folder: str | Path,
    compute: Compute | str | None = None,
    *,
    task: Literal["classification"] | None = None,
) -> Classifier: ...
@overload
def load(
    folder: str | Path, compute: Compute | str | None = None, *, task: Literal["localization"]
) -> Localizer: ...
def load(
    folder: str | Path, compute: Compute | str | None = None, *, task: TaskName | None = None
) -> Classifier | Localizer:
    """Load a model folder, the kept model of a run folder, or a pretrained VGG from torchvision.

    Args:
        folder: Folder written by training or by a model's ``save``; ``hf:owner/name`` for a model
            on the Hugging Face Hub; or ``torchvision/NAME`` for a pretrained VGG from torchvision.
        compute: Device and precision; a string names the device.
        task: Required task, ``classification`` or ``localization``; None accepts both, and type
            checkers then assume a classifier.

    Returns:
        A :class:`~verydeep.Classifier` or a :class:`~verydeep.Localizer`.

    Raises:
        ModelError: The folder is neither, its files are inconsistent, or it holds a model for
            another task.
    """
    if task is None and not names_torchvision(folder):
        task = read_task(folder)
    if task == "localization":
        return load_localizer(folder, compute)
    return load_classifier(folder, compute)
