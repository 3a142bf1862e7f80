"""GoogLeNet: Szegedy et al., "Going Deeper with Convolutions" (2014), Table 1.

N images, C channels, H height, W width, K classes; A auxiliary heads; h, w: sides of a map.
"""

from __future__ import annotations

from typing import Any, cast

import torch
from torch import Tensor, nn

from verydeep.errors import SizeError
from verydeep.nets.dimensions import times
from verydeep.nets.families import GOOGLENET
from verydeep.nets.initialize import initialize
from verydeep.nets.local_norm import LocalResponseNorm
from verydeep.nets.stacked import Stacked
from verydeep.nets.table import Kind, check_sizes, scaled
from verydeep.nets.units import chain, unit
from verydeep.nets.windows import Window, window_of

# Channels of an inception module: 1x1, 3x3 after its reduction, 5x5 after its reduction, and the
# projection of the pool.
#                       1x1  3x3r 3x3  5x5r 5x5  pool
INCEPTIONS: dict[str, tuple[int, int, int, int, int, int]] = {
    "inception3a": (64, 96, 128, 16, 32, 32),
    "inception3b": (128, 128, 192, 32, 96, 64),
    "inception4a": (192, 96, 208, 16, 48, 64),
    "inception4b": (160, 112, 224, 24, 64, 64),
    "inception4c": (128, 128, 256, 24, 64, 64),
    "inception4d": (112, 144, 288, 32, 64, 64),
    "inception4e": (256, 160, 320, 32, 128, 128),
    "inception5a": (256, 160, 320, 32, 128, 128),
    "inception5b": (384, 192, 384, 48, 128, 128),
}

POOLED = {"inception3b": "pool3", "inception4e": "pool4"}
"""Pools, by the module before them."""

AUXILIARY = ("inception4a", "inception4d")
"""Modules whose maps an auxiliary head reads."""

EPSILON = 1e-3
"""ε of torchvision's batch normalisation."""


