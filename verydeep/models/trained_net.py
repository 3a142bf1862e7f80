"""A trained net with what is needed to show it images: what classifiers and box nets share.

N images, H height, W width, K classes; h, w sides of a map of answers.
"""

from __future__ import annotations

import copy
from collections.abc import Callable, Collection, Mapping
from dataclasses import dataclass, field, replace
from functools import partial
from pathlib import Path
from typing import Any, ClassVar, Self

import torch
from torch import Tensor, nn

from verydeep.errors import InputError, plural
from verydeep.models.folder import ModelConfig, NetConfig, PreprocessingConfig, TaskName
from verydeep.nets.interface import Net
from verydeep.nets.layer_outputs import trace
from verydeep.system.device import Machine, choose_machine

PIXELS_AT_ONCE = {"cpu": 2**19, "cuda": 2**24}
"""Pixels that go through a net together; a processor's caches make small batches the fastest."""

PIXELS_AT_MOST = 4
"""Times as many may, before a single image is computed in strips, some of them twice."""


@dataclass(frozen=True)
class Preprocessing:
    """What becomes of RGB pixels before the net: ``(RGB - mean) / divisor``.

    The paper subtracts the training set's mean RGB and does nothing else (section 2.1). The
    divisor departs from it, only so that standard initialisation fits; it can be 1.

    Attributes:
        mean: Mean red, green and blue of the training set, 0 to 255.
        divisor: One number for all pixels.
    """

    mean: tuple[float, float, float]
    divisor: float = 64.0

    def __call__(self, pictures: Tensor, shift: Tensor | None = None) -> Tensor:
        """Return what the net reads.

        Args:
            pictures: uint8 (N, 3, H, W).
            shift: float32 (N, 3), added to every pixel of an image; None for none.

        Returns:
            float32 (N, 3, H, W) in channels_last memory, on the images' device.
        """
        offset = -torch.tensor(self.mean, device=pictures.device)
        offset = offset if shift is None else shift + offset
        x = pictures.to(torch.float32, memory_format=torch.channels_last)
        return x.add_(offset.view(-1, 3, 1, 1)).div_(self.divisor)


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
        self._engine: Net | None = None
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
        return self._look(pictures, type(self.net).score_map)

    def activation_map(self, pictures: Tensor, layer: str) -> Tensor:
        """Return what a layer before the last answers at every position of the net.

        Args:
            pictures: As for :meth:`answers`.
            layer: ``fc7``, ``fc6`` or ``pool5``; see
                :meth:`verydeep.nets.interface.Net.activation_map`.

        Returns:
            float32 (N, D, h, w) on the machine's device.
        """
        return self._look(pictures, partial(type(self.net).activation_map, layer=layer))

    def maps(self, pictures: Tensor, layers: Collection[str]) -> dict[str, Tensor]:
        """Return what any layers answer at every position of the net.

        Args:
            pictures: As for :meth:`answers`.
            layers: Names of layers, see :meth:`verydeep.nets.interface.Net.named_layers`.

        Returns:
            float32 (N, C, h, w) on the machine's device for each, in the order of the net.
        """
        with torch.inference_mode():
            found = trace(self.engine, self.input_of(pictures), layers)
            return {name: values.float() for name, values in found.items()}

    @property
    def exact(self) -> Self:
        """The same net computing in float32, for gradients; itself if it does so anyway."""
        if self.machine.precision == "fp32":
            return self
        if self._exact is None:
            self._exact = self.on(replace(self.machine, precision="fp32"))
        return self._exact

    @property
    def engine(self) -> Net:
        """The net in its inference form: where it computes, its weights in that precision."""
        if self._engine is None:
            # Weights made in inference mode could not take part in gradients later.
            with torch.inference_mode(False):
                self._engine = inference_form(self.net, self.machine, self.exact_answers)
        return self._engine

    def input_of(self, pictures: Tensor) -> Tensor:
        """Return what :attr:`engine` reads of images (N, 3, H, W), values from 0 to 255."""
        x = self.preprocessing(pictures.to(self.machine.device, non_blocking=True))
        return x.bfloat16() if self.machine.precision == "bf16" else x

    def _look(self, pictures: Tensor, look: Callable[..., Tensor]) -> Tensor:
        """Show images to the net in its inference form, in parts if they are large."""
        with torch.inference_mode():
            x = self.input_of(pictures)
            return look(self.engine, x, pixels=PIXELS_AT_MOST * self.pixels_at_once).float()

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


def pixels_at_once(machine: Machine) -> int:
    """Return the pixels that should go through a net together on a machine."""
    return PIXELS_AT_ONCE.get(machine.device.type, PIXELS_AT_ONCE["cpu"])


def inference_form(net: Net, machine: Machine, exact_answers: bool = False) -> Net:
    """Return the net as it answers fastest: on its device, channels_last, weights in bf16 if so.

    Normalisation layers keep float32, as under autocast.

    Args:
        net: The net, its weights in float32.
        machine: Where and in which precision it computes.
        exact_answers: Let the last layer compute in float32 all the same.
    """
    form = copy.deepcopy(net).eval().requires_grad_(False).to(machine.device)
    if machine.precision == "bf16":
        exact = form.classifier[-1] if exact_answers else None
        for module in form.modules():
            if isinstance(module, nn.Conv2d | nn.Linear) and module is not exact:
                module.bfloat16()
        if exact is not None:
            exact.register_forward_pre_hook(_in_float32)
    return form.to(memory_format=torch.channels_last)


def _in_float32(_: nn.Module, read: tuple[Tensor]) -> tuple[Tensor]:
    return (read[0].float(),)
