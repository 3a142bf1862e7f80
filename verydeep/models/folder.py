"""Model on disk: ``config.json``, ``model.safetensors`` and a model card; nothing executable."""

from __future__ import annotations

import json
from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, Literal

from numpy.typing import NDArray
from pydantic import (
    BaseModel,
    ConfigDict,
    Field,
    SerializerFunctionWrapHandler,
    ValidationError,
    model_serializer,
    model_validator,
)
from safetensors import SafetensorError

from verydeep.errors import InputError, ModelError
from verydeep.evaluation.abstention.abstention import Abstention
from verydeep.evaluation.abstention.familiarity import Familiarity
from verydeep.models.file_names import CARD, CONFIG, FAMILIARITY, WEIGHTS
from verydeep.nets.norm import Norm, to_batch_norm, to_norm
from verydeep.nets.registry import NAMES as NAMES_OF_NETS
from verydeep.nets.registry import build, family_of
from verydeep.system.files import write_atomically, write_text
from verydeep.system.option_names import option

if TYPE_CHECKING:
    from verydeep.nets.interface import Net

TaskName = Literal["classification", "localization", "multi-label"]

LARGEST_INPUT, LARGEST_SCALE = 4096, 2**14
"""Largest side of a net's crops, and of rescaled images, in pixels."""


class _Strict(BaseModel):
    model_config = ConfigDict(frozen=True, extra="forbid", allow_inf_nan=False)


class NetConfig(_Strict):
    """Settings of a net, without the number of classes; only those that its family has."""

    name: str
    input_size: int = Field(ge=1, le=LARGEST_INPUT)
    channels: Literal[1, 3] = 3
    width: float = Field(gt=0, le=16)
    hidden: int | None = Field(None, ge=0, le=2**20)
    dropout: float = Field(ge=0, lt=1)
    norm: Norm = None
    dimensions: Literal[2, 3] = 2
    activation: Literal["tanh", "relu"] | None = None
    output: Literal["tanh", "linear"] | None = None
    auxiliary: bool | None = None

    @model_validator(mode="after")
    def _of_a_family(self) -> NetConfig:
        if self.name not in NAMES_OF_NETS:
            raise ValueError(f"name: there is no net {self.name!r}")
        family = family_of(self.name)
        if self.input_size < family.smallest_input:
            raise ValueError(f"input_size: at least {family.smallest_input}")
        for key, value in self.__dict__.items():
            if value is None and key != "norm" and key in family.settings:
                raise ValueError(f"{key}: net {self.name} needs it")
        return self

    @model_serializer(mode="wrap")
    def _own_settings(self, dump: SerializerFunctionWrapHandler) -> dict[str, Any]:
        own = {"name", *to_norm(family_of(self.name).settings)}
        if self.dimensions == 2:  # left out, as by versions that knew no other
            own.discard("dimensions")
        return {key: value for key, value in dump(self).items() if key in own}

    @classmethod
    def of(cls, net: Net) -> NetConfig:
        """Return the settings of a net."""
        return cls(**to_norm(net.settings()))

    def build(self, outputs: int) -> Net:
        """Build the net, without trained weights."""
        return build(num_classes=outputs, **to_batch_norm(self.model_dump()))


class PreprocessingConfig(_Strict):
    """Preprocessing of RGB pixels from 0 to 255: ``(RGB - mean) / divisor``."""

    mean: tuple[float, float, float]
    divisor: float = Field(gt=0)


class CalibrationConfig(_Strict):
    """Temperature of the probabilities, and the data it was fitted on."""

    temperature: float = Field(gt=0)
    split: str
    protocol: str
    images: int = Field(ge=1)
    loss_before: float
    loss_after: float
    loss_held_out: float | None = None
    gain: tuple[float, float] | None = None
    kept: Literal[True] = True


class ThresholdsConfig(_Strict):
    """Thresholds of a multi-label classifier, and the data they were fitted on."""

    values: tuple[Annotated[float, Field(ge=0, le=1)], ...]
    own: tuple[bool, ...]
    split: str
    protocol: str
    images: int = Field(ge=1)


class ModelConfig(_Strict):
    """Everything about a model except its weights: ``config.json``.

    A model without classes has convolutions only.
    """

    format: Literal[1] = 1
    task: TaskName = "classification"
    net: NetConfig
    classes: tuple[str, ...]
    titles: dict[str, str] = {}
    preprocessing: PreprocessingConfig
    train_scale: tuple[int, int]
    test_scales: tuple[int, ...]
    test_flip: bool = True
    measured: dict[str, Any] | None = None
    calibration: CalibrationConfig | None = None
    thresholds: ThresholdsConfig | None = None
    abstention: dict[str, Any] | None = None
    per_class: bool | None = None
    baselines: dict[str, tuple[float, float, float, float]] = {}
    source: dict[str, Any] | None = None

    @property
    def outputs(self) -> int:
        """Outputs of the net's last layer: one score per class, or four values per box."""
        if self.task != "localization":
            return len(self.classes)
        return 4 * (len(self.classes) if self.per_class else 1)

    @model_serializer(mode="wrap")
    def _own_keys(self, dump: SerializerFunctionWrapHandler) -> dict[str, Any]:
        found: dict[str, Any] = dump(self)
        if self.task != "multi-label":  # left out, as by versions that knew no other
            found.pop("thresholds", None)
        if self.abstention is None:  # likewise
            found.pop("abstention", None)
        return found

    @model_validator(mode="after")
    def _fits_together(self) -> ModelConfig:
        if len(set(self.classes)) < len(self.classes):
            raise ValueError("classes: a name stands there twice")
        if not self.test_scales:
            raise ValueError("test_scales: at least one")
        if not all(self.net.input_size <= scale <= LARGEST_SCALE for scale in self.test_scales):
            raise ValueError(f"test_scales: from {self.net.input_size} to {LARGEST_SCALE} pixels")
        if self.abstention is not None:
            if self.task == "multi-label":
                raise ValueError("abstention: is learned for classes that exclude each other")
            Abstention.from_dict(self.abstention)
        if (self.per_class is None) != (self.task != "localization"):
            raise ValueError("per_class: true or false for a box regressor, else null")
        if self.thresholds is not None:
            if self.task != "multi-label":
                raise ValueError("thresholds: are of multi-label classifiers")
            if {len(self.thresholds.values), len(self.thresholds.own)} != {len(self.classes)}:
                raise ValueError("thresholds: one for each class")
        if self.calibration is not None and self.task == "multi-label":
            raise ValueError("calibration: a temperature is of classes that exclude each other")
        return self