class Inception(nn.Module):
    """Four branches over the same maps, whose outputs are stacked.

    Args:
        inputs: Input channels.
        channels: Channels of a row of :data:`INCEPTIONS`.
        five: Kernel of the third branch.
        epsilon: ε of a batch normalisation; None for none.
    """

    kind: Kind = "composite"

    def __init__(
        self,
        inputs: int,
        channels: tuple[int, int, int, int, int, int],
        five: int,
        epsilon: float | None,
    ) -> None:
        super().__init__()
        one, reduce3, three, reduce5, last, projected = channels
        self.window = Window(five, 1, five // 2)

        def part(before: int, after: int, kernel: int) -> nn.Sequential:
            return chain(unit(before, after, kernel, epsilon=epsilon))

        self.one = part(inputs, one, 1)
        self.three = chain({"reduce": part(inputs, reduce3, 1), "main": part(reduce3, three, 3)})
        self.five = chain({"reduce": part(inputs, reduce5, 1), "main": part(reduce5, last, five)})
        pool = nn.MaxPool2d(3, 1, padding=1, ceil_mode=True)
        self.pool = chain({"pool": pool, "project": part(inputs, projected, 1)})
        self.outputs = one + three + last + projected

    def branches(self) -> tuple[nn.Sequential, ...]:
        """Return the branches in the order of their channels."""
        return self.one, self.three, self.five, self.pool

    def forward(self, x: Tensor) -> Tensor:
        """Return maps (N, C', h, w) of maps (N, C, h, w)."""
        return torch.cat([branch(x) for branch in self.branches()], 1)


class GoogLeNet(Stacked):
    """GoogLeNet, as published, or with batch normalisation as in torchvision.

    ``features`` end with the average over the last map, at ``input_size`` a window of 7x7, and the
    dense form slides that window. In training, auxiliary heads read two maps on the way, and
    :meth:`forward` returns their scores as well.

    With ``batch_norm`` the net is that of torchvision, which differs: batch normalisation replaces
    biases and local response normalisation, the 5x5 are 3x3, and pool4 is 2x2.

    Use :func:`googlenet` to create and initialise a net.
    """

    SETTINGS = GOOGLENET.settings

    def __init__(
        self,
        name: str = "googlenet",
        num_classes: int = 1000,
        *,
        batch_norm: bool = False,
        input_size: int = 224,
        channels: int = 3,
        width: float = 1.0,
        dropout: float = 0.4,
        auxiliary: bool = True,
    ) -> None:
        super().__init__()
        check_sizes(num_classes=num_classes, channels=channels, width=width, hidden=0)
        self.name, self.num_classes, self.channels = name, num_classes, channels
        self.check_input_size(input_size)
        self.input_size, self.width, self.dropout = input_size, width, dropout
        self.batch_norm, self.auxiliary = batch_norm, auxiliary
        self.stride = 32
        # Before the other parts, so that the last layer of all is the one that gives the scores.
        self.heads = nn.ModuleDict()
        layers = dict(_stem(channels, width, batch_norm=batch_norm))
        inputs, side = scaled(192, width), input_size
        for layer in layers.values():
            side = window_of(layer).outputs(side)
        for name_, row in INCEPTIONS.items():
            sizes = cast(tuple[int, int, int, int, int, int], tuple(scaled(c, width) for c in row))
            five, epsilon = (3, EPSILON) if batch_norm else (5, None)
            module = Inception(inputs, sizes, five, epsilon)
            layers[name_], inputs = module, module.outputs
            if auxiliary and num_classes and name_ in AUXILIARY:
                self.heads[name_] = _auxiliary(inputs, num_classes, side, width, epsilon)
            if name_ in POOLED:
                kernel = 2 if batch_norm and name_ == "inception4e" else 3
                layers[POOLED[name_]] = nn.MaxPool2d(kernel, 2, ceil_mode=True)
                side = window_of(layers[POOLED[name_]]).outputs(side)
        layers["pool5"] = nn.AvgPool2d(side, 1)
        self.features = chain(layers)
        last = {"drop": nn.Dropout(dropout), "fc": nn.Linear(inputs, num_classes)}
        self.classifier = chain(last if num_classes else {})

    def forward(self, x: Tensor) -> Tensor:
        """Return scores (N, K); in training with auxiliary heads (N, 1 + A, K), those last.

        Raises:
            SizeError: The images are smaller than ``input_size``, or larger in training with
                auxiliary heads.
        """
        if not (self.training and len(self.heads)):
            return super().forward(x)
        self.check_pictures(x)
        self._check_crops(x)
        scores = []
        for name, layer in self.features.named_children():
            x = layer(x)
            if name in self.heads:
                scores.append(self.heads[name](x))
        return torch.stack([self.classifier(x.flatten(1)), *scores], 1)

    def _check_crops(self, x: Tensor) -> None:
        """Refuse images larger than the crops that the auxiliary heads were made for.

        Raises:
            SizeError: The images are larger.
        """
        sides, size = tuple(x.shape[2:]), self.input_size
        if sides != (size, size):
            raise SizeError(
                f"the image is {times(sides)} pixels (height x width), but in training the "
                f"auxiliary heads of net {self.name} read crops of {size}x{size} only: crop it, or "
                "make the net with auxiliary=False"
            )

    @property
    def density(self) -> str:
        """The dense form in words."""
        return "the average over a window and the last layer at every position of the last map"

    @property
    def block_ends(self) -> tuple[str, ...]:
        """Last layer before each halving of the maps."""
        return ("pool1", "pool2", "inception3b", "inception4e", "inception5b")

    @property
    def shown_layers(self) -> tuple[str, ...]:
        """The ends of blocks and the scores."""
        return (*self.block_ends, *self.score_layer)

    @property
    def convolutions(self) -> dict[str, str]:
        """The three convolutions with their ReLUs, and the inception modules."""
        first = {"conv1": "relu1", "conv2_1": "relu2_1", "conv2_2": "relu2_2"}
        return first | {name: name for name in INCEPTIONS}


def _stem(channels: int, width: float, *, batch_norm: bool) -> dict[str, nn.Module]:
    """Return the layers before the first inception module."""
    few, many, epsilon = scaled(64, width), scaled(192, width), EPSILON if batch_norm else None

    def lrn(name: str) -> dict[str, nn.Module]:
        usual = LocalResponseNorm(5, alpha=1e-4, beta=0.75, k=1.0)
        return {} if batch_norm else {name: usual}

    return {
        **unit(channels, few, 7, name="1", stride=2, epsilon=epsilon),
        "pool1": nn.MaxPool2d(3, 2, ceil_mode=True),
        **lrn("lrn1"),
        **unit(few, few, 1, name="2_1", epsilon=epsilon),
        **unit(few, many, 3, name="2_2", epsilon=epsilon),
        **lrn("lrn2"),
        "pool2": nn.MaxPool2d(3, 2, ceil_mode=True),
    }


def _auxiliary(
    inputs: int, num_classes: int, side: int, width: float, epsilon: float | None
) -> nn.Sequential:
    """Return an auxiliary head for maps of this side; at 224 pixels it is 14, and 4x4 remain."""
    pool = nn.AvgPool2d(min(5, side), 3)
    rest, maps, units = window_of(pool).outputs(side), scaled(128, width), scaled(1024, width)
    return chain(
        {
            "pool": pool,
            **unit(inputs, maps, 1, epsilon=epsilon),
            "flat": nn.Flatten(),
            "fc1": nn.Linear(maps * rest**2, units),
            "relu1": nn.ReLU(),
            "drop": nn.Dropout(0.7),
            "fc2": nn.Linear(units, num_classes),
        }
    )


def googlenet(num_classes: int = 1000, **settings: Any) -> GoogLeNet:
    """Create GoogLeNet with He initialisation, ready to train.

    Args:
        num_classes: Number of classes K; 0 for the convolutions alone.
        settings: ``batch_norm`` (the net of torchvision), ``input_size`` (224, at least 32),
            ``channels``, ``width`` (factor on all channels), ``dropout``, ``auxiliary`` (two more
            heads in training).

    Raises:
        InputError: A setting is invalid.
        SizeError: ``input_size`` is below 32.

    >>> net = googlenet(37, input_size=64, width=0.125).eval()
    >>> net(torch.zeros(2, 3, 64, 64)).shape
    torch.Size([2, 37])
    >>> net.score_map(torch.zeros(2, 3, 96, 128)).shape
    torch.Size([2, 37, 2, 3])
    """
    net = GoogLeNet(num_classes=num_classes, **settings)
    initialize(net)
    return net
