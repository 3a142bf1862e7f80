"""Class model of a stripe classifier, and its spectrum.

After Simonyan, Vedaldi & Zisserman, "Deep Inside Convolutional Networks" (2013), section 2.
"""

from __future__ import annotations

import math
from typing import Any

import torch
from matplotlib.figure import Figure
from torch import Tensor

from verydeep.inspection.class_model import ASCENT_AS_PUBLISHED, USUAL_ASCENT, class_model
from verydeep.models.classifier import Classifier
from verydeep.visualization.lecture.stripe_task import CLASSES, SIDE, WAVES, stripe_net

LABEL = CLASSES.index("standing")


def spectrum(pixels: Tensor) -> Tensor:
    """Return the amplitude spectrum of an image without its mean.

    Args:
        pixels: Image, (3, H, W), H and W even.

    Returns:
        Amplitudes, float64 (H, W/2 + 1): rows from −½ period per pixel, columns from 0.
    """
    grey = pixels.double().mean(0)
    models = torch.fft.rfft2(grey - grey.mean()).abs()
    shifted: Tensor = torch.fft.fftshift(models, dim=0)
    return shifted


def draw_class_model(model: Classifier | None = None) -> Figure:
    """Draw the class model as published and smoothed, and the spectrum of the first."""
    net = model or stripe_net()
    models = [class_model(net, LABEL, ascent=a) for a in (ASCENT_AS_PUBLISHED, USUAL_ASCENT)]
    figure = Figure(figsize=(11, 4.2), layout="constrained")
    *pictures, last = figure.subplots(1, 3, width_ratios=(1.2, 1.2, 1))
    for axes, one, how in zip(pictures, models, ("as published", "shifted, smoothed"), strict=True):
        axes.imshow(one.pixels.permute(1, 2, 0).numpy(), interpolation="nearest")
        axes.set(xticks=[], yticks=[])
        axes.set_title(f"class model of “{CLASSES[LABEL]}”:\n{how}")
    image = _draw_spectrum(last, spectrum(models[0].pixels))
    last.set_title("spectrum of\nthe first")
    figure.colorbar(image, ax=last, label="share of the maximum", shrink=0.9)
    return figure


def _draw_spectrum(axes: Any, strength: Tensor) -> Any:
    half = 0.5 / SIDE  # cells are centred at their frequencies
    image = axes.imshow(
        (strength / strength.max().clamp(min=1e-9)).numpy(),
        cmap="cividis",
        vmin=0,
        vmax=1,
        extent=(-half, 0.5 + half, 0.5 - half, -0.5 - half),
        interpolation="nearest",
    )
    across, down = (radians / (2 * math.pi) for radians in WAVES[LABEL])
    axes.plot(across, down, "o", mfc="none", mec="white", ms=16, mew=1.8)
    axes.set(xlabel="horizontal periods per pixel", ylabel="vertical periods per pixel")
    axes.set(xticks=(0, 0.25, 0.5), yticks=(-0.5, -0.25, 0, 0.25, 0.5))
    return image
