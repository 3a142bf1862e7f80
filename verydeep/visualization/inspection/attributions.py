"""Which pixels the class score hangs on, drawn: one section for each way to ask."""

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
    as_picture,
    beside,
    draw_heat,
    heat_facts,
    in_words,
    show,
)
from verydeep.visualization.inspection.section import Panel, Section

BRIGHT = 0.995
"""Share of the pixels that have colours of their own; the few beyond would darken all others."""

GREY_LEVEL = "score per grey level"


def saliency_section(subject: Subject) -> Section:
    """Draw the absolute gradient of the class score by the pixels (Simonyan et al. 2013).

    Raises:
        MissingExtra: Captum is not installed.
    """
    heat = saliency(subject)
    panel = Panel(
        name="saliency",
        title=f"Saliency of {subject.quoted}",
        alt=f"Saliency of {subject.quoted} on {subject.name}. {in_words(heat)}",
        figure=draw_heat(subject.pixels, heat, GREY_LEVEL, most=_quantile(heat)),
        caption=f"The brighter a pixel, the more a small change of it changes the score. "
        f"{in_words(heat)} A ring marks the peak. Not shown is whether a change raises or lowers "
        "the score, nor what happens if much is changed at once.",
    )
    return Section(
        name="saliency",
        title="Saliency",
        lead=f"|∂score/∂pixel| of {subject.quoted}, the largest of the three colours, before the "
        "softmax (Simonyan, Vedaldi & Zisserman 2013, section 3).",
        panels=(panel,),
        facts={**_asked(subject), "unit": GREY_LEVEL, **heat_facts(heat)},
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
        f"grey. By its absolute value: {in_words(heat)}",
        figure=_draw_guided(subject.pixels, colours, heat),
        caption="In the middle red, green and blue are drawn around grey, which is 0; at the "
        f"right is the largest absolute value of the three. {in_words(heat)} The edges are sharp "
        "because negative gradients are thrown away at every ReLU, not because the net sees them "
        "so; the drawing tells classes apart but little.",
    )
    return Section(
        name="guided-backprop",
        title="Guided backpropagation",
        lead=f"The gradient of the score of {subject.quoted}, of which every ReLU passes back only "
        "what is positive (Springenberg et al. 2014).",
        panels=(panel,),
        facts={**_asked(subject), "unit": GREY_LEVEL, **heat_facts(heat)},
    )


def grad_cam_section(subject: Subject, layer: str | None = None) -> Section:
    """Draw where the maps of a convolution speak for the class (Selvaraju et al. 2017).

    Args:
        subject: Image, net and class.
        layer: A convolution such as ``conv4_3``; None takes the last.

    Raises:
        InputError: The net has no such convolution.
        MissingExtra: Captum is not installed.
    """
    found = grad_cam(subject, layer)
    h, w = found.cells.shape
    panel = Panel(
        name=f"grad-cam-{found.layer.replace('_', '-')}",
        title=f"Grad-CAM of {subject.quoted} at {found.layer}",
        alt=f"Grad-CAM of {subject.quoted} on {subject.name} at {found.layer}, {w}x{h} cells. "
        f"{in_words(found.heat)}",
        figure=draw_heat(subject.pixels, found.heat, "weighted activation"),
        caption=f"Bright is where the maps of {found.layer} together speak for the class. There "
        f"are {w}x{h} values, one for {found.stride}x{found.stride} pixels, interpolated between; "
        f"each sees far more of the image than that. {in_words(found.heat)} What speaks against "
        "the class is cut off at 0.",
    )
    return Section(
        name="grad-cam",
        title="Grad-CAM",
        lead=f"ReLU(Σₖ αₖ·Aₖ) of the maps Aₖ behind the ReLU of {found.layer}; αₖ is the mean "
        f"gradient of the score of {subject.quoted} by map k (Selvaraju et al. 2017).",
        panels=(panel,),
        facts={
            **_asked(subject),
            "layer": found.layer,
            "width": w,
            "height": h,
            "stride": found.stride,
            **heat_facts(found.heat),
        },
    )


def occlusion_section(
    subject: Subject,
    window: int | None = None,
    stride: int | None = None,
    measure: Measure = "score",
) -> Section:
    """Draw how far the class falls when a part of the image is hidden (Zeiler & Fergus 2013).

    Args:
        subject: Image, net and class.
        window: Side of what is hidden, in pixels; None for what fits the image.
        stride: From one window to the next, in pixels; None takes half of the window.
        measure: What falls, ``score`` or ``probability``.

    Raises:
        InputError: A number is out of its range.
        MissingExtra: Captum is not installed.
    """
    found = occlusion(subject, window=window, stride=stride, measure=measure)
    least = float(found.heat.min())
    panel = Panel(
        name="occlusion",
        title=f"Occlusion: what {subject.quoted} loses",
        alt=f"Fall of the {measure} of {subject.quoted} on {subject.name} when a square of "
        f"{found.window} pixels is hidden, from {found.whole:.3g}; the least is {least:.2g}. "
        f"{in_words(found.heat)}",
        figure=draw_heat(subject.pixels, found.heat, f"fall of the {measure}", signed=True),
        caption=f"A {found.window}x{found.window} square in the mean colour was moved in steps of "
        f"{found.stride} pixels; a pixel shows the mean fall of the {measure}, {found.whole:.3g} "
        f"on the whole image, over all squares that hid it. Where it is below 0, hiding helps "
        f"the class. {in_words(found.heat)} Finer than the square nothing can be told apart, and "
        "the square itself may look like something.",
    )
    return Section(
        name="occlusion",
        title="Occlusion",
        lead=f"How far the {measure} of {subject.quoted} falls when a part of the image is "
        "hidden (Zeiler & Fergus 2013). No gradient is asked.",
        panels=(panel,),
        facts={
            **_asked(subject),
            "window": found.window,
            "stride": found.stride,
            "measure": measure,
            "whole": found.whole,
            "least": least,
            **heat_facts(found.heat),
        },
    )


def _asked(subject: Subject) -> dict[str, Any]:
    return {"class": subject.title, "probability": float(subject.probabilities[subject.label])}


def _quantile(heat: Tensor) -> float:
    return float(np.quantile(heat.numpy(), BRIGHT))


def _draw_guided(pixels: Tensor, colours: Tensor, heat: Tensor) -> Figure:
    most = max(float(np.quantile(heat.numpy(), BRIGHT)), torch.finfo(heat.dtype).tiny)
    figure, (first, second, third) = beside(pixels.shape[-2:], 3)
    show(first, as_picture(pixels), "the image")
    show(second, as_picture((colours / most).clamp(-1, 1) / 2 + 0.5), "0 is grey")
    bright = (heat / most).clamp(0, 1).expand_as(colours)
    show(third, as_picture(bright), f"absolute, to {most:.1g}")
    return figure
