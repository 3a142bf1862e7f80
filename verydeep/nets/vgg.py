"""The six networks as PyTorch modules.

N images, C channels, H height, W width, K classes; h, w: sides of a score map.
"""

from __future__ import annotations

from collections import OrderedDict
from collections.abc import Iterable
from functools import cached_property
from typing import Any, Never, cast

from torch import Tensor, nn

from verydeep.errors import InputError, did_you_mean
from verydeep.nets import table
from verydeep.nets.anatomy import Anatomy
from verydeep.nets.anatomy import anatomy as table_anatomy
from verydeep.nets.dense import average_scores, classify_densely, classify_through
from verydeep.nets.initialize import initialize
from verydeep.nets.interface import Net
from verydeep.nets.keywords import refuse_unknown
from verydeep.nets.local_norm import LocalResponseNorm
from verydeep.nets.names import check_name, known_as
from verydeep.nets.spatial import batch_norm, convolution, max_pool
from verydeep.nets.tiling import map_in_strips


class VGG(Net):
    """One of the nets A, A-LRN, B, C, D, E (Table 1 of the paper), or B-5x5 (section 4.1).

    ``features`` holds the five blocks of convolutions, ``classifier`` the three fully connected
    layers, named as in the authors' release (``features.conv3_2``, ``classifier.fc6``). There is no
    adaptive pooling: larger images use the dense form, as in the paper. ReLUs are not in place, so
    that all intermediate maps can be inspected.

    Use :func:`vgg` to create and initialise a net.
    """

    def __init__(
        self,
        name: str,
        num_classes: int = 1000,
        *,
        batch_norm: bool = False,
        input_size: int = 224,
        channels: int = 3,
        width: float = 1.0,
        hidden: int = table.HIDDEN,
        dropout: float = 0.5,
        dimensions: int = 2,
    ) -> None:
        super().__init__()
        self.name = check_name(name)
        table.check_sizes(
            num_classes=num_classes,
            channels=channels,
            width=width,
            hidden=hidden,
            dimensions=dimensions,
        )
        self.num_classes = num_classes
        self.stride = table.STRIDE
        self.input_size = input_size
        self.channels = channels
        self.width = width
        self.hidden = hidden
        self.dropout = dropout
        self.dimensions = dimensions
        self.batch_norm = batch_norm
        self.features = _sequence(
            table.convolutional_layers(
                self.name, channels=channels, width=width, batch_norm=batch_norm
            ),
            dimensions=dimensions,
        )
        self.classifier = _sequence(
            table.fully_connected_layers(
                num_classes,
                input_size=input_size,
                width=width,
                hidden=hidden,
                dimensions=dimensions,
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
        self.check_head()
        return average_scores(self.classifier, self.feature_map(x), self.final_map)

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
        self.check_head()
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
        return classify_densely(self.classifier[: self._end_of(layer)], maps)

    def scores_and_activations(
        self, x: Tensor, layer: str, *, pixels: int | None = None
    ) -> tuple[Tensor, Tensor]:
        """Return :meth:`score_map` and :meth:`activation_map` from one pass."""
        self.check_head()
        self.activations(layer)
        maps = self.feature_map(x, pixels=pixels)
        if layer == "pool5":
            return classify_densely(self.classifier, maps), maps
        return classify_through(self.classifier, self._end_of(layer), maps)

    def _end_of(self, layer: str) -> int:
        """Return the number of fully connected layers up to one, with its ReLU."""
        names = [name for name, _ in self.classifier.named_children()]
        return names.index(layer.replace("fc", "relu")) + 1

    def activations(self, layer: str) -> int:
        """Return the number D of activations of a layer per position.

        Raises:
            InputError: :meth:`activation_map` does not support the layer.
        """
        known = self.feature_layers
        if layer not in known:
            raise InputError(
                f"layer must be one of {', '.join(known)}, got {layer!r} instead"
                f"{did_you_mean(layer, known)}"
            )
        units = table.CHANNELS[-1] if layer == "pool5" else self.hidden
        return table.scaled(units, self.width)

    @property
    def feature_layers(self) -> tuple[str, ...]:
        """Layers whose activations describe images, deepest first; ``pool5`` in every net."""
        hidden = self.hidden and self.num_classes
        return table.FEATURE_LAYERS if hidden else table.FEATURE_LAYERS[-1:]

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
            self.features,
            x,
            stride=table.STRIDE,
            field=self._receptive_field,
            pixels=pixels,
        )

    def anatomy(self) -> Anatomy:
        """Return sizes, weights and receptive fields, layer by layer."""
        sizes = {name: value for name, value in self.settings().items() if name != "dropout"}
        return table_anatomy(num_classes=self.num_classes, **sizes)

    @cached_property
    def _receptive_field(self) -> int:
        return self.anatomy().receptive_field

    def settings(self) -> dict[str, Any]:
        """Return the settings to build the same net with, without the number of classes."""
        names = ("name", "batch_norm", "input_size", "channels", "width", "hidden", "dropout")
        space = {} if self.dimensions == 2 else {"dimensions": self.dimensions}
        return {name: getattr(self, name) for name in names} | space

    def extra_repr(self) -> str:
        """Return name, classes and input size."""
        return f"{self.name}, num_classes={self.num_classes}, input_size={self.input_size}"


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
    dimensions: int = 2,
    **unknown: Never,
) -> VGG:
    """Create one of the paper's six nets with He initialisation, ready to train.

    Args:
        name: Column of Table 1, ``A``, ``A-LRN``, ``B``, ``C``, ``D`` or ``E``; ``B-5x5``, net B
            with one 5x5 convolution in place of each pair of 3x3; or an alias from other
            libraries: ``vgg16`` is D, ``vgg16_bn`` is D with ``batch_norm``.
        num_classes: Number of classes K; None means 1000, 0 the convolutions alone.
        batch_norm: Whether batch normalisation follows every convolution (not in the paper); None
            means as implied by ``name``.
        input_size: Side in pixels of the square images for which the fully connected layers are
            made, at least 32. Larger images use the dense form.
        channels: Channels of the images.
        width: Factor on the channels of every convolution and on ``hidden``, for small machines.
        hidden: Units of the two hidden fully connected layers, before ``width``; 0 means that one
            layer reads the last map directly (not in the paper).
        dropout: Share of these units dropped in training.
        dimensions: 2 for images; 3 for volumes (N, C, D, H, W), with cubes for the squares of
            every kernel and pool (not in the paper).
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
    >>> solid = vgg("A", num_classes=4, input_size=32, channels=1, width=0.125, dimensions=3)
    >>> solid.score_map(torch.zeros(1, 1, 32, 64, 32)).shape
    torch.Size([1, 4, 1, 2, 1])
    """
    refuse_unknown(unknown)
    known = known_as(name)
    if known and known.name not in table.COLUMNS:
        raise InputError(
            f"net {known.name} is none of the paper's: make it with verydeep.{known.name}()"
        )
    named = known is not None and known.batch_norm
    if named and batch_norm is False:
        raise InputError(
            f"{name!r} has batch normalisation, and batch_norm is False: leave out one"
        )
    batch_norm = named if batch_norm is None else batch_norm
    net = VGG(
        known.name if known else str(name),
        1000 if num_classes is None else num_classes,
        batch_norm=batch_norm,
        input_size=input_size,
        channels=channels,
        width=width,
        hidden=hidden,
        dropout=dropout,
        dimensions=dimensions,
    )
    initialize(net)
    return net


def _sequence(
    layers: Iterable[table.Layer], dropout: float = 0.0, dimensions: int = 2
) -> nn.Sequential:
    modules = ((layer.name, _module(layer, dropout, dimensions)) for layer in layers)
    return nn.Sequential(OrderedDict(modules))


def _module(layer: table.Layer, dropout: float, dimensions: int) -> nn.Module:
    match layer.kind:
        case "conv":
            return convolution(layer.inputs, layer.outputs, layer.kernel, dimensions)
        case "norm":
            return batch_norm(layer.outputs, dimensions)
        case "relu":
            return nn.ReLU()
        case "lrn":
            # Krizhevsky's k=2, n=5, alpha=1e-4, beta=0.75; PyTorch divides the sum by its size.
            return LocalResponseNorm(size=5, alpha=5e-4, beta=0.75, k=2.0)
        case "pool":
            return max_pool(layer.kernel, layer.stride, dimensions)
        case "fc":
            return nn.Linear(layer.inputs, layer.outputs)
        case "dropout":
            return nn.Dropout(dropout)
        case "tanh" | "composite":
            raise AssertionError(f"{layer.name}: no layer of Table 1")
