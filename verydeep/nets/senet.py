"""SENet-154: Hu et al., "Squeeze-and-Excitation Networks" (2017), winner of ILSVRC 2017.

N images, C channels, H height, W width, K classes; h, w: sides of a map.
"""

from __future__ import annotations

from typing import Any

from torch import Tensor, nn

from verydeep.errors import InputError
from verydeep.nets.families import SENET
from verydeep.nets.initialize import initialize
from verydeep.nets.stacked import Stacked
from verydeep.nets.table import Kind, check_sizes, scaled
from verydeep.nets.units import chain, unit
from verydeep.nets.windows import Window, window_of

#         blocks, channels after the 3x3
STAGES = {2: (3, 256), 3: (8, 512), 4: (36, 1024), 5: (3, 2048)}
"""Residual blocks of a stage, and their output channels; 154 layers with weights in all."""

GROUPS = 64
"""Groups of the 3x3 convolutions."""

REDUCTION = 16
"""Channels of a map per unit of its gate's hidden layer."""

EPSILON = 1e-5


class Gate(nn.Module):
    """Squeeze and excitation: factors per channel from the means of all maps.

    Args:
        channels: Channels, C.
    """

    def __init__(self, channels: int) -> None:
        super().__init__()
        hidden = max(1, channels // REDUCTION)
        self.fc1 = nn.Conv2d(channels, hidden, 1)
        self.fc2 = nn.Conv2d(hidden, channels, 1)
        self.relu, self.sigmoid = nn.ReLU(), nn.Sigmoid()

    def forward(self, x: Tensor) -> Tensor:
        """Return maps (N, C, h, w) times their factors."""
        means = x.mean((2, 3), keepdim=True)
        gated: Tensor = self.sigmoid(self.fc2(self.relu(self.fc1(means))))
        return x * gated


class Bottleneck(nn.Module):
    """A residual block: 1x1, grouped 3x3, 1x1, a gate, and the sum with its input.

    Args:
        inputs: Input channels.
        outputs: Output channels; half as many after the first convolution.
        stride: Stride of the 3x3.
        groups: Groups of the 3x3.
        project: Kernel of the convolution on the shortcut; None for no convolution.
    """

    kind: Kind = "composite"

    def __init__(
        self, inputs: int, outputs: int, stride: int, groups: int, project: int | None
    ) -> None:
        super().__init__()
        half = groups * max(1, outputs // 2 // groups)
        self.window = Window(3, stride, 1)
        body = {
            "reduce": chain(unit(inputs, half, 1, epsilon=EPSILON)),
            "middle": chain(unit(half, outputs, 3, stride=stride, groups=groups, epsilon=EPSILON)),
            "expand": chain(unit(outputs, outputs, 1, epsilon=EPSILON, relu=False)),
            "gate": Gate(outputs),
        }
        self.body = chain(body)
        self.shortcut = (
            chain(unit(inputs, outputs, project, stride=stride, epsilon=EPSILON, relu=False))
            if project
            else None
        )
        self.relu = nn.ReLU()

    def forward(self, x: Tensor) -> Tensor:
        """Return maps (N, C', h, w) of maps (N, C, H, W)."""
        kept = x if self.shortcut is None else self.shortcut(x)
        summed: Tensor = self.relu(self.body(x) + kept)
        return summed


class SENet154(Stacked):
    """SENet-154, with three 3x3 convolutions before the residual blocks.

    ``features`` end with the average over the last map, at ``input_size`` a window of 7x7, and the
    dense form slides that window. The gates of a larger image read the average of all of it, so
    that a position of the dense form depends on the whole image.

    Use :func:`senet154` to create and initialise a net.
    """

    SETTINGS = SENET.settings

    def __init__(
        self,
        name: str = "senet154",
        num_classes: int = 1000,
        *,
        batch_norm: bool = True,
        input_size: int = 224,
        channels: int = 3,
        width: float = 1.0,
        dropout: float = 0.2,
    ) -> None:
        super().__init__()
        check_sizes(num_classes=num_classes, channels=channels, width=width, hidden=0)
        if not batch_norm:
            raise InputError("batch_norm must be true: net senet154 has it after every convolution")
        self.name, self.num_classes, self.channels = name, num_classes, channels
        self.check_input_size(input_size)
        self.input_size, self.width, self.dropout = input_size, width, dropout
        self.batch_norm = batch_norm
        self.stride = 32
        groups = scaled(GROUPS, width)
        layers, inputs = _stem(channels, width), scaled(128, width)
        for stage, (blocks, units) in STAGES.items():
            outputs = groups * max(1, scaled(units, width) // groups)
            for number in range(1, blocks + 1):
                first = number == 1
                stride = 2 if first and stage > 2 else 1
                project = (1 if stage == 2 else 3) if first else None
                layers[f"block{stage}_{number}"] = Bottleneck(
                    inputs, outputs, stride, groups, project
                )
                inputs = outputs
        side = input_size
        for layer in layers.values():
            side = window_of(layer).outputs(side)
        layers["pool5"] = nn.AvgPool2d(side, 1)
        self.features = chain(layers)
        last = {"drop": nn.Dropout(dropout), "fc": nn.Linear(inputs, num_classes)}
        self.classifier = chain(last if num_classes else {})

    @property
    def density(self) -> str:
        """The dense form in words."""
        return "the average over a window and the last layer at every position of the last map"

    @property
    def block_ends(self) -> tuple[str, ...]:
        """Last layer of each stage."""
        return ("pool1", *(f"block{stage}_{blocks}" for stage, (blocks, _) in STAGES.items()))

    @property
    def shown_layers(self) -> tuple[str, ...]:
        """The ends of stages and the scores."""
        return (*self.block_ends, *self.score_layer)

    @property
    def convolutions(self) -> dict[str, str]:
        """The first convolutions with their ReLUs, and the residual blocks."""
        names = [name for name, _ in self.features.named_children()]
        blocks = {name: name for name in names if name.startswith("block")}
        return {f"conv1_{n}": f"relu1_{n}" for n in (1, 2, 3)} | blocks


def _stem(channels: int, width: float) -> dict[str, nn.Module]:
    few, many = scaled(64, width), scaled(128, width)
    return {
        **unit(channels, few, 3, name="1_1", stride=2, epsilon=EPSILON),
        **unit(few, few, 3, name="1_2", epsilon=EPSILON),
        **unit(few, many, 3, name="1_3", epsilon=EPSILON),
        "pool1": nn.MaxPool2d(3, 2, ceil_mode=True),
    }


def senet154(num_classes: int = 1000, **settings: Any) -> SENet154:
    """Create SENet-154 with He initialisation, ready to train.

    Args:
        num_classes: Number of classes K; 0 for the convolutions alone.
        settings: ``input_size`` (224, at least 32), ``channels``, ``width`` (factor on all channels
            and groups), ``dropout``.

    Raises:
        InputError: A setting is invalid.
        SizeError: ``input_size`` is below 32.

    >>> import torch
    >>> net = senet154(37, input_size=64, width=0.03).eval()
    >>> net(torch.zeros(2, 3, 64, 64)).shape
    torch.Size([2, 37])
    """
    net = SENet154(num_classes=num_classes, **settings)
    initialize(net)
    return net
