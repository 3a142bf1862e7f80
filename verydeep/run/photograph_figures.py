"""Lecture figures of a trained net and a photograph."""

from __future__ import annotations

from collections.abc import Iterable
from pathlib import Path
from typing import Any

from PIL import Image

from verydeep.data.images.inputs import Picture, list_pictures
from verydeep.errors import InputError, PictureError
from verydeep.inspection.subject import Subject, Subjects, find_class
from verydeep.models.classifier import Classifier, loaded_classifier
from verydeep.system.option_names import option
from verydeep.system.progress import ProgressWish, choose_progress
from verydeep.system.settings import Compute
from verydeep.visualization.lecture.write import write_figures

SCALE = 256
"""Smaller side of the photograph in pixels, as in the paper's tests; net D then sees up to 212."""


def photograph_figures(
    model: str | Path | Classifier,
    out: str | Path,
    image: Picture | None = None,
    *,
    label: str | None = None,
    only: Iterable[str] = (),
    dark: bool = False,
    compute: Compute | str | None = None,
    progress: ProgressWish = None,
) -> dict[str, Any]:
    """Draw the lecture figures that show a trained net and a photograph.

    Args:
        model: Model or run folder of a classifier, a name of published weights, or a loaded one;
            for a net of convolutions only, the figure of classes is left out, for one that is not
            of the paper those of its blocks.
        out: Output folder, created if missing.
        image: A photograph; None takes a temple of Beijing that comes with scikit-learn.
        label: Class to explain, by name or title; None takes the most likely one.
        only: Names of figures; if empty, all are drawn.
        dark: Whether to draw for a dark page.
        compute: Device and precision; a string names the device.
        progress: Progress reporting; None enables it in notebooks and terminals, True everywhere,
            False nowhere.

    Returns:
        As :func:`verydeep.visualization.lecture.write.write_figures`.

    Raises:
        InputError: The model, the image or a figure's name cannot be used.
        PictureError: The image cannot be read.
    """
    progress, compute = choose_progress(progress), Compute.of(compute)
    loaded = loaded_classifier(model, compute)
    loaded.check_images("a figure")
    subject = photograph_subject(loaded, image, label)
    return write_figures(out, only, dark=dark, subject=subject, progress=progress)


def photograph_subject(
    model: Classifier, image: Picture | None = None, label: str | None = None
) -> Subject:
    """Return a net and a photograph at :data:`SCALE`, whatever the test scales of the net are.

    Args:
        model: The net.
        image: A photograph; None takes that of scikit-learn.
        label: Class to explain; None takes the most likely one.

    Raises:
        InputError: There is not exactly one image, or the net knows no such class.
        PictureError: The image cannot be read.
    """
    sources = list_pictures(temple() if image is None else image)
    if len(sources) != 1:
        raise InputError(f"{option('image')} must be one image, got {len(sources)} instead")
    chosen = None if label is None else find_class(model, label)
    subjects = Subjects(model, sources, max(SCALE, model.input_size), label=chosen)
    for found, _ in subjects:
        return found
    raise PictureError(subjects.unreadable[0])


def temple() -> Image.Image:
    """Return the photograph ``china.jpg`` of scikit-learn, by danielbuechele, CC BY 2.0."""
    from sklearn.datasets import load_sample_image  # slow to import

    return Image.fromarray(load_sample_image("china.jpg"))
