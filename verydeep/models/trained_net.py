"""Trained net with its classes and preprocessing: the base of classifiers and box regressors.

N images, H height, W width, K classes; D, C channels; h, w sides of an output map.
"""

from __future__ import annotations

import copy
from collections.abc import Collection, Mapping
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any, ClassVar, Self

from torch import Tensor

from verydeep.errors import plural
from verydeep.models.crop_sized import CropSized
from verydeep.models.engines.choice import fastest_engine, named_engine
from verydeep.models.engines.eager import Eager, pixels_at_once
from verydeep.models.engines.interface import Engine
from verydeep.models.folder import ModelConfig, NetConfig, PreprocessingConfig, TaskName
from verydeep.models.preprocessing import Preprocessing
from verydeep.nets.interface import Net
from verydeep.system.device import Machine, choose_machine
from verydeep.system.engine_names import AUTO, TORCH
from verydeep.system.progress import Progress


@dataclass(repr=False)
class TrainedNet(CropSized):
    """A trained net with its classes, preprocessing and test settings.

    Attributes:
        net: Net with float32 weights.
        classes: Names of the K classes.
        preprocessing: Conversion of pixels to the net's input.
        train_scale: Training scale S as a range (low, high), in pixels.
        test_scales: Default test scales Q, in pixels.
        test_flip: Average with the mirror image by default.
        titles: Display names of classes, where they differ from the names.
        measured: Errors and test settings, as reported by an evaluation.
        source: Origin of imported weights: file, format, licence, what was taken for granted.
        machine: Device, precision and engine.
        int8: Graph of the int8 variant; None if the model has none.
    """

    net: Net
    classes: tuple[str, ...]
    preprocessing: Preprocessing
    train_scale: tuple[int, int]
    test_scales: tuple[int, ...]
    test_flip: bool = True
    titles: Mapping[str, str] = field(default_factory=dict)
    measured: dict[str, Any] | None = None
    source: Mapping[str, Any] | None = None
    machine: Machine = field(default_factory=choose_machine)
    int8: Path | None = None

    exact_answers: ClassVar[bool] = False
    """Compute the last layer in float32 even if the other layers use bf16."""

    def __post_init__(self) -> None:
        self._engine: Engine | None = None
        self._eager: Eager | None = None
        self._exact: Self | None = None

    def __repr__(self) -> str:
        classes = plural(len(self.classes), "class", "classes")
        return (
            f"{type(self).__name__}(net {self.name}, {classes}, input size {self.input_size}, "
            f"on {self.machine})"
        )

    @property
    def name(self) -> str:
        """Name of the net, a column of Table 1."""
        return self.net.name

    @property
    def stride(self) -> int:
        """Image pixels between neighbouring positions of an output map."""
        return self.net.stride

    @property
    def input_size(self) -> int:
        """Side of the smallest accepted image, in pixels."""
        return self.net.input_size

    @property
    def pixels_at_once(self) -> int:
        """Recommended number of pixels per batch."""
        return pixels_at_once(self.machine)

    def answers(self, pictures: Tensor) -> Tensor:
        """Return the output of the last layer at every position.

        Args:
            pictures: Pixel values from 0 to 255, (N, 3, H, W); H, W ≥ ``input_size``.

        Returns:
            float32 (N, outputs, h, w) on the net's device; h = w = 1 for images of ``input_size``.
        """
        return self.engine.answers(pictures)

    def activation_map(self, pictures: Tensor, layer: str) -> Tensor:
        """Return the activations of a layer before the last at every position.

        Args:
            pictures: Images, as for :meth:`answers`.
            layer: ``fc7``, ``fc6`` or ``pool5``; see
                :meth:`verydeep.nets.interface.Net.activation_map`.

        Returns:
            float32 (N, D, h, w) on the net's device.
        """
        return self.engine.activation_map(pictures, layer)

    def maps(self, pictures: Tensor, layers: Collection[str]) -> dict[str, Tensor]:
        """Return the outputs of any layers at every position.

        Args:
            pictures: Images, as for :meth:`answers`.
            layers: Names of layers; see :meth:`verydeep.nets.interface.Net.named_layers`.

        Returns:
            One map per layer, float32 (N, C, h, w) on the net's device, in forward order.
        """
        return self.engine.maps(pictures, layers)

    @property
    def exact(self) -> Self:
        """The same net in float32, for gradients; self if it is in float32 already."""
        if self.machine.precision == "fp32":
            return self
        if self._exact is None:
            self._exact = self.on(replace(self.machine, precision="fp32", engine=TORCH))
        return self._exact

    @property
    def engine(self) -> Engine:
        """Engine that computes the outputs, created at first use.

        Raises:
            InputError: The engine is not installed, or the model has no int8 variant.
            MachineError: The engine does not work on this machine.
        """
        if self._engine is None:
            self._engine = named_engine(self)
        return self._engine

    @property
    def eager(self) -> Eager:
        """Eager PyTorch with this net, which also gives gradients and the maps of any layer."""
        if self._eager is None:
            exact = self.exact_answers
            self._eager = Eager(self.net, self.preprocessing, self.machine, exact_answers=exact)
        return self._eager

    def prepare(
        self, pixels: float, progress: Progress | None = None, *, shapes_vary: bool = False
    ) -> None:
        """Choose the engine for a job before it begins; without this, ``auto`` means eager PyTorch.

        Args:
            pixels: Pixels of all images and views of the job.
            progress: Told of trials and of the engine that is taken.
            shapes_vary: Whether its images may have many shapes.

        Raises:
            InputError: The engine is not installed, or the model has no int8 variant.
            MachineError: The engine does not work on this machine.
        """
        if self._engine is not None and self._engine is not self._eager:
            return
        if self.machine.engine == AUTO and self.machine.precision != "int8":
            self._engine = fastest_engine(self, pixels, progress, shapes_vary=shapes_vary)
        elif self._engine is None:
            self._engine = named_engine(self, progress)

    @property
    def answered_by(self) -> dict[str, Any]:
        """Engine and precision of the answers."""
        return self.engine.engine_of().to_dict()

    def on(self, machine: Machine) -> Self:
        """Return the same net on another device or in another precision."""
        moved = copy.copy(self)
        moved.machine = machine
        moved._engine = moved._exact = moved._eager = None
        return moved

    def save(self, folder: str | Path) -> None:
        """Write a model folder: ``config.json``, ``model.safetensors``, ``README.md``."""
        raise NotImplementedError

    def config(self, task: TaskName, **more: Any) -> ModelConfig:
        """Return the configuration that is saved next to the weights."""
        return ModelConfig(
            task=task,
            net=NetConfig.of(self.net),
            classes=self.classes,
            titles=dict(self.titles),
            preprocessing=PreprocessingConfig(
                mean=self.preprocessing.mean, divisor=self.preprocessing.divisor
            ),
            train_scale=self.train_scale,
            test_scales=self.test_scales,
            test_flip=self.test_flip,
            measured=self.measured,
            source=None if self.source is None else dict(self.source),
            **more,
        )


def from_config(
    net: Net, config: ModelConfig, machine: Machine, int8: Path | None = None
) -> dict[str, Any]:
    """Return the attributes of a :class:`TrainedNet` read from a folder."""
    return {
        "net": net.eval(),
        "classes": config.classes,
        "preprocessing": Preprocessing(
            config.preprocessing.mean, config.preprocessing.divisor, net.channels
        ),
        "train_scale": config.train_scale,
        "test_scales": config.test_scales,
        "test_flip": config.test_flip,
        "titles": config.titles,
        "measured": config.measured,
        "source": config.source,
        "machine": machine,
        "int8": int8,
    }
