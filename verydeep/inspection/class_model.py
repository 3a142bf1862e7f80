"""What a class looks like to a net: the image that has the largest score (class model).

Simonyan, Vedaldi & Zisserman, "Deep Inside Convolutional Networks" (2013), section 2 ::

    maximise  S_c(I) − λ·‖I‖²

over images I as the net reads them, zero being the training set's mean colour. S_c is the score
before the softmax: the probability would also rise if the other classes' scores fell. Here S_c is
averaged over the positions of the net, as everywhere, so the image may be larger than its input.

The paper says neither how it climbs nor with which λ. Here a step goes along the gradient and has
a root mean square of a given number of grey levels, which falls linearly to nothing at the last.

Departures that give clearer images, each of which can be turned off: every step is taken at
another shift of the image (``jitter``; Mordvintsev et al. 2015), fine grain is smoothed away
now and then (``blur``; Yosinski et al. 2015), and colours stay within 0 to 255 (``bounded``), so
that what is shown is what was rated. Shifts and smoothing fall to nothing with the step: the last
steps could not make up for them, and the score would fall again. With ``ASCENT_AS_PUBLISHED`` all
three are off.

H, W sides of the image in pixels, K classes.
"""

from __future__ import annotations

from dataclasses import dataclass

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from verydeep.errors import InputError
from verydeep.inspection.differentiable import Scores
from verydeep.models.classifier import Classifier
from verydeep.system.progress import Progress


@dataclass(frozen=True, slots=True)
class Ascent:
    """How a class model is made.

    Attributes:
        steps: Along the gradient.
        step: Root mean square of the first step, in grey levels.
        penalty: λ, in scores; ‖I‖² is that of pixels as the net reads them, divided by their
            number, so that λ does not depend on the size of the image.
        noise: Standard deviation of the first image around the mean colour, in grey levels.
        jitter: Pixels by which the image is shifted at random, at most, either way, at the first
            step; 0 for not.
        blur: Standard deviation in pixels of the smoothing, at the first step; 0 for none.
        blur_every: Steps between one smoothing and the next.
        bounded: Whether colours stay within 0 to 255.
        seed: Of noise and shifts.
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
"""How class models are made if nothing else is said."""

ASCENT_AS_PUBLISHED = Ascent(jitter=0, blur=0, bounded=False)
"""Without the departures that give clearer images."""


@dataclass(frozen=True, eq=False)
class ClassModel:
    """An image with a large score.

    Attributes:
        label: Number of the class.
        pixels: uint8 (3, H, W), RGB, rounded and clipped to 0 to 255.
        scores: Score of the class before every step and at the end, of what the net read; where
            the image is shifted, at that shift.
        score: Of ``pixels``.
        probability: Of the class on ``pixels``.
        ascent: How it was made.
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
    """Return an image that a net finds very much of a class.

    Args:
        model: The net; all is computed in float32.
        label: Number of the class.
        size: Height and width of the image in pixels; None takes the net's input size.
        ascent: How.
        progress: Where to report to; None is silent.

    Raises:
        InputError: A number is out of its range.
        SizeError: The image would be smaller than the net's input size.
    """
    check_ascent(ascent)
    if not 0 <= label < len(model.classes):
        raise InputError(f"class must be 0 to {len(model.classes) - 1}, got {label} instead")
    scores = Scores(model)
    climb = _Climb(scores, ascent)
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
        (answer,) = scores(pixels.float())
    likely = float(answer.softmax(0)[label])
    shown = pixels[0].cpu().contiguous()
    return ClassModel(label, shown, tuple(trace), float(answer[label]), likely, ascent)


def objective(net: nn.Module, x: Tensor, label: int, penalty: float) -> tuple[Tensor, Tensor]:
    """Return what is maximised, S_c(I) − λ·‖I‖²/n, and S_c(I) alone.

    Args:
        net: From images to scores (1, K).
        x: The image I as the net reads it, (1, 3, H, W): n = 3·H·W numbers.
        label: The class c.
        penalty: λ.

    Returns:
        Two scalars.
    """
    score = net(x)[0, label]
    return score - penalty * x.square().mean(), score


def smooth(x: Tensor, std: float) -> Tensor:
    """Return images (N, C, H, W) smoothed by a Gaussian, cut at three deviations.

    Args:
        x: The images; beyond their edges they are continued by their outermost pixels.
        std: Standard deviation in pixels; 0 smooths nothing.
    """
    if not std:
        return x
    reach = max(1, round(3 * std))
    places = torch.arange(-reach, reach + 1, dtype=x.dtype, device=x.device)
    weights = torch.exp(-((places / std) ** 2) / 2)
    window = (weights / weights.sum()).expand(x.shape[1], 1, 1, -1)
    x = F.conv2d(F.pad(x, (reach, reach, 0, 0), "replicate"), window, groups=x.shape[1])
    window = window.transpose(2, 3)
    return F.conv2d(F.pad(x, (0, 0, reach, reach), "replicate"), window, groups=x.shape[1])


def check_ascent(ascent: Ascent) -> None:
    """Refuse settings that make no image.

    Raises:
        InputError: A number is out of its range.
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


class _Climb:
    """Steps uphill from noise, all drawn from one seed."""

    def __init__(self, scores: Scores, ascent: Ascent) -> None:
        self.scores = scores
        self.ascent = ascent
        self.generator = torch.Generator().manual_seed(ascent.seed)

    def start(self, size: tuple[int, int]) -> Tensor:
        """Return the mean colour with a little noise, as the net reads it."""
        noise = torch.randn(1, 3, *size, generator=self.generator) * self.ascent.noise
        return self._bounded(noise.to(self.scores.device) / self.scores.divisor)

    def take(self, x: Tensor, label: int, number: int) -> tuple[Tensor, float]:
        """Take a step; return where it leads, and the score before it."""
        ascent = self.ascent
        left = 1 - number / ascent.steps
        reach = round(ascent.jitter * left)
        shift = torch.randint(-reach, reach + 1, (2,), generator=self.generator)
        shifts = (int(shift[0]), int(shift[1]))
        moved = x.roll(shifts, (2, 3)).requires_grad_()
        worth, score = objective(self.scores.net, moved, label, ascent.penalty)
        (gradient,) = torch.autograd.grad(worth, moved)
        length = ascent.step / self.scores.divisor * left
        slope = gradient.square().mean().sqrt().clamp(min=torch.finfo(x.dtype).tiny)
        moved = moved.detach() + length * gradient / slope
        x = self._bounded(moved.roll((-shifts[0], -shifts[1]), (2, 3)))
        if (number + 1) % ascent.blur_every == 0 and number + 1 < ascent.steps:
            x = smooth(x, ascent.blur * left)
        return x, float(score.detach())

    def _bounded(self, x: Tensor) -> Tensor:
        if not self.ascent.bounded:
            return x
        return self.scores.reading(self.scores.colours(x).clamp(0, 255))
