"""Where a model is: its folder, or the name of one of torchvision; answered without torch.

So a wrong path is told at once, before seconds of imports.
"""

from __future__ import annotations

from collections.abc import Iterable
from pathlib import Path

from verydeep.errors import ModelError, did_you_mean

CONFIG, WEIGHTS, CARD = "config.json", "model.safetensors", "README.md"

TORCHVISION = "torchvision/"
"""Before the name of a net of torchvision, as in ``torchvision/resnet50``."""


def is_torchvision(name: object) -> bool:
    """Return whether a model is named as one of torchvision."""
    return isinstance(name, str) and name.startswith(TORCHVISION)


def find_model(folder: str | Path) -> Path:
    """Return the model folder that a model or run folder stands for.

    Raises:
        ModelError: It is neither.
    """
    path = Path(folder).expanduser()
    if is_torchvision(str(folder)) and not path.exists():
        raise ModelError(
            f"{folder}: nets of torchvision can be evaluated, alone or fused with your own, but "
            "not yet used here, where a model or run folder is needed"
        )
    for candidate in (path, path / "model"):
        if (candidate / CONFIG).is_file():
            return candidate
    raise ModelError(f"{path}: {_reason(path)}")


def check_models(*models: object, torchvision: bool = False) -> None:
    """Refuse paths that hold no model, before anything slow is begun; other values pass.

    Args:
        models: Paths, or anything else.
        torchvision: Whether names of torchvision's nets pass as well.

    Raises:
        ModelError: There is no model at one of the paths.
    """
    for model in models:
        if isinstance(model, str | Path) and not (torchvision and is_torchvision(model)):
            find_model(model)


def _reason(path: Path) -> str:
    if (path / "recipe.yaml").is_file():
        return "a run that has not finished its first epoch, so it has no model yet"
    if path.exists():
        return "neither a model folder (with config.json) nor a run folder"
    if path.parent.is_dir():
        hint = did_you_mean(path.name, _models_in(path.parent))
        return f"no such folder; give a model or run folder{hint}"
    return "no such folder; give a model or run folder"


def _models_in(folder: Path) -> Iterable[str]:
    """Yield the names of the models and runs in a folder."""
    try:
        inside = sorted(folder.iterdir())
    except OSError:
        return
    for path in inside:
        if any((candidate / CONFIG).is_file() for candidate in (path, path / "model")):
            yield path.name


def check_run(folder: Path) -> None:
    """Refuse a folder that is no run, before anything slow is begun.

    Raises:
        ModelError: There is no such folder, or it is no run.
    """
    path = folder.expanduser()
    if not path.is_dir():
        raise ModelError(f"{path}: no such folder; give a run folder")
    if not (path / "recipe.yaml").is_file():
        raise ModelError(f"{path}: not a run folder")
