"""Location of a model: a folder, or the name of a torchvision net or a model on the Hub.

This module does not import torch, so that a wrong path is reported at once.
"""

from __future__ import annotations

from collections.abc import Iterable
from pathlib import Path
from typing import Literal

from verydeep.errors import ModelError, did_you_mean
from verydeep.models.file_names import CONFIG, INT8
from verydeep.models.hub.name import is_hub_name
from verydeep.system.files import expanded
from verydeep.system.progress import choose_progress

TORCHVISION = "torchvision/"
"""Prefix of torchvision names, as in ``torchvision/resnet50``."""

FAMILIES = ("torchvision", "timm", "keras", "vgg", "matconvnet", "onnx")
"""Prefixes of the names of published weights."""

VGG_NETS = tuple(f"vgg{depth}{norm}" for norm in ("", "_bn") for depth in (11, 13, 16, 19))
"""VGG nets of torchvision."""

NATIVE_NETS = (*VGG_NETS, "googlenet")
"""torchvision nets accepted wherever a model or run folder is: they become nets of this package."""


def is_torchvision(name: object) -> bool:
    """Return whether a name has the torchvision prefix."""
    return isinstance(name, str) and name.startswith(TORCHVISION)


def names_weights(model: object) -> bool:
    """Return whether a name is one of published weights, and no file or folder is there.

    >>> names_weights("keras/vgg16"), names_weights("runs/a")
    (True, False)
    """
    if not isinstance(model, str) or model.partition("/")[0] not in FAMILIES:
        return False
    return "/" in model and not Path(model).exists()


def is_weights(model: object) -> bool:
    """Return whether a value names published weights, or a file, which may hold some."""
    is_file = isinstance(model, str | Path) and expanded(model).is_file()
    return is_file or names_weights(model)


def names_torchvision(model: object) -> bool:
    """Return whether a name has the torchvision prefix and no folder of that name exists."""
    return is_torchvision(model) and not Path(str(model)).exists()


def is_other_torchvision(model: object) -> bool:
    """Return whether a name refers to a torchvision net that is no net of this package."""
    return names_torchvision(model) and _net(model) not in NATIVE_NETS


def _net(name: object) -> str:
    return str(name).removeprefix(TORCHVISION).partition(":")[0]


def check_vgg(name: object) -> None:
    """Refuse a torchvision name that is no net of this package; other values pass.

    Raises:
        ModelError: The name is not one of :data:`NATIVE_NETS`.
    """
    if not names_torchvision(name):
        return
    net = _net(name).removesuffix("-features")
    if net not in NATIVE_NETS:
        raise ModelError(
            f"{TORCHVISION}{net}: of torchvision's nets only these can be used here: "
            f"{', '.join(NATIVE_NETS)} (verydeep predict and verydeep evaluate take all of its "
            f"classifiers){did_you_mean(net, NATIVE_NETS)}"
        )


def find_model(folder: str | Path) -> Path:
    """Return the model folder for a model or run folder, or for a model on the Hub.

    A model on the Hub is downloaded on first use.

    Raises:
        ModelError: The path is not a model or run folder, or there is no such model on the Hub.
        MissingExtra: ``huggingface_hub`` is needed and not installed.
    """
    if is_hub_name(folder):
        from verydeep.models.hub.fetch import fetch_model  # rarely used

        return fetch_model(folder, choose_progress(None))
    path = expanded(folder)
    if names_weights(str(folder)):
        raise ModelError(
            f"{folder}: a name of published weights, but a model or run folder is needed here; "
            "verydeep import makes one of it"
        )
    for candidate in (path, path / "model"):
        if (candidate / CONFIG).is_file():
            return candidate
    raise ModelError(f"{path}: {_reason(path)}")


def check_models(*models: object, torchvision: Literal["none", "vgg", "any"] = "none") -> None:
    """Refuse paths without a model, before any slow work; values other than paths pass.

    Args:
        models: Paths or other values.
        torchvision: Names of torchvision nets that pass too, and with ``vgg`` or ``any`` all names
            of published weights and files of weights.

    Raises:
        ModelError: A path holds no model.
    """
    for model in models:
        if torchvision != "none" and is_weights(model):
            if torchvision == "vgg":
                check_vgg(model)
        elif isinstance(model, str | Path):
            find_model(model)


def _reason(path: Path) -> str:
    if (path / "recipe.yaml").is_file():
        return "a run that has not finished its first epoch, so it has no model yet"
    if (path / "fold-1" / "recipe.yaml").is_file():
        return f"a cross-validation, which has several models; name one, like {path / 'fold-1'}"
    if path.exists():
        return "neither a model folder (with config.json) nor a run folder"
    if path.parent.is_dir():
        hint = did_you_mean(path.name, _models_in(path.parent))
        return f"no such folder; give a model or run folder{hint}"
    return "no such folder; give a model or run folder"


def _models_in(folder: Path) -> Iterable[str]:
    """Yield the names of model and run folders in a folder."""
    try:
        inside = sorted(folder.iterdir())
    except OSError:
        return
    for path in inside:
        if any((candidate / CONFIG).is_file() for candidate in (path, path / "model")):
            yield path.name


def check_run(folder: Path) -> None:
    """Refuse a folder that is not a run, before any slow work.

    Raises:
        ModelError: The folder does not exist or is not a run.
    """
    path = expanded(folder)
    if not path.is_dir():
        raise ModelError(f"{path}: no such folder; give a run folder")
    if not (path / "recipe.yaml").is_file():
        raise ModelError(f"{path}: not a run folder")


def int8_in(folder: Path) -> Path | None:
    """Return the graph of the int8 variant in a model folder; None if there is none."""
    path = folder / INT8
    return path if path.is_file() else None
