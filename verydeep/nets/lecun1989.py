"""The net of LeCun et al. (1989), "Backpropagation Applied to Handwritten Zip Code Recognition".

N images, C channels, H height, W width, K classes; O, I output and input maps, h, w sides of a map.
"""

from __future__ import annotations

from typing import Any, Literal, get_args

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from verydeep.errors import InputError, SizeError
from verydeep.nets.families import LECUN_1989
from verydeep.nets.initialize import initialize
from verydeep.nets.stacked import Stacked
from verydeep.nets.table import Kind, check_sizes, scaled
from verydeep.nets.units import chain

Activation = Literal["tanh", "relu"]
Output = Literal["tanh", "linear"]

SIDE = 16
"""Side of the images, in pixels."""

MAPS = 12
"""Maps of H1 and of H2."""

BACKGROUND = -1.0
"""Value of everything beyond the border of a map: that of white paper."""

GROUPS = 3
"""Groups of maps in H1; each group of H2 reads all but one of them."""


class ScaledTanh(nn.Module):
    """f(x) = 1.7159·tanh(2x/3), which maps the targets ±1 to themselves.

    The paper says "a scaled hyperbolic tangent", with targets "within the quasi-linear range"; the
    constants are those that LeCun gives for it elsewhere ("Generalization and network design
    strategies", 1989; "Efficient BackProp", 1998).
    """

    kind: Kind = "tanh"
    INNER, OUTER = 2 / 3, 1.7159

    def forward(self, x: Tensor) -> Tensor:
        """Return f(x), of the shape of x."""
        return self.OUTER * torch.tanh(self.INNER * x)


class UnsharedBias(nn.Conv2d):
    """A convolution of 5x5 with stride 2, shared weights, and a bias for each unit of its maps.

    Where a kernel extends beyond the border, it reads :data:`BACKGROUND`. The biases, (O, h, w),
    fix the size of the maps.

    Args:
        inputs: Input maps, I.
        outputs: Output maps, O.
        side: Side of the output maps.
        fan_in: Input maps that each output map reads.
    """

    def __init__(self, inputs: int, outputs: int, side: int, fan_in: int | None = None) -> None:
        super().__init__(fan_in or inputs, outputs, 5, stride=2, padding=2, bias=False)
        self.in_channels = inputs
        self.bias: nn.Parameter = nn.Parameter(torch.zeros(outputs, side, side))

    def kernels(self) -> Tensor:
        """Return the kernels, (O, I, 5, 5)."""
        return self.weight

    def forward(self, x: Tensor) -> Tensor:
        """Return maps (N, O, h, w) of maps (N, I, 2h, 2w)."""
        padded = F.pad(x, (2, 2, 2, 2), value=BACKGROUND)
        return F.conv2d(padded, self.kernels(), stride=2) + self.bias


