"""The six networks as PyTorch modules.

N images, C channels, H height, W width, K classes; h, w: sides of a score map.
"""

from __future__ import annotations

from collections import OrderedDict
from collections.abc import Iterable, Iterator
from functools import cached_property
from typing import Never, cast

from torch import Tensor, nn

from verydeep.errors import InputError, SizeError, did_you_mean
from verydeep.nets import table
from verydeep.nets.anatomy import anatomy
from verydeep.nets.dense import classify_densely
from verydeep.nets.initialize import initialize
from verydeep.nets.keywords import one_of, refuse_unknown
from verydeep.nets.names import known_as
from verydeep.nets.tiling import map_in_strips


class VGG(nn.Module):
    """One of the nets A, A-LRN, B, C, D, E (Table 1 of the paper).

    ``features`` holds the five blocks of convolutions, ``classifier`` the three fully connected
    layers, named as in the authors' release (``features.conv3_2``, ``classifier.fc6``). There is no
    adaptive pooling: larger images use the dense form, as in the paper. ReLUs are not in place, so
    that all intermediate maps can be inspected.

    Use :func:`vgg` to create and initialise a net.
    """

    def __init__(
        self,
        name: str,
        classes: int = 1000,
        *,
        input_size: int = 224,
        channels: int = 3,
        width: float = 1.0,
        hidden: int = table.HIDDEN,
        dropout: float = 0.5,
        norm: str | None = None,
    ) -> None:
        super().__init__()
        self.name = table.check_name(name)
        table.check_sizes(classes=classes, channels=channels, width=width, hidden=hidden, norm=norm)
        self.classes = classes
        self.input_size = input_size
        self.channels = channels
        self.width = width
        self.hidden = hidden
        self.dropout = dropout
        self.norm = norm
        self.features = _sequence(
            table.convolutional_layers(self.name, channels=channels, width=width, norm=norm)
        )
        self.classifier = _sequence(
            table.fully_connected_layers(
                classes, input_size=input_size, width=width, hidden=hidden
            ),
            dropout,
        )

    def forward(self, x: Tensor) -> Tensor:
        """Return the scores before the softmax, (N, K), of images (N, C, H, W).

        H and W are at least ``input_size``. On larger images the scores are the spatial average of
        :meth:`score_map`, as in section 3.2 of the paper.

        Raises:
            SizeError: The images are smaller than ``input_size``.
        """
        maps = self.feature_map(x)
        if maps.shape[-2:] == (self.final_map, self.final_map):
            return cast(Tensor, self.classifier(maps.flatten(1)))
        return classify_densely(self.classifier, maps).mean((2, 3))

    def score_map(self, x: Tensor, *, pixels: int | None = None) -> Tensor:
        """Return dense class scores, one per position of the net over the image.

        Args:
            x: Images, (N, C, H, W), with H, W ≥ ``input_size``.
            pixels: Maximum number of pixels per pass through the convolutions; larger inputs are
                processed in parts, with the same result up to rounding in evaluation mode. None
                means no limit.

        Returns:
            Scores, (N, K, h, w), with h = ⌊H/32⌋ − ⌊input_size/32⌋ + 1, and w accordingly.

        Raises:
            SizeError: The images are smaller than ``input_size``.
        """
        return classify_densely(self.classifier, self.feature_map(x, pixels=pixels))

    def activation_map(self, x: Tensor, layer: str, *, pixels: int | None = None) -> Tensor:
        """Return dense activations of a layer before the last.

        Args:
            x: Images, (N, C, H, W), with H, W ≥ ``input_size``.
            layer: ``fc7`` or ``fc6``, after the ReLU, or ``pool5``, the output of
                :meth:`feature_map`.
            pixels: See :meth:`score_map`.

        Returns:
            Activations, (N, D, h, w), with D from :meth:`activations`; h and w as for
            :meth:`score_map`, or for ``pool5`` as for :meth:`feature_map`.

        Raises:
            InputError: The layer is not one of these.
            SizeError: The images are smaller than ``input_size``.
        """
        self.activations(layer)
        maps = self.feature_map(x, pixels=pixels)
        if layer == "pool5":
            return maps
        names = [name for name, _ in self.classifier.named_children()]
        end = names.index(layer.replace("fc", "relu")) + 1
        return classify_densely(self.classifier[:end], maps)

    def activations(self, layer: str) -> int:
        """Return the number D of activations of a layer per position.

        Raises:
            InputError: :meth:`activation_map` does not support the layer.
        """
        if layer not in table.FEATURE_LAYERS:
            raise InputError(
                f"layer must be one of {', '.join(table.FEATURE_LAYERS)}, got {layer!r} instead"
                f"{did_you_mean(layer, table.FEATURE_LAYERS)}"
            )
        units = table.CHANNELS[-1] if layer == "pool5" else self.hidden
        return table.scaled(units, self.width)

    def feature_map(self, x: Tensor, *, pixels: int | None = None) -> Tensor:
        """Return the output of the five blocks of convolutions, (N, C', H/32, W/32).

        For ``pixels``, see :meth:`score_map`.

        Raises:
            SizeError: The images are smaller than ``input_size`` or not (N, C, H, W).
        """
        self.check_pictures(x)
        if pixels is None:
            return cast(Tensor, self.features(x))
        return map_in_strips(
            self.features, x, stride=table.STRIDE, field=self._receptive_field, pixels=pixels
        )

    def check_pictures(self, x: Tensor) -> None:
        """Raise an error for images of an invalid shape.

        Raises:
            SizeError: The images are smaller than ``input_size`` or not (N, C, H, W).
        """
        if x.dim() != 4 or x.shape[1] != self.channels:
            raise SizeError(
                f"net {self.name} reads images of shape (N, {self.channels}, H, W), "
                f"got {tuple(x.shape)} instead"
            )
        height, width = x.shape[-2:]
        if min(height, width) < self.input_size:
            raise SizeError(
                f"the image is {height}x{width} pixels (height x width), but net {self.name} "
                f"was made for at least {self.input_size}x{self.input_size}: rescale the image "
                f"so that its smallest side is {self.input_size} or more"
            )

    @cached_property
    def _receptive_field(self) -> int:
        return anatomy(self.name).receptive_field

    @property
    def final_map(self) -> int:
        """Side of the map after the last pool, for an image of exactly ``input_size``."""
        return table.final_map(self.input_size)

    def named_layers(self) -> Iterator[tuple[str, nn.Module]]:
        """Yield (name, module) of every layer in forward order."""
        yield from self.features.named_children()
        yield from self.classifier.named_children()

    def extra_repr(self) -> str:
        """Return name, classes and input size."""
        return f"{self.name}, classes={self.classes}, input_size={self.input_size}"


