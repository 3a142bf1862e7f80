"""Registry of the figures that need a trained net and a photograph."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

from verydeep.inspection.subject import Subject
from verydeep.visualization.lecture.photograph.channels import draw_photograph_channels
from verydeep.visualization.lecture.photograph.classes import draw_photograph_classes
from verydeep.visualization.lecture.photograph.drawing import Drawing
from verydeep.visualization.lecture.photograph.fields import draw_photograph_fields
from verydeep.visualization.lecture.photograph.filters import draw_photograph_filters
from verydeep.visualization.lecture.photograph.maps import draw_photograph_maps


@dataclass(frozen=True, slots=True)
class PhotographFigure:
    """A figure of a trained net and a photograph.

    Attributes:
        name: File name without suffix.
        title: Title.
        shows: Main message, in one sentence.
        section: Section of the paper.
        draw: Draws the figure in the current theme, and describes it.
    """

    name: str
    title: str
    shows: str
    section: str
    draw: Callable[[Subject], Drawing]


PHOTOGRAPH_FIGURES = (
    PhotographFigure(
        "photo-filters",
        "First filters of a trained net",
        "Filters of red, green and blue become blobs of colour and edges in all directions; each "
        "is drawn on its own scale.",
        "2.1",
        draw_photograph_filters,
    ),
    PhotographFigure(
        "photo-maps",
        "From this input, going deeper into the network",
        "The strongest maps of every block: edges everywhere at first, then parts of the object at "
        "a few places; fewer and fewer values are active.",
        "2.1",
        draw_photograph_maps,
    ),
    PhotographFigure(
        "photo-channels",
        "What a channel responds to",
        "Left of each pair the patch that a unit responds to most, with channel and response; "
        "right the image that gradient ascent finds for it, with a response several times as high.",
        "2.1",
        draw_photograph_channels,
    ),
    PhotographFigure(
        "photo-fields",
        "Receptive fields to scale on a photograph",
        "Units see ever larger parts of the object, and depend mainly on the centre of what they "
        "see, with trained weights too.",
        "2.3",
        draw_photograph_fields,
    ),
    PhotographFigure(
        "photo-classes",
        "Which pixels support a class, and what maximises it",
        "Maps of the most probable class and of its strongest rival on the same photograph, and an "
        "image made for each class by gradient ascent.",
        "2.1",
        draw_photograph_classes,
    ),
)