def write_model(
    folder: Path,
    net: Net,
    config: ModelConfig,
    card: str,
    familiarity: Mapping[str, NDArray[Any]] | None = None,
) -> None:
    """Write a model folder, each file atomically, weights first.

    Args:
        folder: The folder.
        net: Net with its weights.
        config: Everything else.
        card: Model card.
        familiarity: Arrays of :class:`verydeep.evaluation.abstention.familiarity.Familiarity`; None
            removes those of an earlier version of the model.
    """
    from safetensors.torch import (
        save_file,  # brings torch, which reading the configuration needs not
    )

    weights = {name: tensor.contiguous().cpu() for name, tensor in net.state_dict().items()}
    write_atomically(
        folder / WEIGHTS, lambda path: save_file(weights, path, metadata={"format": "pt"})
    )
    if familiarity is not None:
        from safetensors.numpy import save_file as save_arrays

        write_atomically(folder / FAMILIARITY, lambda path: save_arrays(dict(familiarity), path))
    write_text(folder / CONFIG, config.model_dump_json(indent=2) + "\n")
    write_text(folder / CARD, card)
    if familiarity is None:
        (folder / FAMILIARITY).unlink(missing_ok=True)


NAMES: dict[TaskName, str] = {
    "classification": "a classifier",
    "localization": "a box regressor",
    "multi-label": "a multi-label classifier",
}


def read_model(folder: Path, task: TaskName) -> tuple[Net, ModelConfig]:
    """Read a model folder.

    Args:
        folder: Folder written by :func:`write_model`.
        task: Task that the net must have been trained for.

    Raises:
        ModelError: A file is missing or broken, the weights do not fit the net, or the net was
            trained for another task.
    """
    import torch
    from safetensors.torch import load_file

    config = read_config(folder)
    if config.task != task:
        raise wrong_task(folder, config.task, task)
    try:
        with torch.device("meta"):
            net = config.net.build(config.outputs)
        # The meta device allocates nothing; the loaded weights are used directly.
        net.load_state_dict(load_file(folder / WEIGHTS), assign=True)
        net.float()
    except FileNotFoundError as error:
        raise ModelError(f"{folder}: {WEIGHTS} is missing") from error
    except (SafetensorError, OSError) as error:
        raise ModelError(f"{folder / WEIGHTS}: cannot be read ({error})") from error
    except InputError as error:
        raise ModelError(f"{folder / CONFIG}: {error}") from error
    except RuntimeError as error:
        raise ModelError(f"{folder}: {WEIGHTS} does not fit {CONFIG}: {error}") from error
    return net, config


def hold_weights(net: Net) -> None:
    """Copy the weights of a net into memory.

    :func:`read_model` maps their file. If that is overwritten in place, as ``cp`` does, the next
    look at a weight ends the program, or sees weights of another net. A program that runs for long
    does not depend on the file with this.

    Args:
        net: The net; it is modified.
    """
    for tensor in (*net.parameters(), *net.buffers()):
        tensor.data = tensor.data.clone()


def wrong_task(folder: object, found: TaskName, needed: TaskName) -> ModelError:
    """Return the error for a model that was trained for another task."""
    holds = f"{folder}: holds {NAMES[found]} (task {found!r})"
    if found == "multi-label" and needed == "classification":
        return ModelError(f"{holds}, where a classifier of one class per image is needed")
    boxes = f"; box regressors are given with {option('boxes')}, beside classifiers"
    advice = "" if "multi-label" in (found, needed) else boxes
    return ModelError(f"{holds}, where {NAMES[needed]} is needed{advice}")


def read_familiarity(folder: Path, features: int) -> Familiarity:
    """Read the features of training images that a model folder holds.

    Args:
        folder: Folder written by :func:`write_model`.
        features: Number of features of the net.

    Raises:
        ModelError: The file is missing or broken, or of another net.
    """
    from safetensors.numpy import load_file

    path = folder / FAMILIARITY
    try:
        return Familiarity.from_arrays(load_file(path), features)
    except (SafetensorError, OSError, ValueError) as error:
        raise ModelError(
            f"{path}: cannot be used ({error}); verydeep calibrate writes it again"
        ) from error


def read_config(folder: Path) -> ModelConfig:
    """Read the configuration of a model folder.

    Raises:
        ModelError: The configuration is missing or invalid.
    """
    path = folder / CONFIG
    try:
        return ModelConfig.model_validate(json.loads(path.read_text("utf-8")))
    except (OSError, ValueError, RecursionError) as error:
        reason: object = error
        if isinstance(error, ValidationError):
            first = error.errors()[0]
            reason = f"{'.'.join(str(x) for x in first['loc'])}: {first['msg']}"
        raise ModelError(f"{path}: not a model's configuration ({reason})") from error
