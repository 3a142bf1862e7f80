"""A trained net with what is needed to show it images: what classifiers and box nets share.

N images, H height, W width, K classes; h, w sides of a map of answers.
"""

from __future__ import annotations

import copy
from collections.abc import Collection, Mapping
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any, ClassVar, Self

from torch import Tensor

from verydeep.errors import InputError, plural
from verydeep.models.engines.eager import Eager, pixels_at_once
from verydeep.models.folder import ModelConfig, NetConfig, PreprocessingConfig, TaskName
from verydeep.models.preprocessing import Preprocessing
from verydeep.nets.interface import Net
from verydeep.system.device import Machine, choose_machine


@dataclass(repr=False)
class TrainedNet:
    """A net with all that is needed to show it images.

    Attributes:
        net: The net, its weights in float32.
        classes: Names of its K classes.
        preprocessing: From pixels to its input.
        train_scale: Training scale S as a range (low, high), in pixels.
        test_scales: Test scales Q, in pixels, at which it is tested and used if nothing else is
            said.
        test_flip: Whether the mirror image is averaged in, likewise.
        titles: What to show people for a class, where that is not its name.
        measured: Its errors and how they were measured, as an evaluation reports them.
        machine: Where it computes.
    """

    net: Net
    classes: tuple[str, ...]
    preprocessing: Preprocessing
    train_scale: tuple[int, int]
    test_scales: tuple[int, ...]
    test_flip: bool = True
    titles: Mapping[str, str] = field(default_factory=dict)
    measured: dict[str, Any] | None = None
    machine: Machine = field(default_factory=choose_machine)

    exact_answers: ClassVar[bool] = False
    """Whether the last layer computes in float32 also where the others do not."""

    def __post_init__(self) -> None:
        self._engine: Eager | None = None
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
        """Image pixels between neighbouring positions of a map of answers."""
        return self.net.stride

    @property
    def input_size(self) -> int:
        """Side of the smallest image that the net takes, in pixels."""
        return self.net.input_size

    @property
    def pixels_at_once(self) -> int:
        """Pixels of all images that should go through it together."""
        return pixels_at_once(self.machine)

    @property
    def resize_size(self) -> int:
        """Smallest side of an image in torchvision's evaluation: 256 for crops of 224, pixels."""
        return round(256 * self.input_size / 224)

    def answers(self, pictures: Tensor) -> Tensor:
        """Return what the last layer says at every position of the net.

        Args:
            pictures: Pixel values from 0 to 255, (N, 3, H, W), H and W at least ``input_size``.

        Returns:
            float32 (N, outputs, h, w) on the machine's device; h = w = 1 for images of
            ``input_size``.
        """
        return self.engine.answers(pictures)

    def activation_map(self, pictures: Tensor, layer: str) -> Tensor:
        """Return what a layer before the last answers at every position of the net.

        Args:
            pictures: As for :meth:`answers`.
            layer: ``fc7``, ``fc6`` or ``pool5``; see
                :meth:`verydeep.nets.interface.Net.activation_map`.

        Returns:
            float32 (N, D, h, w) on the machine's device.
        """
        return self.engine.activation_map(pictures, layer)

    def maps(self, pictures: Tensor, layers: Collection[str]) -> dict[str, Tensor]:
        """Return what any layers answer at every position of the net.

        Args:
            pictures: As for :meth:`answers`.
            layers: Names of layers, see :meth:`verydeep.nets.interface.Net.named_layers`.

        Returns:
            float32 (N, C, h, w) on the machine's device for each, in the order of the net.
        """
        return self.engine.maps(pictures, layers)

    @property
    def exact(self) -> Self:
        """The same net computing in float32, for gradients; itself if it does so anyway."""
        if self.machine.precision == "fp32":
            return self
        if self._exact is None:
            self._exact = self.on(replace(self.machine, precision="fp32"))
        return self._exact

    @property
    def engine(self) -> Eager:
        """What computes its answers, made at first use."""
        if self._engine is None:
            exact = self.exact_answers
            self._engine = Eager(self.net, self.preprocessing, self.machine, exact_answers=exact)
        return self._engine

    def check_scale(self, scale: int) -> None:
        """Refuse a test scale that the net cannot take.

        Raises:
            InputError: ``scale`` is below ``input_size``.
        """
        if scale < self.input_size:
            raise InputError(
                f"test scale must be at least {self.input_size}, the size that this net was made "
                f"for; got {scale} instead"
            )

    def title(self, label: int) -> str:
        """Return what to show people for a class."""
        return self.titles.get(self.classes[label], self.classes[label])

    def on(self, machine: Machine) -> Self:
        """Return the same net, computing elsewhere or in another precision."""
        moved = copy.copy(self)
        moved.machine = machine
        moved._engine = moved._exact = None
        return moved

    def save(self, folder: str | Path) -> None:
        """Write the model folder: ``config.json``, ``model.safetensors``, ``README.md``."""
        raise NotImplementedError

    def config(self, task: TaskName, **more: Any) -> ModelConfig:
        """Return what is to be written of it beside its weights."""
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
            **more,
        )


def from_config(net: Net, config: ModelConfig, machine: Machine) -> dict[str, Any]:
    """Return the attributes of a :class:`TrainedNet` that was read from a folder."""
    return {
        "net": net.eval(),
        "classes": config.classes,
        "preprocessing": Preprocessing(config.preprocessing.mean, config.preprocessing.divisor),
        "train_scale": config.train_scale,
        "test_scales": config.test_scales,
        "test_flip": config.test_flip,
        "titles": config.titles,
        "measured": config.measured,
        "machine": machine,
    }
