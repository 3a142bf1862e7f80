"""torchvision classifiers, such as ``torchvision/resnet50``, for use in the same tests.

N images, H height, W width, K classes; h, w sides of a score map.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from pickle import UnpicklingError
from typing import Any, cast, overload

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor, nn

from verydeep.errors import InputError, ModelError
from verydeep.models.engines.eager import pixels_at_once
from verydeep.models.path import TORCHVISION
from verydeep.models.predictor import Predictor
from verydeep.models.tensors import arrays_too
from verydeep.models.weights.torchvision import (
    IMAGENET,
    TorchvisionWeights,
    cached_file,
    count_outputs,
    download_fault,
    find_weights,
    load_into,
    published_classes,
)
from verydeep.nets.dense import classify_densely
from verydeep.system.device import Machine, choose_machine
from verydeep.system.engine_names import AUTO, TORCH
from verydeep.system.settings import Compute


@dataclass(frozen=True, slots=True)
class Evaluation:
    """Preprocessing with which torchvision measures the published accuracy of a net.

    Attributes:
        crop_size: Side of the central crop, in pixels.
        resize_size: Smallest side of the rescaled image before cropping, in pixels.
        mean: Mean RGB, subtracted from values between 0 and 1.
        std: Standard deviations of RGB, by which the differences are divided.
        interpolation: ``bilinear`` or ``bicubic``.
    """

    crop_size: int
    resize_size: int
    mean: tuple[float, ...]
    std: tuple[float, ...]
    interpolation: str


@dataclass(repr=False)
class TorchvisionClassifier(Predictor):
    """A net of ``torchvision.models`` with its classes and evaluation settings.

    Attributes:
        name: Name in torchvision.
        net: Net.
        classes: Names of the K classes.
        evaluation: torchvision's evaluation settings.
        weights: Origin of the weights, in words.
        machine: Device and precision.
    """

    name: str
    net: nn.Module
    classes: tuple[str, ...]
    evaluation: Evaluation
    weights: str
    machine: Machine = field(default_factory=choose_machine)

    calibration = None
    abstention = None
    familiarity = None
    stride = 32  # for nets that slide: VGG and AlexNet halve the resolution five times
    train_scale = (256, 256)
    test_flip = True

    def __post_init__(self) -> None:
        self.net = self.net.eval().requires_grad_(False)
        self.net = self.net.to(self.machine.device, memory_format=torch.channels_last)  # type: ignore[call-overload]
        self.slides = self.name.startswith(("vgg", "alexnet"))
        self.any_size = not self.name.startswith(("vit_", "maxvit"))
        self.test_scales = (self.resize_size,)
        self.interpolation = self.evaluation.interpolation
        device = self.machine.device
        mean, std = self.evaluation.mean, self.evaluation.std
        self._mean = 255 * torch.tensor(mean, device=device).view(3, 1, 1)
        self._std = 255 * torch.tensor(std, device=device).view(3, 1, 1)

    def __repr__(self) -> str:
        return (
            f"TorchvisionClassifier({self.name}, {len(self.classes):,} classes, weights "
            f"{self.weights}, on {self.machine})"
        )

    @property
    def input_size(self) -> int:
        """Side of the crops that the net was made for, in pixels."""
        return self.evaluation.crop_size

    @property
    def resize_size(self) -> int:
        """Smallest side of rescaled images in torchvision's evaluation, in pixels."""
        return self.evaluation.resize_size

    @property
    def pixels_at_once(self) -> int:
        """Recommended number of pixels per batch."""
        return pixels_at_once(self.machine)

    @property
    def density(self) -> str:
        """Description of dense evaluation on an image larger than a crop."""
        if self.slides:
            return "fully connected layers at every position of the last map"
        if not self.any_size:
            return "not at all: it takes crops only"
        return "dense by nature: global average pooling makes one score of a map of any size"

    @overload
    def score_map(self, pictures: Tensor) -> Tensor: ...
    @overload
    def score_map(self, pictures: NDArray[np.uint8]) -> NDArray[np.float32]: ...
    def score_map(self, pictures: Tensor | NDArray[np.uint8]) -> Tensor | NDArray[np.float32]:
        """Return class scores before the softmax.

        Args:
            pictures: Images, uint8 (N, 3, H, W). A tensor or an array.

        Returns:
            Scores, float32 (N, K, h, w), of the same kind. Nets with global pooling have h = w = 1
            at any image size.
        """
        return arrays_too(self._score_map, pictures)

    def _score_map(self, pictures: Tensor) -> Tensor:
        with torch.inference_mode(), self.machine.autocast():
            x = pictures.to(self.machine.device, torch.float32, memory_format=torch.channels_last)
            x = x.sub_(self._mean).div_(self._std)
            if self.slides:
                return classify_densely(_fully_connected(self.net), self.net.features(x)).float()  # type: ignore[operator]
            return cast(Tensor, self.net(x)).float()[:, :, None, None]

    def check_scale(self, scale: int) -> None:
        """Refuse a test scale below the input size.

        Raises:
            InputError: ``scale`` is below the input size.
        """
        if scale < self.input_size:
            raise InputError(
                f"test scale must be at least {self.input_size}, the size that {self.name} was "
                f"made for; got {scale} instead"
            )

    def title(self, label: int) -> str:
        """Return the name of a class."""
        return self.classes[label]


