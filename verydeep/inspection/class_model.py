"""Class models: images that maximise a class score.

Simonyan, Vedaldi & Zisserman, "Deep Inside Convolutional Networks" (2013), section 2 ::

    maximise  S_c(I) − λ·‖I‖²

over preprocessed images I, where 0 is the training set's mean colour. S_c is the score before the
softmax: the probability would also rise if the scores of other classes fell. S_c is averaged over
the positions of the net, so the image may be larger than its input size.

The paper specifies neither the optimiser nor λ. Here each step follows the gradient with a given
root mean square in grey levels, which decreases linearly to 0.

Three departures give clearer images, and each can be turned off: every step uses a different shift
of the image (``jitter``; Mordvintsev et al. 2015), the image is smoothed every few steps (``blur``;
Yosinski et al. 2015), and colours are clipped to 0 to 255 (``bounded``), so that the shown image is
the scored one. Shifts and smoothing decrease to 0 with the step size, since the last steps could
not compensate for them. ``ASCENT_AS_PUBLISHED`` turns all three off.

H, W: sides of the image in pixels; K classes.
"""

from __future__ import annotations

from dataclasses import dataclass

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from verydeep.errors import InputError
from verydeep.inspection.differentiable import Scores
from verydeep.inspection.subject import probabilities_of
from verydeep.models.classifier import Classifier
from verydeep.system.progress import Progress


@dataclass(frozen=True, slots=True)
class Ascent:
    """Settings of the gradient ascent to a class model.

    Attributes:
        steps: Number of gradient steps.
        step: Root mean square of the first step, in grey levels.
        penalty: λ, in scores; ‖I‖² is divided by the number of values, so that λ does not depend on
            the size of the image.
        noise: Standard deviation of the initial image around the mean colour, in grey levels.
        jitter: Maximum random shift at the first step, in pixels; 0 for none.
        blur: Standard deviation of the smoothing at the first step, in pixels; 0 for none.
        blur_every: Steps between smoothings.
        bounded: Whether colours are clipped to 0 to 255.
        seed: Random seed of noise and shifts.
    """

    steps: int = 128
    step: float = 12.0
    penalty: float = 1.0
    noise: float = 8.0
    jitter: int = 4
    blur: float = 0.5
    blur_every: int = 4
    bounded: bool = True
    seed: int = 0


USUAL_ASCENT = Ascent()
"""Default settings."""

ASCENT_AS_PUBLISHED = Ascent(jitter=0, blur=0, bounded=False)
"""Settings without departures from the paper."""


@dataclass(frozen=True, eq=False)
class ClassModel:
    """Result of :func:`class_model`.

    Attributes:
        label: Class index.
        pixels: Image, uint8 (3, H, W), RGB, rounded and clipped to 0 to 255.
        scores: Class score before every step (of the shifted image) and at the end.
        score: Class score of ``pixels``.
        probability: Class probability of ``pixels``.
        ascent: Settings.
    """

    label: int
    pixels: Tensor
    scores: tuple[float, ...]
    score: float
    probability: float
    ascent: Ascent


def class_model(
    model: Classifier,
    label: int,
    *,
    size: tuple[int, int] | None = None,
    ascent: Ascent = USUAL_ASCENT,
    progress: Progress | None = None,
) -> ClassModel:
    """Return an image that maximises a class score.

    Args:
        model: The net; computation is in float32.
        label: Class index.
        size: Height and width of the image in pixels; None means the net's input size.
        ascent: Settings.
        progress: Progress reporter; None is silent.

    Raises:
        InputError: A number is out of range.
        SizeError: The image would be smaller than the net's input size.
    """
    check_ascent(ascent)
    if not 0 <= label < len(model.classes):
        raise InputError(f"class must be 0 to {len(model.classes) - 1}, got {label} instead")
    scores = Scores(model)
    climb = Climb(scores, ascent)
    x = climb.start(size or (model.input_size, model.input_size))
    trace = []
    with (progress or Progress()).task(
        f"class model of {model.title(label)}", ascent.steps
    ) as task:
        for number in range(ascent.steps):
            x, score = climb.take(x, label, number)
            trace.append(score)
            task.update(number + 1, f"score {score:.1f}")
    with torch.no_grad():
        trace.append(float(scores.net(x)[0, label]))
        pixels = scores.colours(x).round().clamp(0, 255).to(torch.uint8)
        (final,) = scores(pixels.float())
    probability = float(probabilities_of(model, final)[label])
    image = pixels[0].cpu().contiguous()
    return ClassModel(label, image, tuple(trace), float(final[label]), probability, ascent)


