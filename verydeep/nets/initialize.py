"""Initialisation of weights: random, or copied from a shallower net (section 3.1)."""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Literal, get_args

import torch
from torch import Tensor, nn

from verydeep.errors import InputError
from verydeep.nets.dimensions import times
from verydeep.nets.spatial import BatchNorm, Convolution

Scheme = Literal["he", "glorot", "normal", "uniform"]

Fit = Callable[[Tensor, torch.Size], Tensor]
"""Returns weights in another shape, or as they are where they cannot have it."""

PAPER_LAYERS = ("conv1_1", "conv2_1", "conv3_1", "conv3_2", "fc6", "fc7", "fc8")
"""Net A's first four convolutions and fully connected layers, which deeper nets copy."""

LAST_LAYER_GAIN = 0.01
"""Factor on the last layer in scheme ``he``, so that initial predictions are near uniform.

With factor 1 the initial loss is far above ln K, because max-pooling favours large values and the
scores vary by several units. With 0.01 it is ln K, the loss at chance level. Scheme ``glorot``, not
designed for ReLU, shrinks the signal enough without it.
"""


@torch.no_grad()
def initialize(
    net: nn.Module,
    scheme: Scheme = "he",
    *,
    variance: float = 1e-2,
    generator: torch.Generator | None = None,
) -> None:
    """Initialise the weights of every convolution and fully connected layer; set biases to zero.

    Args:
        net: Net, changed in place; batch normalisation layers are reset.
        scheme: ``he`` is N(0, 2/fan_in) (He et al. 2015, for ReLU); ``glorot`` is
            N(0, 2/(fan_in + fan_out)) (Glorot & Bengio 2010); ``normal`` is N(0, variance), the
            paper's; ``uniform`` is U(−2.4/fan_in, 2.4/fan_in) (LeCun et al. 1989). In scheme
            ``he`` the last layer of a net with classes is scaled by ``LAST_LAYER_GAIN``.
        variance: Variance (not standard deviation) of scheme ``normal``, 1e-2 as published.
        generator: Random generator; None means torch's global one.

    Raises:
        InputError: The scheme is unknown.
    """
    known = get_args(Scheme)
    if scheme not in known:
        listed = f"{', '.join(known[:-1])} or {known[-1]}"
        raise InputError(f"initialisation must be {listed}, got {scheme!r} instead")
    layers = [m for m in net.modules() if isinstance(m, Convolution | nn.Linear)]
    last = layers[-1] if getattr(net, "num_classes", 1) else None
    for layer in layers:
        fan_in, fan_out = fans(layer.weight)
        if scheme == "uniform":
            layer.weight.uniform_(-2.4 / fan_in, 2.4 / fan_in, generator=generator)
        else:
            std = _STD[scheme](fan_in, fan_out, variance)
            if layer is last and scheme == "he":
                std *= LAST_LAYER_GAIN
            layer.weight.normal_(0.0, std, generator=generator)
        if layer.bias is not None:
            layer.bias.zero_()
    for module in net.modules():
        if isinstance(module, BatchNorm):
            module.reset_parameters()


_STD: dict[str, Callable[[int, int, float], float]] = {
    "he": lambda fan_in, fan_out, variance: math.sqrt(2 / fan_in),
    "glorot": lambda fan_in, fan_out, variance: math.sqrt(2 / (fan_in + fan_out)),
    "normal": lambda fan_in, fan_out, variance: math.sqrt(variance),
}


def fans(weight: Tensor) -> tuple[int, int]:
    """Return fan-in and fan-out of a weight tensor.

    >>> fans(torch.empty(64, 3, 3, 3))
    (27, 576)
    """
    window = weight[0, 0].numel()
    return weight.shape[1] * window, weight.shape[0] * window


@dataclass(frozen=True, slots=True)
class LayerOrigin:
    """Origin of a layer's weights.

    Attributes:
        layer: Name of the layer, like ``conv3_1``.
        copied: True if copied from the shallower net, False if new.
        why: Reason why it is new; empty if copied.
    """

    layer: str
    copied: bool
    why: str = ""

    def __str__(self) -> str:
        return f"{self.layer}: copied" if self.copied else f"{self.layer}: new ({self.why})"


