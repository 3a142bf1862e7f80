"""Attribution of a class score to the pixels, by four methods from Captum.

The explained scalar is the class score before the softmax, averaged over the positions of the net
as in the dense test. Computation is in float32, except for occlusion, which needs no gradients and
uses the model's precision.

======================  ==========================================================================
saliency                |∂score/∂pixel|, maximum over the three colours (Simonyan, Vedaldi &
                        Zisserman 2013, section 3)
guided backpropagation  the same gradient, but every ReLU passes back positive values only
                        (Springenberg et al. 2014)
Grad-CAM                ReLU(Σₖ αₖ Aₖ) of the maps Aₖ of a convolution, αₖ the mean of ∂score/∂Aₖ
                        over the map (Selvaraju et al. 2017)
occlusion               drop of the score when a window is filled with the training set's mean
                        colour (Zeiler & Fergus 2013)
======================  ==========================================================================

H, W: sides of the image in pixels; h, w: sides of a convolution's maps.
"""

from __future__ import annotations

import importlib
import math
import warnings
from dataclasses import dataclass
from typing import Any, Literal, cast, get_args

import torch
from torch import Tensor
from torch.nn import functional as F

from verydeep.errors import InputError, MissingExtra, did_you_mean
from verydeep.inspection.differentiable import Scores
from verydeep.inspection.layers import parts_of
from verydeep.inspection.subject import Subject, probabilities_of
from verydeep.nets.interface import Net

Measure = Literal["score", "probability"]

WINDOWS_A_SIDE = 4
"""Default number of adjacent occlusion windows per side of a square image."""


def saliency(subject: Subject) -> Tensor:
    """Return the saliency map of the class score (Simonyan et al. 2013).

    It is |∂score/∂pixel|, maximum over the three colours, in score per grey level (0 to 255).

    Returns:
        Non-negative map, float32 (H, W), or (D, H, W) of a volume, on the CPU.

    Raises:
        MissingExtra: Captum is not installed.
    """
    method = _captum().Saliency(Scores(subject.model))
    gradient = method.attribute(_picture(subject), target=subject.label)
    return cast(Tensor, gradient[0]).amax(0).cpu()


def guided_backpropagation(subject: Subject) -> Tensor:
    """Return the guided backpropagation of the class score (Springenberg et al. 2014).

    Every ReLU, including those of the fully connected layers, passes back a gradient only where
    both its input and the gradient are positive. The result is not a true gradient; it shows edges.

    Returns:
        Signed map, float32 (3, H, W), RGB, on the CPU.

    Raises:
        MissingExtra: Captum is not installed.
    """
    method = _captum().GuidedBackprop(Scores(subject.model))
    with warnings.catch_warnings():
        # Captum warns about hooks, which it removes again and which only affect our copy.
        warnings.filterwarnings("ignore", "Setting backward hooks on ReLU")
        gradient = method.attribute(_picture(subject), target=subject.label)
    return cast(Tensor, gradient[0]).cpu()


@dataclass(frozen=True, eq=False)
class ClassMap:
    """Result of :func:`grad_cam`.

    Attributes:
        layer: Name of the convolution.
        cells: Σ αₖ Aₖ at every position of its maps, clipped at 0, float32 (h, w); of a volume
            (d, h, w).
        heat: The same at the size of the image, float32 (H, W), or (D, H, W).
        stride: Image pixels between adjacent cells.
    """

    layer: str
    cells: Tensor
    heat: Tensor
    stride: int


def grad_cam(subject: Subject, layer: str | None = None) -> ClassMap:
    """Return the Grad-CAM map of a convolution (Selvaraju et al. 2017).

    The maps are taken after the convolution's ReLU. Values are interpolated bilinearly between cell
    centres; pixels at the lower and right edge beyond the last whole cell repeat its value.

    Args:
        subject: Image, net and class.
        layer: A convolution such as ``conv4_3``; None means the last.

    Raises:
        InputError: The net has no such convolution.
        MissingExtra: Captum is not installed.
    """
    scores = Scores(subject.model)
    name = check_convolution(scores.net, layer)
    module = scores.net.features.get_submodule(scores.net.convolutions[name])
    method = _captum().LayerGradCam(scores, module)
    maps = method.attribute(_picture(subject), target=subject.label, relu_attributions=True)
    cells = cast(Tensor, maps)[0, 0].detach().cpu()
    stride = next(part.stride for part in parts_of(subject.model.net) if part.layer.name == name)
    return ClassMap(name, cells, spread(cells, stride, *subject.pixels.shape[1:]), stride)


def check_convolution(net: Net, layer: str | None) -> str:
    """Return the name of a convolution of a net; None means the last.

    Raises:
        InputError: The net has no such convolution.
    """
    known = [*net.convolutions]
    if layer is None:
        return known[-1]
    if layer not in known:
        raise InputError(
            f"layer must be a convolution of net {net.name}, one of {', '.join(known)}; "
            f"got {layer!r} instead{did_you_mean(layer, known)}"
        )
    return layer


