"""Attribution maps: saliency, guided backpropagation, Grad-CAM and occlusion."""

from __future__ import annotations

from typing import Any

import numpy as np
import torch
from matplotlib.figure import Figure
from torch import Tensor

from verydeep.inspection.attribution import (
    Measure,
    grad_cam,
    guided_backpropagation,
    occlusion,
    saliency,
)
from verydeep.inspection.subject import Subject
from verydeep.visualization.inspection.heatmap import (
    as_array,
    draw_heat,
    heat_facts,
    image_row,
    in_words,
    show,
)
from verydeep.visualization.inspection.section import Panel, Section

BRIGHT = 0.995
"""Quantile of the map at the end of the colour scale; outliers would darken all other pixels."""

GREY_LEVEL = "score per grey level"


def saliency_section(subject: Subject) -> Section:
    """Draw the absolute gradient of the class score with respect to the pixels.

    Raises:
        MissingExtra: Captum is not installed.
    """
    heat = saliency(subject)
    panel = Panel(
        name="saliency",
        title=f"Saliency of {subject.quoted}",
        alt=f"Saliency of {subject.quoted} on {subject.name}. {in_words(heat)}",
        figure=draw_heat(subject.pixels, heat, GREY_LEVEL, most=_brightest(heat)),
        caption=f"Brighter pixels have a larger influence: a small change of the pixel changes the "
        f"score more. {in_words(heat)} A ring marks the peak. The map shows neither the sign of "
        "the change nor the effect of large changes.",
    )
    return Section(
        name="saliency",
        title="Saliency",
        lead=f"|∂score/∂pixel| of {subject.quoted} before the {subject.activation}, maximum over "
        "the three colour channels (Simonyan, Vedaldi & Zisserman 2013, section 3).",
        panels=(panel,),
        facts={**_class_facts(subject), "unit": GREY_LEVEL, **heat_facts(heat)},
    )


def guided_backprop_section(subject: Subject) -> Section:
    """Draw guided backpropagation (Springenberg et al. 2014).

    Raises:
        MissingExtra: Captum is not installed.
    """
    colours = guided_backpropagation(subject)
    heat = colours.abs().amax(0)
    panel = Panel(
        name="guided-backprop",
        title=f"Guided backpropagation from {subject.quoted}",
        alt=f"Guided backpropagation from {subject.quoted} on {subject.name}, in colours around "
        f"grey. Absolute value: {in_words(heat)}",
        figure=_draw_guided(subject.pixels, colours, heat),
        caption="Centre: red, green and blue components around grey, which is 0. Right: maximum "
        f"absolute value of the three. {in_words(heat)} The edges are sharp because every ReLU "
        "discards negative gradients, not because the net detects them; the map hardly depends on "
        "the class.",
    )
    return Section(
        name="guided-backprop",
        title="Guided backpropagation",
        lead=f"The gradient of the score of {subject.quoted}, where every ReLU passes back "
        "positive gradients only (Springenberg et al. 2014).",
        panels=(panel,),
        facts={**_class_facts(subject), "unit": GREY_LEVEL, **heat_facts(heat)},
    )


def grad_cam_section(subject: Subject, layer: str | None = None) -> Section:
    """Draw the Grad-CAM map of a convolution (Selvaraju et al. 2017).

    Args:
        subject: Image, net and class.
        layer: A convolution such as ``conv4_3``; None means the last.

    Raises:
        InputError: The net has no such convolution.
        MissingExtra: Captum is not installed.
    """
    result = grad_cam(subject, layer)
    h, w = result.cells.shape
    panel = Panel(
        name=f"grad-cam-{result.layer.replace('_', '-')}",
        title=f"Grad-CAM of {subject.quoted} at {result.layer}",
        alt=f"Grad-CAM of {subject.quoted} on {subject.name} at {result.layer}, {w}x{h} cells. "
        f"{in_words(result.heat)}",
        figure=draw_heat(subject.pixels, result.heat, "weighted activation"),
        caption=f"Bright regions are where the maps of {result.layer} support the class. There are "
        f"{w}x{h} values, one per {result.stride}x{result.stride} pixels, with interpolation; the "
        f"receptive field of each is much larger. {in_words(result.heat)} Evidence against the "
        "class is clipped at 0.",
    )
    return Section(
        name="grad-cam",
        title="Grad-CAM",
        lead=f"ReLU(Σₖ αₖ·Aₖ) of the maps Aₖ after the activation of {result.layer}; αₖ is the "
        f"mean gradient of the score of {subject.quoted} with respect to map k (Selvaraju et al. "
        "2017).",
        panels=(panel,),
        facts={
            **_class_facts(subject),
            "layer": result.layer,
            "width": w,
            "height": h,
            "stride": result.stride,
            **heat_facts(result.heat),
        },
    )


def occlusion_section(
    subject: Subject,
    window: int | None = None,
    stride: int | None = None,
    measure: Measure = "score",
) -> Section:
    """Draw the drop of the score when a part of the image is hidden (Zeiler & Fergus 2013).

    Args:
        subject: Image, net and class.
        window: Side of the hidden square, in pixels; None chooses one that suits the image.
        stride: Step between windows, in pixels; None means half the window.
        measure: ``score`` or ``probability``.

    Raises:
        InputError: A number is out of range.
        MissingExtra: Captum is not installed.
    """
    result = occlusion(subject, window=window, stride=stride, measure=measure)
    least = float(result.heat.min())
    panel = Panel(
        name="occlusion",
        title=f"Occlusion: drop of the {measure} of {subject.quoted}",
        alt=f"Drop of the {measure} of {subject.quoted} on {subject.name} when a square of "
        f"{result.window} pixels is hidden, from {result.whole:.3g}; the minimum is {least:.2g}. "
        f"{in_words(result.heat)}",
        figure=draw_heat(subject.pixels, result.heat, f"drop of the {measure}", signed=True),
        caption=f"A {result.window}x{result.window} square in the mean colour was moved in steps "
        f"of {result.stride} pixels. Each pixel shows the mean drop of the {measure} over all "
        f"squares that cover it, from {result.whole:.3g} on the whole image; below 0, hiding the "
        f"pixel helps the class. {in_words(result.heat)} The map resolves nothing smaller than the "
        "square, and the square itself may affect the score.",
    )
    return Section(
        name="occlusion",
        title="Occlusion",
        lead=f"Drop of the {measure} of {subject.quoted} when a part of the image is hidden "
        "(Zeiler & Fergus 2013). This method needs no gradients.",
        panels=(panel,),
        facts={
            **_class_facts(subject),
            "window": result.window,
            "stride": result.stride,
            "measure": measure,
            "whole": result.whole,
            "least": least,
            **heat_facts(result.heat),
        },
    )


def _class_facts(subject: Subject) -> dict[str, Any]:
    return {"class": subject.title, "probability": float(subject.probabilities[subject.label])}


def _brightest(heat: Tensor) -> float:
    return float(np.quantile(heat.numpy(), BRIGHT))


def _draw_guided(pixels: Tensor, colours: Tensor, heat: Tensor) -> Figure:
    most = max(_brightest(heat), torch.finfo(heat.dtype).tiny)
    figure, (first, second, third) = image_row(pixels.shape[-2:], 3)
    show(first, as_array(pixels), "image")
    show(second, as_array((colours / most).clamp(-1, 1) / 2 + 0.5), "grey = 0")
    bright = (heat / most).clamp(0, 1).expand_as(colours)
    show(third, as_array(bright), f"absolute, 0 to {most:.1g}")
    return figure
