"""What a class looks like to a net, drawn: its class model and its score on the way."""

from __future__ import annotations

from dataclasses import replace

from matplotlib.figure import Figure

from verydeep.inspection.class_model import USUAL_ASCENT, Ascent, ClassModel, class_model
from verydeep.inspection.subject import Subject
from verydeep.system.progress import Progress
from verydeep.visualization.inspection.heatmap import LETTERS, as_picture, show
from verydeep.visualization.inspection.section import Panel, Section
from verydeep.visualization.inspection.tiles import DOTS, WIDTH
from verydeep.visualization.plots.fonts import name_or_number
from verydeep.visualization.plots.style import BLUE, plain_axes, shortened

SIDE = 2.1
"""Inches of the image."""

LONGEST = 26
"""Letters of the class above it."""


def class_model_section(
    subject: Subject,
    steps: int | None = None,
    seed: int = 0,
    progress: Progress | None = None,
    ascent: Ascent = USUAL_ASCENT,
) -> Section:
    """Draw the image that has the largest score of the class (Simonyan et al. 2013).

    Nothing is asked of the subject's image.

    Args:
        subject: Net and class.
        steps: Along the gradient; None takes those of ``ascent``.
        seed: Of noise and shifts.
        progress: Where to report to; None is silent.
        ascent: How.

    Raises:
        InputError: A number is out of its range.
    """
    settings = replace(ascent, seed=seed, steps=ascent.steps if steps is None else steps)
    found = class_model(subject.model, subject.label, ascent=settings, progress=progress)
    sure = f"{100 * found.probability:.3g} %"
    panel = Panel(
        name="class-model",
        title=f"Class model of {subject.quoted}",
        alt=f"An image made so that the score of {subject.quoted} is large: it went from "
        f"{found.scores[0]:.3g} to {found.score:.3g} in {settings.steps} steps, where the class "
        f"has a probability of {sure}.",
        figure=_draw(found, name_or_number(subject.title, subject.label + 1)),
        caption="Shapes and colours that recur are what the net knows the class by, often many "
        "times over and upside down: it is rewarded for every one. It is no photograph, no mean of "
        f"the training images, and another seed gives another. Probability: {sure}. Shown as "
        "rounded to 256 levels, as it was rated.",
    )
    departures = [
        f"shifts of up to {settings.jitter} pixels" * bool(settings.jitter),
        f"smoothing by {settings.blur} pixels every {settings.blur_every} steps"
        * bool(settings.blur),
        "colours within 0 to 255" * settings.bounded,
    ]
    besides = ", ".join(filter(None, departures))
    return Section(
        name="class-model",
        title="Class model",
        lead=f"The image that maximises the score of {subject.quoted} before the softmax, less "
        f"{settings.penalty:g} times its mean square (Simonyan, Vedaldi & Zisserman 2013, section "
        f"2). {f'Departures for a clearer picture: {besides}.' if besides else ''}".rstrip(),
        panels=(panel,),
        facts={
            "class": subject.title,
            "steps": settings.steps,
            "seed": settings.seed,
            "penalty": settings.penalty,
            "first_score": found.scores[0],
            "score": found.score,
            "probability": found.probability,
        },
    )


def _draw(found: ClassModel, title: str) -> Figure:
    _, height, width = found.pixels.shape
    high = SIDE * height / width
    tall = high + 0.25
    figure = Figure(figsize=(WIDTH, tall), dpi=DOTS)
    picture = figure.add_axes((0, 0, SIDE / WIDTH, high / tall), anchor="NW")
    show(picture, as_picture(found.pixels), shortened(title, LONGEST), smooth=True)
    axes = figure.add_axes((0.64, 0.5 / tall, 0.34, (high - 0.5) / tall))
    axes.plot(range(len(found.scores)), found.scores, color=BLUE)
    axes.set_title("the score, step by step", fontsize=LETTERS, loc="left", pad=3)
    axes.set_xlabel("steps", fontsize=LETTERS)
    axes.set_ylabel("score of the class", fontsize=LETTERS)
    axes.tick_params(labelsize=LETTERS)
    plain_axes(axes)
    return figure
