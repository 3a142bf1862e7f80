"""Where a photograph supports its classes, and what their scores respond to."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from functools import lru_cache
from typing import Any

import numpy as np
from torch import Tensor

from verydeep.errors import ModelError
from verydeep.inspection.attribution import grad_cam, occlusion, saliency
from verydeep.inspection.class_model import USUAL_ASCENT, Ascent, ClassModel, class_model
from verydeep.inspection.heatmap import half_area, peak
from verydeep.inspection.subject import Subject
from verydeep.nets.interface import NO_HEAD
from verydeep.visualization.inspection.heatmap import as_array
from verydeep.visualization.lecture.photograph.drawing import (
    Drawing,
    bare,
    close_figure,
    in_percent,
    show_image,
    show_map,
)
from verydeep.visualization.plots.fonts import name_or_number
from verydeep.visualization.plots.style import shortened

CLASSES = 2
"""Number of classes drawn: the explained one and its strongest rival."""

LONGEST = 24
"""Maximum length of a class name beside its row, in characters."""

BRIGHT = 0.995
"""Quantile of a saliency map at the end of its colour scale."""


@dataclass(frozen=True, eq=False)
class ClassEvidence:
    """Maps of one class on a photograph.

    Attributes:
        label: Class index.
        title: Title of the class.
        probability: Its softmax on the photograph.
        saliency: |∂score/∂pixel|, (H, W).
        grad_cam: Grad-CAM of the last convolution, (H, W).
        occlusion: Drop of the score when a square is covered, (H, W).
        model: The image that maximises the score.
    """

    label: int
    title: str
    probability: float
    saliency: Tensor
    grad_cam: Tensor
    occlusion: Tensor
    model: ClassModel


@lru_cache(maxsize=2)
def class_evidence(subject: Subject, ascent: Ascent = USUAL_ASCENT) -> tuple[ClassEvidence, ...]:
    """Return the maps of the explained class and of the most probable other one.

    Args:
        subject: Net, photograph and class.
        ascent: Settings of the class models.

    Raises:
        ModelError: The net has convolutions only.
        MissingExtra: Captum is not installed.
    """
    if not subject.model.classes:
        raise ModelError(f"the figure of classes: {NO_HEAD}")
    order = subject.probabilities.argsort(descending=True, stable=True).tolist()
    others = [label for label in order if label != subject.label]
    labels = [subject.label, *others][:CLASSES]
    return tuple(_evidence(replace(subject, label=label), ascent) for label in labels)


def _evidence(subject: Subject, ascent: Ascent) -> ClassEvidence:
    return ClassEvidence(
        subject.label,
        subject.title,
        float(subject.probabilities[subject.label]),
        saliency(subject),
        grad_cam(subject).heat,
        occlusion(subject).heat,
        class_model(subject.model, subject.label, ascent=ascent),
    )


def draw_photograph_classes(subject: Subject) -> Drawing:
    """Draw attributions and class models of two classes.

    Args:
        subject: Net, photograph and class.

    Raises:
        ModelError: The net has convolutions only.
        MissingExtra: Captum is not installed.
    """
    found = class_evidence(subject)
    figure = close_figure((13, 4.1))
    ratio = subject.pixels.shape[2] / subject.pixels.shape[1]
    panels = figure.subplots(
        len(found), 5, width_ratios=(ratio, ratio, ratio, ratio, 1), squeeze=False
    )
    for line, one in zip(panels, found, strict=True):
        _draw_class(line, subject.pixels, one)
    for axes, title in zip(panels[0], ("image", "saliency", "Grad-CAM", "occlusion"), strict=False):
        axes.set_title(title)
    panels[0, 4].set_title("class model")
    return Drawing(figure, _in_words(found))


def _draw_class(line: Sequence[Any], pixels: Tensor, one: ClassEvidence) -> None:
    size = (pixels.shape[1], pixels.shape[2])
    show_image(line[0], pixels)
    drawn = shortened(name_or_number(one.title, one.label + 1), LONGEST)
    line[0].set_ylabel(f"“{drawn}”\n{in_percent(one.probability)}", parse_math=False)
    show_map(line[1], one.saliency, size, float(np.quantile(one.saliency.numpy(), BRIGHT)))
    show_map(line[2], one.grad_cam, size)
    show_map(line[3], one.occlusion.clamp(min=0), size)
    line[4].imshow(as_array(one.model.pixels), interpolation="bicubic")
    bare(line[4])


def _in_words(found: Sequence[ClassEvidence]) -> str:
    told = []
    for one in found:
        x, y, _ = peak(one.grad_cam)
        told.append(
            f"{one.title}, {in_percent(one.probability)}: Grad-CAM peaks at x = {x}, y = {y}, and "
            f"{100 * half_area(one.grad_cam):.0f} % of the area holds half of it; its class model "
            f"scores {one.model.score:.3g}"
        )
    return (
        "A row for each class: the photograph, saliency, Grad-CAM, occlusion, and the image that "
        f"maximises the class score. {'; '.join(told)}."
    )
