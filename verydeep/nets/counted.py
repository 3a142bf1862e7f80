"""Anatomy of any net, counted on its modules while an image of no content passes through them.

Where Table 1 does not apply, hooks measure each layer. Nothing is computed: tensors of PyTorch's
meta device have shapes only.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import torch
from torch import Tensor, nn

from verydeep.nets.anatomy import Anatomy, LayerAnatomy
from verydeep.nets.interface import Net
from verydeep.nets.layer_outputs import walk
from verydeep.nets.table import Kind, Layer
from verydeep.nets.windows import window_of

KINDS: tuple[tuple[type[nn.Module], Kind], ...] = (
    (nn.Conv2d, "conv"),
    (nn.Linear, "fc"),
    (nn.BatchNorm2d, "norm"),
    (nn.LocalResponseNorm, "lrn"),
    (nn.ReLU, "relu"),
    (nn.MaxPool2d, "pool"),
    (nn.AvgPool2d, "pool"),
    (nn.Dropout, "dropout"),
)


@torch.no_grad()
def counted(net: Net) -> Anatomy:
    """Return the anatomy of a net at its input size.

    The receptive field of a composite layer is that of its widest branch. Gates that read the
    average of a whole map are not counted: through them every value depends on the whole image.
    """
    with torch.device("meta"):
        shadow = type(net)(num_classes=net.num_classes, **net.settings()).eval()
    names = {module: name for name, module in shadow.named_layers()}
    products, memory = defaultdict[str, int](int), defaultdict[str, int](int)
    with _counting(names, products, memory):
        x = torch.empty(1, net.channels, net.input_size, net.input_size, device="meta")
        maps = walk(shadow, x, list(names.values()))
    return Anatomy(net.name, net.input_size, tuple(_parts(shadow, maps, products, memory)))


@contextmanager
def _counting(
    names: dict[nn.Module, str], products: dict[str, int], memory: dict[str, int]
) -> Iterator[None]:
    """Count multiply-adds and bytes of all simple modules within named layers."""

    def hook(name: str) -> Any:
        def count(module: nn.Module, _: object, output: Tensor) -> None:
            memory[name] += 4 * output.numel()
            if isinstance(module, nn.Conv2d | nn.Linear):
                positions = output.numel() // len(module.weight)
                products[name] += module.weight.numel() * positions

        return count

    handles = [
        part.register_forward_hook(hook(name))
        for layer, name in names.items()
        for part in layer.modules()
        if not [*part.children()]
    ]
    try:
        yield
    finally:
        for handle in handles:
            handle.remove()


def _parts(
    net: Net, maps: dict[str, Tensor], products: dict[str, int], memory: dict[str, int]
) -> Iterator[LayerAnatomy]:
    field, stride, inputs = 1, 1, net.channels
    first = next((name for name, _ in net.classifier.named_children()), None)
    for name, module in net.named_layers():
        window = window_of(module)
        if name == first:
            field += (net.final_map - 1) * stride
        field += (window.kernel - 1) * stride
        stride *= window.stride
        outputs, size = maps[name].shape[1:3]
        slide = (window.kernel, window.stride, window.padding, window.ceil)
        yield LayerAnatomy(
            layer=Layer(name, _kind(module), inputs, outputs, *slide),
            channels=outputs,
            size=size,
            parameters=sum(parameter.numel() for parameter in module.parameters()),
            multiply_adds=products[name],
            memory=memory[name],
            receptive_field=field,
            stride=stride,
        )
        inputs = outputs


def _kind(module: nn.Module) -> Kind:
    own: Kind | None = getattr(module, "kind", None)
    if own is not None:
        return own
    return next((kind for cls, kind in KINDS if isinstance(module, cls)), "composite")
