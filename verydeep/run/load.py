"""Load whatever a model folder holds."""

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
    """Load a model folder, the best model of a run folder, or a pretrained VGG of torchvision.

    Args:
        folder: As written by training or by ``save`` of a model; or ``torchvision/NAME`` for a
            pretrained VGG net of torchvision.
        compute: Device and precision; a string names the device.
        task: ``classification`` or ``localization``, to refuse anything else; None takes what the
            folder holds. Type checkers take it for a classifier then.

    Returns:
        A :class:`~verydeep.Classifier` or a :class:`~verydeep.Localizer`.

    Raises:
        ModelError: The folder is neither, its files do not fit each other, or it holds another
            kind of model.
    """
    if names_torchvision(folder):
        return load_classifier(folder, compute)
    if (task or read_task(folder)) == "localization":
        return load_localizer(folder, compute)
    return load_classifier(folder, compute)
