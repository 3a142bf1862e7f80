"""Classifiers of torchvision through the same tests: ``torchvision/resnet50`` and its kin.

N images, H height, W width, K classes; h, w sides of a score map.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, cast

import torch
from safetensors import SafetensorError
from safetensors.torch import load_file
from torch import Tensor, nn

from verydeep.errors import InputError, ModelError, did_you_mean
from verydeep.models.path import TORCHVISION
from verydeep.models.trained_net import pixels_at_once
from verydeep.nets.dense import classify_densely
from verydeep.system.device import Machine, choose_machine
from verydeep.system.settings import Compute


@dataclass(frozen=True, slots=True)
class Evaluation:
    """How torchvision publishes the accuracy of a net.

    Attributes:
        crop_size: Side of the central crop that the net is shown, in pixels.
        resize_size: Smallest side that images are rescaled to before.
        mean: Subtracted from red, green and blue between 0 and 1.
        deviation: What they are divided by then.
        interpolation: ``bilinear`` or ``bicubic``.
    """

    crop_size: int
    resize_size: int
    mean: tuple[float, ...]
    deviation: tuple[float, ...]
    interpolation: str


@dataclass(repr=False)
class TorchvisionClassifier:
    """A net of ``torchvision.models`` with what is needed to test it.

    Attributes:
        name: Its name there.
        net: The net.
        classes: Names of its K classes.
        evaluation: How torchvision tests it.
        weights: Where its weights come from, in words.
        machine: Where it computes.
    """

    name: str
    net: nn.Module
    classes: tuple[str, ...]
    evaluation: Evaluation
    weights: str
    machine: Machine = field(default_factory=choose_machine)

    calibration = None
    train_scale = (256, 256)
    test_flip = True

    def __post_init__(self) -> None:
        self.net = self.net.eval().requires_grad_(False)
        self.net = self.net.to(self.machine.device, memory_format=torch.channels_last)  # type: ignore[call-overload]
        self.slides = self.name.startswith(("vgg", "alexnet"))
        self.any_size = not self.name.startswith(("vit_", "maxvit"))
        device = self.machine.device
        mean, deviation = self.evaluation.mean, self.evaluation.deviation
        self._mean = 255 * torch.tensor(mean, device=device).view(3, 1, 1)
        self._deviation = 255 * torch.tensor(deviation, device=device).view(3, 1, 1)

    def __repr__(self) -> str:
        return (
            f"TorchvisionClassifier({self.name}, {len(self.classes):,} classes, weights "
            f"{self.weights}, on {self.machine})"
        )

    @property
    def input_size(self) -> int:
        """Side of the crops that it was made for, in pixels."""
        return self.evaluation.crop_size

    @property
    def resize_size(self) -> int:
        """Smallest side that torchvision rescales images to when it tests it."""
        return self.evaluation.resize_size

    @property
    def interpolation(self) -> str:
        """How torchvision rescales them: ``bilinear`` or ``bicubic``."""
        return self.evaluation.interpolation

    @property
    def test_scales(self) -> tuple[int, ...]:
        """Test scale Q, in pixels, if nothing else is said."""
        return (self.resize_size,)

    @property
    def pixels_at_once(self) -> int:
        """Pixels of all images that should go through it together."""
        return pixels_at_once(self.machine)

    @property
    def density(self) -> str:
        """How it answers on an image larger than a crop."""
        if self.slides:
            return "fully connected layers at every position of the last map"
        if not self.any_size:
            return "not at all: it takes crops only"
        return "dense by nature: global average pooling makes one score of a map of any size"

    def score_map(self, pictures: Tensor) -> Tensor:
        """Return class scores before the soft-max.

        Args:
            pictures: uint8 (N, 3, H, W).

        Returns:
            float32 (N, K, h, w). Nets with global pooling answer once for an image of any size.
        """
        with torch.inference_mode(), self.machine.autocast():
            x = pictures.to(self.machine.device, torch.float32, memory_format=torch.channels_last)
            x = x.sub_(self._mean).div_(self._deviation)
            if self.slides:
                return classify_densely(_fully_connected(self.net), self.net.features(x)).float()  # type: ignore[operator]
            return cast(Tensor, self.net(x)).float()[:, :, None, None]

    def check_scale(self, scale: int) -> None:
        """Refuse a test scale below the input size.

        Raises:
            InputError: It is.
        """
        if scale < self.input_size:
            raise InputError(
                f"test scale must be at least {self.input_size}, the size that {self.name} was "
                f"made for; got {scale} instead"
            )


def _fully_connected(net: nn.Module) -> nn.Sequential:
    """Return the layers behind the pooling, which is none on images of the input size."""
    layers = cast(nn.Sequential, net.classifier)
    return nn.Sequential(*(layer for layer in layers if not isinstance(layer, nn.Dropout)))


def torchvision_classifier(
    text: str,
    classes: Sequence[str],
    *,
    compute: Compute | str | None = None,
) -> TorchvisionClassifier:
    """Make a classifier of torchvision.

    Args:
        text: ``torchvision/NAME`` with random weights (seed 0), ``torchvision/NAME:FILE`` with
            those of a file (``.safetensors``, or a state dict of torch), or
            ``torchvision/NAME:WEIGHTS`` with published ones (``DEFAULT``, ``IMAGENET1K_V1``),
            which torchvision downloads once.
        classes: Names of the K classes, in the order in which the net knows them.
        compute: Device and precision; a string names the device.

    Raises:
        ModelError: There is no such net, or the weights do not fit.
    """
    from torchvision import models

    name, _, source = text.removeprefix(TORCHVISION).partition(":")
    known = models.list_models(module=models)
    if name not in known:
        raise ModelError(
            f"{TORCHVISION}{name}: torchvision has no classifier of that name"
            f"{did_you_mean(name, known)}"
        )
    published = models.get_model_weights(name)
    file = Path(source).expanduser() if source else None
    weights = None
    if source in published.__members__ and not Path(source).exists():
        weights, file = published[source], None
    elif file:
        # A published file under its own name is known for what it is.
        weights = next((w for w in published if Path(w.url).name == file.name), None)
    if weights is not None:
        _check_classes(name, weights.meta["categories"], classes)
    net = _published(name, weights) if weights and not file else _make(name, len(classes), weights)
    if file:
        _load(net, file, name, len(classes))
    return TorchvisionClassifier(
        name=name,
        net=net,
        classes=tuple(classes),
        evaluation=_evaluation(net, (weights or published.DEFAULT).transforms()),
        weights=source or "random",
        machine=Compute.of(compute).machine(),
    )


def _evaluation(net: nn.Module, preset: Any) -> Evaluation:
    crop, resize = preset.crop_size[0], preset.resize_size[0]
    made_for = getattr(net, "image_size", crop)  # a net of one size may be made for another
    if made_for != crop:
        crop, resize = made_for, round(made_for * resize / crop)
    return Evaluation(
        crop, resize, tuple(preset.mean), tuple(preset.std), preset.interpolation.value
    )


def _make(name: str, classes: int, weights: Any) -> nn.Module:
    """Make a net with random weights, in the form that published ones fit into, if they are given.

    Raises:
        ModelError: torchvision cannot make it.
    """
    from torchvision.models import get_model

    options: dict[str, Any] = {"weights": None, "num_classes": classes}
    if name in ("googlenet", "inception_v3"):
        # The published weights come from TensorFlow, with its preprocessing inside.
        options |= {"aux_logits": False, "init_weights": True, "transform_input": bool(weights)}
    if name.startswith("vit_") and weights:
        options["image_size"] = weights.meta["min_size"][0]
    with torch.random.fork_rng():
        torch.manual_seed(0)
        return cast(nn.Module, get_model(name, **options))


def _published(name: str, weights: Any) -> nn.Module:
    from torchvision.models import get_model

    try:
        return cast(nn.Module, get_model(name, weights=weights))
    except OSError as error:
        raise ModelError(
            f"{TORCHVISION}{name}: its weights cannot be downloaded from {weights.url} ({error}); "
            f"fetch them elsewhere and name the file: {TORCHVISION}{name}:FILE"
        ) from error


def _load(net: nn.Module, path: Path, name: str, classes: int) -> None:
    try:
        if path.suffix == ".safetensors":
            weights = load_file(path)
        else:
            weights = torch.load(path, map_location="cpu", weights_only=True)
        # What only training needed: auxiliary classifiers.
        kept = {k: v for k, v in weights.items() if not k.lower().startswith("aux")}
        net.load_state_dict(kept)
    except FileNotFoundError as error:
        raise ModelError(
            f"{path}: neither a file nor the name of weights that torchvision publishes"
        ) from error
    except (SafetensorError, OSError, RuntimeError, ValueError, AttributeError, EOFError) as error:
        reason = str(error).strip().splitlines() or [type(error).__name__]
        raise ModelError(
            f"{path}: not weights of torchvision's {name} with {classes} classes "
            f"({' '.join(line.strip() for line in reason[:2])})"
        ) from error
    except Exception as error:  # what a pickle that is none makes torch raise has no common root
        raise ModelError(f"{path}: cannot be read ({type(error).__name__})") from error


def _check_classes(name: str, known: Sequence[str] | None, classes: Sequence[str]) -> None:
    if known is None:
        raise ModelError(
            f"{TORCHVISION}{name}: these published weights are no classifier's: they know no "
            "classes"
        )
    if len(known) != len(classes):
        raise ModelError(
            f"{TORCHVISION}{name}: the published weights know {len(known)} classes, the data have "
            f"{len(classes)}"
        )