def _fully_connected(net: nn.Module) -> nn.Sequential:
    """Return the layers after the pooling (the identity at the input size), without dropout."""
    layers = cast(nn.Sequential, net.classifier)
    return nn.Sequential(*(layer for layer in layers if not isinstance(layer, nn.Dropout)))


def torchvision_classifier(
    text: str,
    classes: Sequence[str] | None = None,
    *,
    compute: Compute | str | None = None,
) -> TorchvisionClassifier:
    """Create a torchvision classifier.

    Args:
        text: ``torchvision/NAME`` for random weights (seed 0), ``torchvision/NAME:FILE`` for a
            file (``.safetensors`` or a torch state dict), or ``torchvision/NAME:WEIGHTS`` for
            published weights (``DEFAULT``, ``IMAGENET1K_V1``), which torchvision downloads once.
        classes: Names of the K classes, in the order of the net's outputs. None takes the classes
            of the weights; ``torchvision/NAME`` then means the recommended weights.
        compute: Device and precision; a string names the device.

    Raises:
        ModelError: The net does not exist, or the weights do not fit.
    """
    from torchvision.models import get_model_weights

    machine = _machine(text, compute)
    found = find_weights(text, default=classes is None)
    name, weights, file = found.name, found.published, found.file
    if weights is not None:
        _check_classes(name, published_classes(name, weights), classes)
    state = found.read(len(classes) if classes else None) if file else None
    if classes is None:
        outputs = count_outputs(state, file, found.describe()) if state is not None else IMAGENET
        classes = found.class_names(outputs)
    net = _published(found) if weights and not file else _make(name, len(classes), weights)
    if state is not None:
        load_into(net, state, file, found.describe(len(classes)))
    preset = (weights or get_model_weights(name).DEFAULT).transforms()
    return TorchvisionClassifier(
        name=name,
        net=net,
        classes=tuple(classes),
        evaluation=_evaluation(net, preset),
        weights=found.source or "random",
        machine=machine,
    )


def _machine(text: str, compute: Compute | str | None) -> Machine:
    """Return device and precision.

    Raises:
        InputError: Another engine than torch is named, or the precision int8.
    """
    machine = Compute.of(compute).machine()
    if machine.engine not in (AUTO, TORCH) or machine.precision == "int8":
        raise InputError(
            f"{text} answers through the engine torch in fp32 or bf16 only; other engines are for "
            f"the nets of this package, got {machine.engine} and {machine.precision} instead"
        )
    return machine


def _evaluation(net: nn.Module, preset: Any) -> Evaluation:
    crop, resize = preset.crop_size[0], preset.resize_size[0]
    made_for = getattr(net, "image_size", crop)  # a fixed-size net may differ from the preset
    if made_for != crop:
        crop, resize = made_for, round(made_for * resize / crop)
    return Evaluation(
        crop, resize, tuple(preset.mean), tuple(preset.std), preset.interpolation.value
    )


def _make(name: str, classes: int, weights: Any) -> nn.Module:
    """Create a net with random weights, in the form of the published weights if given.

    Raises:
        ModelError: torchvision cannot create the net.
    """
    from torchvision.models import get_model

    options: dict[str, Any] = {"weights": None, "num_classes": classes}
    if name in ("googlenet", "inception_v3"):
        # The published weights come from TensorFlow and expect its preprocessing.
        options |= {"aux_logits": False, "init_weights": True, "transform_input": bool(weights)}
    if name.startswith("vit_") and weights:
        options["image_size"] = weights.meta["min_size"][0]
    with torch.random.fork_rng():
        torch.manual_seed(0)
        return cast(nn.Module, get_model(name, **options))


def _published(found: TorchvisionWeights) -> nn.Module:
    from torchvision.models import get_model

    try:
        return cast(nn.Module, get_model(found.name, weights=found.published))
    except OSError as error:
        raise ModelError(download_fault(found, error)) from error
    except (RuntimeError, UnpicklingError, EOFError) as error:
        raise ModelError(
            f"{cached_file(found.published)}: not the weights of {found.text} "
            f"({type(error).__name__}); delete the file, so that it is downloaded again"
        ) from error


def _check_classes(name: str, known: Sequence[str], classes: Sequence[str] | None) -> None:
    if classes is not None and len(known) != len(classes):
        raise ModelError(
            f"{TORCHVISION}{name}: the published weights know {len(known)} classes, the data have "
            f"{len(classes)}"
        )
