"""Class model: an image that maximises a class score, with the course of the score."""

from __future__ import annotations

from dataclasses import replace

from matplotlib.figure import Figure

from verydeep.inspection.class_model import USUAL_ASCENT, Ascent, ClassModel, class_model
from verydeep.inspection.subject import Subject
from verydeep.system.progress import Progress
from verydeep.visualization.inspection.heatmap import LETTERS, as_array, show
from verydeep.visualization.inspection.section import Panel, Section
from verydeep.visualization.inspection.tiles import DOTS, WIDTH
from verydeep.visualization.plots.fonts import name_or_number
from verydeep.visualization.plots.style import BLUE, plain_axes, shortened

SIDE = 2.1
"""Width of the image, in inches."""

LONGEST = 26
"""Maximum length of the class name above it, in characters."""


def class_model_section(
    subject: Subject,
    steps: int | None = None,
    seed: int = 0,
    progress: Progress | None = None,
    ascent: Ascent = USUAL_ASCENT,
) -> Section:
    """Draw an image that maximises the score of the class (Simonyan et al. 2013).

    Args:
        subject: Net and class; its image is not used.
        steps: Number of gradient steps; None means that of ``ascent``.
        seed: Random seed of noise and shifts.
        progress: Progress reporter; None is silent.
        ascent: Settings of the gradient ascent.

    Raises:
        InputError: A number is out of range.
    """
    settings = replace(ascent, seed=seed, steps=ascent.steps if steps is None else steps)
    result = class_model(subject.model, subject.label, ascent=settings, progress=progress)
    probability = f"{100 * result.probability:.3g} %"
    panel = Panel(
        name="class-model",
        title=f"Class model of {subject.quoted}",
        alt=f"An image that maximises the score of {subject.quoted}: it rose from "
        f"{result.scores[0]:.3g} to {result.score:.3g} in {settings.steps} steps, with a "
        f"probability of {probability}.",
        figure=_draw(result, name_or_number(subject.title, subject.label + 1)),
        caption="Recurring shapes and colours are those by which the net recognises the class; "
        "they often appear several times and upside down, because each one raises the score. The "
        "image is neither a photograph nor a mean of the training images, and depends on the seed. "
        f"Probability: {probability}. It is shown and scored after rounding to 256 levels.",
    )
    departures = [
        f"shifts of up to {settings.jitter} pixels" * bool(settings.jitter),
        f"smoothing by {settings.blur} pixels every {settings.blur_every} steps"
        * bool(settings.blur),
        "colours clipped to 0 to 255" * settings.bounded,
    ]
    changes = ", ".join(filter(None, departures))
    return Section(
        name="class-model",
        title="Class model",
        lead="The image that maximises the score of "
        f"{subject.quoted} before the {subject.activation}, minus {settings.penalty:g} times its "
        "mean square (Simonyan, Vedaldi & Zisserman 2013, section 2). "
        f"{f'Departures for a clearer image: {changes}.' if changes else ''}".rstrip(),
        panels=(panel,),
        facts={
            "class": subject.title,
            "steps": settings.steps,
            "seed": settings.seed,
            "penalty": settings.penalty,
            "first_score": result.scores[0],
            "score": result.score,
            "probability": result.probability,
        },
    )


def _draw(result: ClassModel, title: str) -> Figure:
    _, height, width = result.pixels.shape
    high = SIDE * height / width
    tall = high + 0.25
    figure = Figure(figsize=(WIDTH, tall), dpi=DOTS)
    image = figure.add_axes((0, 0, SIDE / WIDTH, high / tall), anchor="NW")
    show(image, as_array(result.pixels), shortened(title, LONGEST), smooth=True)
    axes = figure.add_axes((0.64, 0.5 / tall, 0.34, (high - 0.5) / tall))
    axes.plot(range(len(result.scores)), result.scores, color=BLUE)
    axes.set_title("score by step", fontsize=LETTERS, loc="left", pad=3)
    axes.set_xlabel("step", fontsize=LETTERS)
    axes.set_ylabel("class score", fontsize=LETTERS)
    axes.tick_params(labelsize=LETTERS)
    plain_axes(axes)
    return figure