@torch.no_grad()
def copy_layers(
    source: nn.Module,
    target: nn.Module,
    layers: Literal["paper", "all"] = "paper",
    *,
    refuse: Mapping[str, str] | None = None,
    fit: Fit | None = None,
) -> list[LayerOrigin]:
    """Copy layers with matching names and shapes from a shallower net.

    A convolution includes its batch normalisation. Layers that are not copied stay unchanged.

    Args:
        source: Trained, shallower net.
        target: Net to initialise, changed in place.
        layers: ``paper`` copies only :data:`PAPER_LAYERS`, ``all`` every layer of the same name.
        refuse: Layers to leave unchanged, with reasons: ``{"fc8": "the classes differ"}``.
        fit: Makes the weights of ``source`` those of another shape before they are compared.

    Returns:
        One entry per layer of ``target`` with weights, in forward order.

    Raises:
        InputError: ``layers`` is invalid, or ``refuse`` names an unknown layer.
    """
    if layers not in ("paper", "all"):
        raise InputError(f"layers must be 'paper' or 'all', got {layers!r} instead")
    given, wanted = _weight_layers(source), _weight_layers(target)
    reasons = dict(refuse or {})
    if unknown := reasons.keys() - wanted.keys():
        raise InputError(f"the net has no layer {', '.join(sorted(unknown))} to refuse")
    if _normalized(source) != _normalized(target):
        reasons = (
            dict.fromkeys(_convolutions(target), "only one of the nets is normalised") | reasons
        )
    report = []
    for name, (prefix, tensors) in wanted.items():
        why = reasons.get(name) or _missing(name, layers, given)
        if not why:
            source_prefix, found = given[name]
            weight, wish = found["weight"], tensors["weight"]
            weight = fit(weight, wish.shape) if fit else weight
            why = _difference(weight.shape, wish.shape)
        if not why:
            for key, tensor in tensors.items():
                tensor.copy_(weight if key == "weight" else found[key])
            _copy_norm(source, source_prefix, target, prefix)
        report.append(LayerOrigin(name, copied=not why, why=why))
    return report


def _weight_layers(net: nn.Module) -> dict[str, tuple[str, dict[str, Tensor]]]:
    """Return full name and parameters of every layer by its name within its part of the net."""
    return {
        _name_in_part(path): (path, dict(module.named_parameters()))
        for path, module in net.named_modules()
        if isinstance(module, Convolution | nn.Linear)
    }


def _convolutions(net: nn.Module) -> list[str]:
    """Return the names of the convolutions within their part of the net."""
    named = net.named_modules()
    return [_name_in_part(path) for path, module in named if isinstance(module, Convolution)]


def _name_in_part(path: str) -> str:
    return path.partition(".")[2] or path


def _normalized(net: nn.Module) -> bool:
    return any(isinstance(module, BatchNorm) for module in net.modules())


def _missing(name: str, layers: str, given: Mapping[str, tuple[str, dict[str, Tensor]]]) -> str:
    """Return why there is nothing to copy for a layer; nothing if there is."""
    if layers == "paper" and name not in PAPER_LAYERS:
        return "not among the layers that the paper copies"
    return "" if name in given else "the shallower net has no such layer"


def _difference(theirs: torch.Size, ours: torch.Size) -> str:
    return "" if theirs == ours else f"shape {times(ours)}, the shallower net's {times(theirs)}"


def _copy_norm(source: nn.Module, source_path: str, target: nn.Module, path: str) -> None:
    modules, theirs = dict(target.named_modules()), dict(source.named_modules())
    norm = modules.get(path.replace("conv", "norm"))
    found = theirs.get(source_path.replace("conv", "norm"))
    if isinstance(norm, BatchNorm) and isinstance(found, BatchNorm):
        norm.load_state_dict(found.state_dict())