class SparseUnsharedBias(UnsharedBias):
    """The same where each output map reads two thirds of the input maps.

    The paper: each map of H2 combines eight of the twelve of H1, by a scheme that it does not
    describe. Here both layers are in three groups of maps, and the first group of H2 leaves out the
    last of H1, the second the middle one, the third the first, so that all maps of H1 are used
    equally often. The weights, (O, I·2/3, 5, 5), are those of the connections that exist.

    Args:
        maps: Input maps, and output maps.
        side: Side of the output maps.
    """

    def __init__(self, maps: int, side: int) -> None:
        super().__init__(maps, maps, side, fan_in=maps * (GROUPS - 1) // GROUPS)

    def kernels(self) -> Tensor:
        """Return the kernels with zeros for the connections that do not exist, (O, I, 5, 5)."""
        first, second, third = self.weight.chunk(GROUPS)
        size = len(first)
        none = torch.zeros_like(first[:, :size])
        low, high = torch.split(second, size, 1)
        rows = (
            torch.cat([first, none], 1),
            torch.cat([low, none, high], 1),
            torch.cat([none, third], 1),
        )
        return torch.cat(rows)


class LeCun1989(Stacked):
    """The net of LeCun et al. (1989): two convolutions, two fully connected layers, 9,760 weights.

    It reads images of exactly 16x16 pixels from −1 to 1: a bias for each unit of a map leaves no
    dense form. ``activation`` and ``output`` replace its scaled tanh, step by step, by what came
    later.

    Use :func:`lecun1989` to create and initialise a net.
    """

    any_size = False
    last_map = "act2"
    SETTINGS = LECUN_1989.settings

    def __init__(
        self,
        name: str = "lecun1989",
        num_classes: int = 10,
        *,
        input_size: int = SIDE,
        channels: int = 1,
        width: float = 1.0,
        hidden: int = 30,
        dropout: float = 0.0,
        activation: Activation = "tanh",
        output: Output = "tanh",
    ) -> None:
        super().__init__()
        _check(input_size, num_classes, activation, output)
        check_sizes(num_classes=num_classes, channels=channels, width=width, hidden=hidden)
        self.name, self.num_classes, self.channels = name, num_classes, channels
        self.input_size, self.width, self.hidden = input_size, width, hidden
        self.dropout: float = dropout
        self.activation: Activation = activation
        self.output: Output = output
        self.stride = 4
        maps = GROUPS * scaled(MAPS // GROUPS, width)
        units = scaled(hidden, width)
        half, quarter = SIDE // 2, SIDE // 4
        squash = ScaledTanh if activation == "tanh" else nn.ReLU
        self.features = chain(
            {
                "conv1": UnsharedBias(channels, maps, half),
                "act1": squash(),
                "conv2": SparseUnsharedBias(maps, quarter),
                "act2": squash(),
            }
        )
        drop = {"drop3": nn.Dropout(dropout)} if dropout else {}
        last = {"act4": ScaledTanh()} if output == "tanh" else {}
        self.classifier = chain(
            {
                **drop,
                "fc3": nn.Linear(maps * quarter**2, units),
                "act3": squash(),
                "fc4": nn.Linear(units, num_classes),
                **last,
            }
        )

    @property
    def feature_layers(self) -> tuple[str, ...]:
        """H3 after its activation, and H2."""
        return ("act3", "act2")

    @property
    def density(self) -> str:
        """None."""
        return "not at all: it takes crops only"

    @property
    def block_ends(self) -> tuple[str, ...]:
        """H1 and H2 after their activation."""
        return ("act1", "act2")

    @property
    def shown_layers(self) -> tuple[str, ...]:
        """H1, H2, H3 and the scores."""
        return (*self.block_ends, "act3", *self.score_layer)

    @property
    def convolutions(self) -> dict[str, str]:
        """For each convolution, its activation."""
        return {"conv1": "act1", "conv2": "act2"}

    def check_pictures(self, x: Tensor) -> None:
        """Refuse images that are not exactly 16x16 pixels.

        Raises:
            SizeError: The images have another size, or are no (N, C, H, W).
        """
        super().check_pictures(x)
        height, width = x.shape[-2:]
        if (height, width) != (SIDE, SIDE):
            raise SizeError(
                f"the image is {height}x{width} pixels (height x width), but net {self.name} has "
                f"a bias for each unit of maps made from {SIDE}x{SIDE}: it has no dense form; "
                "rescale or crop the image to that size"
            )


def lecun1989(num_classes: int = 10, **settings: Any) -> LeCun1989:
    """Create the net of LeCun et al. (1989) with its initial weights: uniform in ±2.4/fan-in.

    Biases begin at 0; the paper does not say.

    Args:
        num_classes: Number of classes K.
        settings: ``width`` (factor on maps and hidden units), ``hidden`` (units of H3, before
            ``width``), ``dropout`` (share of the inputs of H3 dropped in training),
            ``activation`` (``tanh`` or ``relu``) and ``output`` (``tanh``, or ``linear`` for a
            softmax), ``channels``.

    Raises:
        InputError: A setting is invalid.

    >>> net = lecun1989()
    >>> sum(p.numel() for p in net.parameters()), connections(net)
    (9760, 64660)
    >>> net(torch.zeros(2, 1, 16, 16)).shape
    torch.Size([2, 10])
    """
    net = LeCun1989(num_classes=num_classes, **settings)
    initialize(net, "uniform")
    return net


def connections(net: LeCun1989) -> int:
    """Return the number of connections: multiply-adds, and one bias for each unit."""
    return sum(
        part.multiply_adds + part.channels * part.size**2
        for part in net.anatomy().parts
        if part.layer.kind in ("conv", "fc")
    )


def _check(input_size: int, num_classes: int, activation: str, output: str) -> None:
    if input_size != SIDE:
        raise SizeError(
            f"input_size must be {SIDE}: the net of 1989 has a bias for each unit of its maps; "
            f"got {input_size} instead"
        )
    if num_classes < 1:
        raise InputError(f"num_classes must be at least 1, got {num_classes} instead")
    for name, value, known in (
        ("activation", activation, get_args(Activation)),
        ("output", output, get_args(Output)),
    ):
        if value not in known:
            raise InputError(f"{name} must be {' or '.join(known)}, got {value!r} instead")