def spread(cells: Tensor, stride: int, *sides: int) -> Tensor:
    """Return a layer's map enlarged to the size of the image.

    Args:
        cells: Map (h, w) with one value per ``stride`` x ``stride`` pixels; (d, h, w) of a volume.
        stride: Pixels per cell.
        sides: Height and width of the image; D, H and W of a volume. The map is cut off where it
            extends beyond.

    Returns:
        Map of these sides.
    """
    covered = [side * stride for side in cells.shape]
    mode = "trilinear" if cells.dim() == 3 else "bilinear"
    heat = F.interpolate(cells[None, None].float(), covered, mode=mode, align_corners=False)
    beyond = [n for side, end in zip(sides, covered, strict=True) for n in (max(0, side - end), 0)]
    whole = F.pad(heat, beyond[::-1], mode="replicate")[0, 0]
    return whole[tuple(slice(side) for side in sides)]


@dataclass(frozen=True, eq=False)
class Occlusion:
    """Result of :func:`occlusion`.

    Attributes:
        heat: Mean drop over all windows that hide a pixel, float32 (H, W); negative where hiding
            helps the class.
        window: Side of the windows, in pixels.
        stride: Step between windows, in pixels.
        measure: ``score`` or ``probability``.
        whole: Score or probability of the whole image.
    """

    heat: Tensor
    window: int
    stride: int
    measure: Measure
    whole: float


def occlusion(
    subject: Subject,
    *,
    window: int | None = None,
    stride: int | None = None,
    measure: Measure = "score",
) -> Occlusion:
    """Return the drop of a class when a part of the image is hidden (Zeiler & Fergus 2013).

    A square window in the training set's mean colour (0 to the net) slides over the image; the last
    windows of a row may extend beyond the edge. The score shows evidence for the class; the
    probability also depends on the other classes, whose scores may drop as well.

    Args:
        subject: Image, net and class.
        window: Side of the window in pixels; None means a quarter of the side of a square with the
            area of the image, so that about fifty windows cover images of any size.
        stride: Step between windows in pixels, 1 to ``window``; None means half the window.
        measure: ``score``, before the softmax and averaged over the positions, or ``probability``,
            its softmax, which hardly drops while the net is confident.

    Raises:
        InputError: A number is out of range, or the measure is unknown.
        MissingExtra: Captum is not installed.
    """
    height, width = subject.pixels.shape[-2:]
    window, stride = check_windows(height, width, window, stride)
    if measure not in get_args(Measure):
        raise InputError(f"measure must be score or probability, got {measure!r} instead")
    model, pixels = subject.model, subject.pixels[None].float()

    def evaluate(images: Tensor) -> Tensor:
        # Preprocessing works in place on float tensors.
        scores = model.score_map(images.clone()).mean((2, 3))
        return (scores if measure == "score" else probabilities_of(model, scores)).cpu()

    drops = (
        _captum()
        .Occlusion(evaluate)
        .attribute(
            pixels,
            target=subject.label,
            sliding_window_shapes=(3, window, window),
            strides=(3, stride, stride),
            baselines=torch.tensor(model.preprocessing.mean).view(1, 3, 1, 1).expand_as(pixels),
            perturbations_per_eval=max(1, model.pixels_at_once // (height * width)),
        )
    )
    whole = float(evaluate(pixels)[0, subject.label])
    return Occlusion(cast(Tensor, drops)[0, 0].float(), window, stride, measure, whole)


def check_windows(
    height: int, width: int, window: int | None, stride: int | None
) -> tuple[int, int]:
    """Return side and step of the windows of an :func:`occlusion`, in pixels.

    Raises:
        InputError: A number is out of range.

    >>> check_windows(224, 224, None, None), check_windows(256, 384, None, None)
    ((56, 28), (78, 39))
    """
    shortest = min(height, width)
    if window is None:
        window = min(shortest, round(math.sqrt(height * width) / WINDOWS_A_SIDE))
    if not 1 <= window <= shortest:
        raise InputError(
            f"occlusion window must be 1 to {shortest} pixels, the image's shortest side; "
            f"got {window} instead"
        )
    if stride is None:
        stride = max(1, window // 2)
    if not 1 <= stride <= window:
        raise InputError(
            f"occlusion stride must be 1 to {window} pixels, the side of the window, so that every "
            f"pixel is hidden once; got {stride} instead"
        )
    return window, stride


def _picture(subject: Subject) -> Tensor:
    """Return the image as a batch that requires gradients."""
    return subject.pixels[None].float().requires_grad_()


def _captum() -> Any:
    try:
        return importlib.import_module("captum.attr")
    except ImportError as error:
        raise MissingExtra("attributing a score to pixels (Captum)", "insight") from error
