"""Weights as a file of any framework holds them, before they become a net of this package.

O outputs, I inputs, h, w sides of a kernel, D numbers that a fully connected layer reads.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any, Literal, NamedTuple

from torch import Tensor

Flatten = Literal["chw", "hwc"]
"""Order in which a map is flattened for the first fully connected layer."""

MOST_VALUES = 2**28
"""Most numbers that a file of weights may hold (net E has 143,667,240): 1 GiB in float32."""

Family = Literal["torchvision", "timm", "keras", "caffe", "matconvnet", "onnx"]
"""Frameworks whose habits of preprocessing are known."""


@dataclass(frozen=True, eq=False)
class BatchNorm:
    """A batch normalisation after a convolution; all tensors are (O,).

    Attributes:
        scale: Learned factor, γ.
        shift: Learned offset, β.
        mean: Running mean.
        variance: Running variance.
        epsilon: Added to the variance.
    """

    scale: Tensor
    shift: Tensor
    mean: Tensor
    variance: Tensor
    epsilon: float = 1e-5


@dataclass(frozen=True, eq=False)
class SourceLayer:
    """A convolution or fully connected layer, with weights laid out as in PyTorch.

    Attributes:
        name: Name of the layer in the file.
        weight: Weights, float, (O, I, h, w) of a convolution (no flipped kernels), (O, D) of a
            fully connected layer. Inputs of ``conv1_1`` are in the order of the source's channels.
        bias: Biases, float (O,), or None.
        norm: Batch normalisation that follows, or None.
        flatten: Order of the D inputs, if the layer reads a flattened map.
    """

    name: str
    weight: Tensor
    bias: Tensor | None = None
    norm: BatchNorm | None = None
    flatten: Flatten = "chw"

    @property
    def is_convolution(self) -> bool:
        """Whether the layer is stored as a convolution (of any kernel)."""
        return self.weight.dim() == 4

    @property
    def broken(self) -> int:
        """How many of its numbers are NaN or infinite."""
        norm = self.norm
        more = (norm.scale, norm.shift, norm.mean, norm.variance) if norm else ()
        return sum(map(_broken, (self.weight, self.bias, *more)))

    def __str__(self) -> str:
        return f"{self.name} ({'x'.join(f'{side:,}' for side in self.weight.shape)})"


def _broken(values: Tensor | None) -> int:
    """Count what is not finite; both ends tell that nothing is, which takes no memory."""
    if values is None or not values.numel() or all(end.isfinite() for end in values.aminmax()):
        return 0
    return values.numel() - int(values.isfinite().sum())


class Fact(NamedTuple):
    """Something taken for granted about a source, and the reason.

    Attributes:
        value: The fact.
        how: How it is known, in a few words.
    """

    value: Any
    how: str


FACTS = ("channels", "mean", "std", "resize", "interpolation", "classes")
"""What must be known of a source besides its weights.

- ``channels``: ``"rgb"`` or ``"bgr"``.
- ``mean``, ``std``: (red, green, blue), 0 to 255, whatever the order of channels; pixels become
  (RGB - mean) / std.
- ``resize``: Smallest side of an image before the central crop, in pixels; 0 for "squashed to the
  input size".
- ``interpolation``: ``"bilinear"`` or ``"bicubic"``.
- ``classes``: ``"ilsvrc"`` for ImageNet's 1,000 classes in the order of their WordNet ids, else
  ``"unknown"``.
"""


@dataclass(frozen=True, eq=False)
class SourceFile:
    """Everything read from a file of weights.

    Attributes:
        format: The format in words, as in ``Keras 3 model (.keras)``.
        family: Framework whose habits fill in what the file does not say.
        layers: Convolutions and fully connected layers in forward order; normalisations belong to
            the convolution before them.
        facts: What the file itself says, by the names in :data:`FACTS`.
        classes: Names of the classes in the order of the outputs, if the file lists them.
        input_size: Side of the images that the file was made for, in pixels, if it says so.
        lrn: Whether a local response normalisation follows the first convolution; None if the file
            does not tell.
        convolutional: Number of layers, from the first, that are convolutions of maps which keep
            their size; None if the file does not tell.
        pools: Number of layers before each 2x2 max-pool with stride 2; None if the file does not
            tell.
        head_fault: What makes the scores others than those of the layers with ReLU between the
            fully connected ones, as a line for the report; None if there is nothing.
        ignored: Tensors or nodes that are neither, as lines for the report.
    """

    format: str
    family: Family
    layers: tuple[SourceLayer, ...]
    facts: Mapping[str, Fact] = field(default_factory=dict)
    classes: tuple[str, ...] | None = None
    input_size: int | None = None
    lrn: bool | None = None
    convolutional: int | None = None
    pools: tuple[int, ...] | None = None
    head_fault: str | None = None
    ignored: tuple[str, ...] = ()