def vgg(
    name: str | int,
    num_classes: int | None = None,
    *,
    batch_norm: bool | None = None,
    input_size: int = 224,
    channels: int = 3,
    width: float = 1.0,
    hidden: int = table.HIDDEN,
    dropout: float = 0.5,
    classes: int | None = None,
    norm: str | None = None,
    **unknown: Never,
) -> VGG:
    """Create one of the paper's six nets with He initialisation, ready to train.

    Args:
        name: Column of Table 1, ``A``, ``A-LRN``, ``B``, ``C``, ``D`` or ``E``, or an alias from
            other libraries: ``vgg16`` is D, ``vgg16_bn`` is D with ``batch_norm``.
        num_classes: Number of classes K; None means 1000.
        batch_norm: Whether batch normalisation follows every convolution (not in the paper); None
            means as implied by ``name``.
        input_size: Side in pixels of the square images for which the fully connected layers are
            made, at least 32. Larger images use the dense form.
        channels: Channels of the images.
        width: Factor on the channels of every convolution and on ``hidden``, for small machines.
        hidden: Units of the two hidden fully connected layers, before ``width``.
        dropout: Share of these units dropped in training.
        classes: Alias of ``num_classes``.
        norm: ``"batch"`` is an alias of ``batch_norm=True``.
        unknown: Unknown keywords, which raise an error with a suggestion.

    Raises:
        InputError: The net, norm or keyword is unknown, or two keywords contradict each other.
        SizeError: ``input_size`` is below 32.

    >>> import torch
    >>> net = vgg("A", num_classes=37, input_size=64, width=0.125)
    >>> net(torch.zeros(2, 3, 64, 64)).shape
    torch.Size([2, 37])
    >>> net.score_map(torch.zeros(2, 3, 96, 128)).shape
    torch.Size([2, 37, 2, 3])
    """
    refuse_unknown(unknown)
    known = known_as(name)
    count = one_of(num_classes, classes, "num_classes", "classes")
    batch = None if norm is None else norm == "batch"
    batch = one_of(batch_norm, batch, "batch_norm", "norm")
    if batch is None:
        batch = known is not None and known.batch_norm
    net = VGG(
        known.name if known else str(name),
        1000 if count is None else count,
        input_size=input_size,
        channels=channels,
        width=width,
        hidden=hidden,
        dropout=dropout,
        norm=norm or ("batch" if batch else None),
    )
    initialize(net)
    return net


def _sequence(layers: Iterable[table.Layer], dropout: float = 0.0) -> nn.Sequential:
    return nn.Sequential(OrderedDict((layer.name, _module(layer, dropout)) for layer in layers))


def _module(layer: table.Layer, dropout: float) -> nn.Module:
    match layer.kind:
        case "conv":
            # Padding keeps the size: 1 for 3x3, none for the 1x1 convolutions of net C.
            return nn.Conv2d(layer.inputs, layer.outputs, layer.kernel, padding=layer.kernel // 2)
        case "norm":
            return nn.BatchNorm2d(layer.outputs)
        case "relu":
            return nn.ReLU()
        case "lrn":
            # Krizhevsky's k=2, n=5, alpha=1e-4, beta=0.75; PyTorch divides the sum by its size.
            return nn.LocalResponseNorm(size=5, alpha=5e-4, beta=0.75, k=2.0)
        case "pool":
            return nn.MaxPool2d(layer.kernel, layer.stride)
        case "fc":
            return nn.Linear(layer.inputs, layer.outputs)
        case "dropout":
            return nn.Dropout(dropout)
