"""Which pixels a class score hangs on: four answers, all through Captum.

The scalar asked about is always the class score before the softmax, averaged over the positions of
the net, as the dense test does it; for an image of the net's input size there is but one. All is
computed in float32, but for occlusion, which only looks and may do so in the model's own precision.

======================  ==========================================================================
saliency                |∂score/∂pixel|, the largest of the three colours (Simonyan, Vedaldi &
                        Zisserman 2013, section 3)
guided backpropagation  the same gradient, but every ReLU passes back only what is positive
                        (Springenberg et al. 2014)
Grad-CAM                ReLU(Σₖ αₖ Aₖ) of the maps Aₖ of a convolution, αₖ the mean of ∂score/∂Aₖ
                        over the map (Selvaraju et al. 2017)
occlusion               how far the score falls when a window is painted over in the training set's
                        mean colour (Zeiler & Fergus 2013)
======================  ==========================================================================

H, W sides of the image in pixels; h, w sides of a convolution's maps.
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
from verydeep.inspection.subject import Subject
from verydeep.nets.vgg import VGG

Measure = Literal["score", "probability"]

WINDOWS_A_SIDE = 4
"""Windows of an occlusion that fit beside each other on a square image, if nothing is said."""


def saliency(subject: Subject) -> Tensor:
    """Return how strongly the class score hangs on every pixel (Simonyan et al. 2013).

    |∂score/∂pixel|, the largest of the three colours, in scores per grey level (0 to 255).

    Returns:
        float32 (H, W), none negative, on the CPU.

    Raises:
        MissingExtra: Captum is not installed.
    """
    method = _captum().Saliency(Scores(subject.model))
    gradient = method.attribute(_picture(subject), target=subject.label)
    return cast(Tensor, gradient[0]).amax(0).cpu()


def guided_backpropagation(subject: Subject) -> Tensor:
    """Return the gradient of the class score through positive gradients alone (Springenberg 2014).

    Every ReLU, those of the fully connected layers too, passes back what is positive both in its
    input and in the gradient. That is no gradient of anything, and in scores per grey level only
    by its unit; it draws the edges of what the net looks at.

    Returns:
        float32 (3, H, W), signed, red, green and blue, on the CPU.

    Raises:
        MissingExtra: Captum is not installed.
    """
    method = _captum().GuidedBackprop(Scores(subject.model))
    with warnings.catch_warnings():
        # That hooks are set, and will be removed: they are, and from modules of our own.
        warnings.filterwarnings("ignore", "Setting backward hooks on ReLU")
        gradient = method.attribute(_picture(subject), target=subject.label)
    return cast(Tensor, gradient[0]).cpu()


@dataclass(frozen=True, eq=False)
class ClassMap:
    """What :func:`grad_cam` found.

    Attributes:
        layer: The convolution.
        cells: float32 (h, w), a value for every position of its maps, in scores: its part in
            Σ αₖ Aₖ, or 0 where that is negative.
        heat: float32 (H, W), the same brought to the image's size.
        stride: Pixels of the image from one cell to the next.
    """

    layer: str
    cells: Tensor
    heat: Tensor
    stride: int


def grad_cam(subject: Subject, layer: str | None = None) -> ClassMap:
    """Return where the maps of a convolution speak for the class (Selvaraju et al. 2017).

    The maps are those behind the convolution's ReLU. Between the cells the values are interpolated
    bilinearly, each cell standing in the middle of the pixels that were pooled into it; pixels at
    the lower and right edge that fill no cell have the value of the last.

    Args:
        subject: Image, net and class.
        layer: A convolution such as ``conv4_3``; None takes the last.

    Raises:
        InputError: The net has no such convolution.
        MissingExtra: Captum is not installed.
    """
    scores = Scores(subject.model)
    name = check_convolution(scores.net, layer)
    module = scores.net.features.get_submodule(name.replace("conv", "relu"))
    method = _captum().LayerGradCam(scores, module)
    found = method.attribute(_picture(subject), target=subject.label, relu_attributions=True)
    cells = cast(Tensor, found)[0, 0].detach().cpu()
    height, width = subject.pixels.shape[-2:]
    stride = 2 ** (int(name[len("conv")]) - 1)
    return ClassMap(name, cells, spread(cells, stride, height, width), stride)


def check_convolution(net: VGG, layer: str | None) -> str:
    """Return the name of a convolution of a net; None stands for the last.

    Raises:
        InputError: There is none of that name.
    """
    known = [name for name, _ in net.features.named_children() if name.startswith("conv")]
    if layer is None:
        return known[-1]
    if layer not in known:
        raise InputError(
            f"layer must be a convolution of net {net.name}, one of {', '.join(known)}; "
            f"got {layer!r} instead{did_you_mean(layer, known)}"
        )
    return layer


def spread(cells: Tensor, stride: int, height: int, width: int) -> Tensor:
    """Return a map of a layer at the size of the image.

    Args:
        cells: (h, w), a value for every ``stride`` x ``stride`` pixels.
        stride: Pixels.
        height: Of the image, at least h·stride.
        width: Of the image, at least w·stride.

    Returns:
        (height, width).
    """
    h, w = (side * stride for side in cells.shape)
    size = cells[None, None].float()
    heat = F.interpolate(size, (h, w), mode="bilinear", align_corners=False)
    return F.pad(heat, (0, width - w, 0, height - h), mode="replicate")[0, 0]


@dataclass(frozen=True, eq=False)
class Occlusion:
    """What :func:`occlusion` found.

    Attributes:
        heat: float32 (H, W): how far the class falls when this pixel is hidden, the mean over all
            windows that hide it; negative where hiding helps the class.
        window: Side of the windows, in pixels.
        stride: From one window to the next, in pixels.
        measure: What falls, ``score`` or ``probability``.
        whole: The same of the whole image.
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
    """Return how far the class falls when a part of the image is hidden (Zeiler & Fergus 2013).

    A square window, painted in the training set's mean colour (which the net reads as 0), is moved
    over the image. If the last windows of a line do not fit, they reach beyond the edge and hide
    less. Any class may be asked about; if its score falls, the others may fall as well, so the
    score says what speaks for the class, and the probability what decides for it.

    Args:
        subject: Image, net and class.
        window: Side of the window in pixels; None takes a quarter of the side of a square as large
            as the image, so that about fifty windows cover images of any size.
        stride: From one window to the next, in pixels, 1 to ``window``; None takes half of it.
        measure: What falls: the ``score`` before the softmax, averaged over the positions, or the
            ``probability``, the softmax of these averages, which does not fall as long as the net
            is sure.

    Raises:
        InputError: A number is out of its range, or there is no such measure.
        MissingExtra: Captum is not installed.
    """
    height, width = subject.pixels.shape[-2:]
    window, stride = check_windows(height, width, window, stride)
    if measure not in get_args(Measure):
        raise InputError(f"measure must be score or probability, got {measure!r} instead")
    model, pixels = subject.model, subject.pixels[None].float()

    def answer(shown: Tensor) -> Tensor:
        # Preprocessing works in place on what is a float already.
        scores = model.score_map(shown.clone()).mean((2, 3))
        return (scores if measure == "score" else scores.softmax(1)).cpu()

    found = (
        _captum()
        .Occlusion(answer)
        .attribute(
            pixels,
            target=subject.label,
            sliding_window_shapes=(3, window, window),
            strides=(3, stride, stride),
            baselines=torch.tensor(model.preprocessing.mean).view(1, 3, 1, 1).expand_as(pixels),
            perturbations_per_eval=max(1, model.pixels_at_once // (height * width)),
        )
    )
    whole = float(answer(pixels)[0, subject.label])
    return Occlusion(cast(Tensor, found)[0, 0].float(), window, stride, measure, whole)


def check_windows(
    height: int, width: int, window: int | None, stride: int | None
) -> tuple[int, int]:
    """Return side and step of an occlusion's windows, in pixels; see :func:`occlusion`.

    Raises:
        InputError: A number is out of its range.

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
    """Return the image as a batch that gradients reach."""
    return subject.pixels[None].float().requires_grad_()


def _captum() -> Any:
    try:
        return importlib.import_module("captum.attr")
    except ImportError as error:
        raise MissingExtra("attributing a score to pixels (Captum)", "insight") from error