def objective(net: nn.Module, x: Tensor, label: int, penalty: float) -> tuple[Tensor, Tensor]:
    """Return the objective S_c(I) − λ·‖I‖²/n and the score S_c(I).

    Args:
        net: Maps images to scores (1, K).
        x: Preprocessed image I, (1, 3, H, W): n = 3·H·W values.
        label: Class c.
        penalty: λ.

    Returns:
        Two scalars.
    """
    score = net(x)[0, label]
    return score - penalty * x.square().mean(), score


def smooth(x: Tensor, std: float) -> Tensor:
    """Return images (N, C, H, W) smoothed by a Gaussian, truncated at three standard deviations.

    Args:
        x: Images; border pixels are replicated.
        std: Standard deviation in pixels; 0 for no smoothing.
    """
    from torchvision.transforms.v2.functional import gaussian_blur  # slow to import

    if not std:
        return x
    reach = max(1, round(3 * std))
    padded = F.pad(x, (reach, reach, reach, reach), "replicate")
    smoothed: Tensor = gaussian_blur(padded, [2 * reach + 1] * 2, [std] * 2)
    return smoothed[..., reach:-reach, reach:-reach].contiguous()


def check_ascent(ascent: Ascent) -> None:
    """Raise an error for invalid settings.

    Raises:
        InputError: A number is out of range.
    """
    least = {
        "steps": 1,
        "step": 0,
        "penalty": 0,
        "noise": 0,
        "jitter": 0,
        "blur": 0,
        "blur_every": 1,
    }
    for name, bound in least.items():
        value = getattr(ascent, name)
        if not value >= bound:
            raise InputError(
                f"{name} of a class model must be at least {bound}, got {value} instead"
            )


class Climb:
    """Gradient ascent from noise with a single seed.

    Args:
        scores: Preprocessing, device and class scores of a net.
        ascent: Settings.
        net: Maps preprocessed images to other values to maximise, (1, K); None means the scores.
    """

    def __init__(self, scores: Scores, ascent: Ascent, net: nn.Module | None = None) -> None:
        self.scores = scores
        self.ascent = ascent
        self.net = scores.net if net is None else net
        self.generator = torch.Generator().manual_seed(ascent.seed)

    def start(self, size: tuple[int, int]) -> Tensor:
        """Return the mean colour with noise, as a preprocessed image."""
        shape = (1, self.scores.channels, *size)
        noise = torch.randn(shape, generator=self.generator) * self.ascent.noise
        return self._bounded(noise.to(self.scores.device) / self.scores.divisor)

    def take(self, x: Tensor, label: int, number: int) -> tuple[Tensor, float]:
        """Take a step; return the new image and the score before the step."""
        ascent = self.ascent
        remaining = 1 - number / ascent.steps
        reach = round(ascent.jitter * remaining)
        dy, dx = torch.randint(-reach, reach + 1, (2,), generator=self.generator).tolist()
        moved = x.roll((dy, dx), (2, 3)).requires_grad_()
        value, score = objective(self.net, moved, label, ascent.penalty)
        (gradient,) = torch.autograd.grad(value, moved)
        length = ascent.step / self.scores.divisor * remaining
        norm = gradient.square().mean().sqrt().clamp(min=torch.finfo(x.dtype).tiny)
        moved = moved.detach() + length * gradient / norm
        x = self._bounded(moved.roll((-dy, -dx), (2, 3)))
        if (number + 1) % ascent.blur_every == 0 and number + 1 < ascent.steps:
            x = smooth(x, ascent.blur * remaining)
        return x, float(score.detach())

    def _bounded(self, x: Tensor) -> Tensor:
        if not self.ascent.bounded:
            return x
        return self.scores.reading(self.scores.colours(x).clamp(0, 255))
