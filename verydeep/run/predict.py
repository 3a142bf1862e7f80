"""Predictions of trained models for images."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import replace
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING

from verydeep.data.images.decode import decode
from verydeep.data.images.inputs import Picture
from verydeep.errors import InputError
from verydeep.localization.protocol import BoxProtocol
from verydeep.models.loading import load_any_classifier
from verydeep.models.prediction import Prediction, Predictions
from verydeep.system.files import write_atomically
from verydeep.system.option_names import option
from verydeep.system.progress import ProgressWish, choose_progress
from verydeep.system.settings import Compute

if TYPE_CHECKING:
    from verydeep.visualization.plots.boxes import Mark


def predict(
    model: str | Path,
    pictures: Picture | Iterable[Picture],
    protocol: BoxProtocol | None = None,
    *,
    boxes: Sequence[str | Path] = (),
    top: int = 5,
    compute: Compute | str | None = None,
    progress: ProgressWish = None,
) -> Predictions:
    """Classify images, and locate the objects with box regressors.

    Args:
        model: Model or run folder of a classifier; a file written by :func:`verydeep.export`,
            which needs no PyTorch; or ``torchvision/NAME`` with torchvision's
            default weights, ``torchvision/NAME:WEIGHTS`` with other published weights,
            ``torchvision/NAME:FILE`` with weights from a file.
        pictures: As for :meth:`verydeep.Classifier.predict`.
        protocol: Scales and mirror images; with ``boxes`` also grid, merging, and the protocol
            ``dense`` (default) or ``crops``.
        boxes: Model or run folders of box regressors.
        top: Maximum number of classes to return.
        compute: Device and precision; a string names the device.
        progress: Progress reporting; None enables it in notebooks and terminals, True everywhere,
            False nowhere.

    Raises:
        InputError: A model or a file cannot be used.
    """
    progress, how = choose_progress(progress), protocol or BoxProtocol()
    if not boxes:
        if how != BoxProtocol(scales=how.scales, flip=how.flip):
            raise InputError(
                f"{option('protocol')}, {option('grid')} and {option('threshold')} are of boxes: "
                f"name a box regressor with {option('boxes')}"
            )
        return load_any_classifier(model, compute, multi_label=None).predict(
            pictures, top=top, scales=how.scales, flip=how.flip, progress=progress
        )
    if how.name == "center":
        raise InputError(
            f"{option('protocol')} of boxes must be dense or crops, got 'center' instead"
        )
    from verydeep.localization.localizer import load_localizer
    from verydeep.localization.predict import localize
    from verydeep.models.classifier import load_classifier

    classifier = load_classifier(model, compute)
    nets = [load_localizer(folder, compute) for folder in boxes]
    return localize(classifier, nets, pictures, replace(how, top=top), progress=progress)


def draw_predictions(
    predictions: Sequence[Prediction], folder: Path, above: float | None = None
) -> None:
    """Write every image with the box of its most likely class, as ``NAME.png``.

    The second file of the same name becomes ``NAME-2.png``. A class name that no installed font
    can render is replaced by its rank: ``no. 1`` is the most likely.

    Args:
        predictions: Predictions with boxes.
        folder: Output folder.
        above: Also draw the boxes of other classes with at least this probability, from 0 to 1;
            None draws only the first.

    Raises:
        InputError: The folder is not writable.
    """
    from verydeep.visualization.plots.boxes import draw_boxes

    taken: set[str] = set()
    for prediction in predictions:
        if prediction.source is None or prediction.fault:
            continue
        # Draw the most likely last, on top.
        drawn = draw_boxes(decode(prediction.source), [*_marks(prediction, above)][::-1])
        name = free_name(prediction.source.stem, taken)
        try:
            write_atomically(folder / f"{name}.png", partial(drawn.save, format="PNG"))
        except OSError as error:
            raise InputError(f"{folder}: cannot be written ({error})") from error


def _marks(prediction: Prediction, above: float | None) -> Iterator[Mark]:
    from verydeep.visualization.plots.boxes import PALETTE, Mark
    from verydeep.visualization.plots.fonts import (
        name_or_number,  # imports matplotlib, which is slow
    )

    ranked = zip(prediction.ranking, prediction.boxes, strict=True)
    for place, ((name, probability), box) in enumerate(ranked):
        if box and (place == 0 or (above is not None and probability >= above)):
            drawn = name_or_number(name, place + 1, pillow=True)
            label = f"{drawn}, {100 * probability:.0f} %"
            yield Mark(box, label, PALETTE[place % len(PALETTE)])


def free_name(stem: str, taken: set[str]) -> str:
    """Return an unused name and mark it as taken.

    >>> taken = {"cat"}
    >>> free_name("cat", taken), free_name("cat", taken), free_name("dog", taken)
    ('cat-2', 'cat-3', 'dog')
    """
    name, number = stem, 1
    while name in taken:
        number += 1
        name = f"{stem}-{number}"
    taken.add(name)
    return name
