"""What training, tests, inspection and localization ask of a net.

N images, C channels, H height, W width, K classes; h, w: sides of a score map.
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Iterator
from typing import Any

from torch import Tensor, nn

from verydeep.errors import ModelError, SizeError
from verydeep.nets.anatomy import Anatomy
from verydeep.nets.dimensions import INPUT_WORDS, times

NO_HEAD = (
    "this model has convolutions but no fully connected layers, so it knows no classes: train "
    "them with the recipe transfer, with this model to begin from; features of pool5 and the "
    "drawings of its layers need none"
)


class Net(nn.Module, ABC):
    """A net that classifies images of at least one size, and larger ones densely.

    Attributes:
        name: Name of the net.
        num_classes: Outputs of the last layer, K.
        input_size: Side of the smallest image, in pixels.
        channels: Channels of the images, C.
        dimensions: Axes of space: 2 for images, 3 for volumes.
        stride: Image pixels between neighbouring positions of a score map.
        features: The convolutional part.
        classifier: The part after it, of which the last module gives the K outputs.
        any_size: Whether larger images are classified densely; else all are of ``input_size``.
        divisible: Whether a unit has the same value from its receptive field alone, cut off at
            multiples of its stride.
        last_map: Name of the output of ``features``.
    """

    name: str
    num_classes: int
    input_size: int
    channels: int
    dimensions: int = 2
    stride: int
    features: nn.Sequential
    classifier: nn.Sequential
    any_size: bool = True
    divisible: bool = True
    last_map: str = "pool5"

    @abstractmethod
    def score_map(self, x: Tensor, *, pixels: int | None = None) -> Tensor:
        """Return scores (N, K, h, w) at every position of the net on images (N, C, H, W).

        Args:
            x: Images with H, W ≥ ``input_size``.
            pixels: Pixels of all images that may go through the convolutions at once; more are
                computed in parts. None sets no bound.
        """

    @abstractmethod
    def activation_map(self, x: Tensor, layer: str, *, pixels: int | None = None) -> Tensor:
        """Return the dense activations (N, D, h, w) of a layer that describes images."""

    def scores_and_activations(
        self, x: Tensor, layer: str, *, pixels: int | None = None
    ) -> tuple[Tensor, Tensor]:
        """Return :meth:`score_map` and :meth:`activation_map`, from one pass if possible."""
        scores = self.score_map(x, pixels=pixels)
        return scores, self.activation_map(x, layer, pixels=pixels)

    @abstractmethod
    def activations(self, layer: str) -> int:
        """Return the number D of activations of such a layer.

        Raises:
            InputError: The net has no such layer.
        """

    @property
    @abstractmethod
    def feature_layers(self) -> tuple[str, ...]:
        """Layers whose activations describe images, deepest first."""

    @abstractmethod
    def anatomy(self) -> Anatomy:
        """Return sizes, weights and receptive fields, layer by layer."""

    @abstractmethod
    def settings(self) -> dict[str, Any]:
        """Return the settings to build the same net with, without the number of classes."""

    @property
    def density(self) -> str:
        """The dense form in words."""
        return "fully connected layers at every position of the last map"

    @property
    def block_ends(self) -> tuple[str, ...]:
        """Last layer of each block of convolutions."""
        return ("pool1", "pool2", "pool3", "pool4", "pool5")

    @property
    def shown_layers(self) -> tuple[str, ...]:
        """Layers to show by default: the ends of blocks, the penultimate layer, the scores."""
        return (*self.block_ends, "relu7", *self.score_layer)

    @property
    def score_layer(self) -> tuple[str, ...]:
        """Name of the layer that gives the scores; none without classes."""
        return tuple(name for name, _ in self.classifier.named_children())[-1:]

    @property
    def convolutions(self) -> dict[str, str]:
        """For each convolution, the layer that gives its maps after the activation."""
        names = (name for name, _ in self.features.named_children())
        return {name: name.replace("conv", "relu") for name in names if name.startswith("conv")}

    @property
    def final_map(self) -> int:
        """Side of the last feature map for an image of exactly ``input_size``."""
        return self.input_size // self.stride

    def map_size(self, *sides: int) -> tuple[int, ...]:
        """Return the sides of the score map of an image (H, W), in positions."""
        return tuple(side // self.stride - self.final_map + 1 for side in sides)

    def named_layers(self) -> Iterator[tuple[str, nn.Module]]:
        """Yield (name, module) of every layer in forward order."""
        yield from self.features.named_children()
        yield from self.classifier.named_children()

    def check_head(self) -> None:
        """Refuse to compute scores if the net has none.

        Raises:
            ModelError: The net has convolutions only (``num_classes=0``).
        """
        if not self.num_classes:
            raise ModelError(NO_HEAD)

    def check_dense(self, what: str) -> None:
        """Refuse something that needs the dense form if the net has none.

        Args:
            what: What needs it, as the begin of a sentence.

        Raises:
            ModelError: The net takes images of one size only.
        """
        if not self.any_size:
            size = f"{self.input_size}x{self.input_size}"
            raise ModelError(
                f"{what} needs the dense form, which net {self.name} does not have: it takes "
                f"images of exactly {size} pixels"
            )

    def check_pictures(self, x: Tensor) -> None:
        """Refuse images that the net cannot read.

        Raises:
            SizeError: The images are smaller than ``input_size``, or no (N, C, H, W); volumes
                likewise, (N, C, D, H, W).
        """
        words = INPUT_WORDS[self.dimensions]
        if x.dim() != 2 + self.dimensions or x.shape[1] != self.channels:
            raise SizeError(
                f"net {self.name} reads {words.thing}s of shape (N, {self.channels}, "
                f"{words.axes}), got {tuple(x.shape)} instead"
            )
        sides = x.shape[2:]
        if min(sides) < self.input_size:
            raise SizeError(
                f"the {words.thing} is {times(sides)} {words.unit} ({words.order}), but net "
                f"{self.name} was made for at least {times([self.input_size] * len(sides))}: "
                f"rescale the {words.thing} so that its smallest side is {self.input_size} or more"
            )
