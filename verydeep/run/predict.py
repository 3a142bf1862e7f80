"""What models say of people's own pictures."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from functools import partial
from pathlib import Path

from verydeep.classifier import load
from verydeep.data.decode import decode
from verydeep.data.sources import Picture
from verydeep.errors import InputError
from verydeep.files import write_atomically
from verydeep.insight.draw_boxes import PALETTE, Mark, draw_boxes
from verydeep.localization.localizer import load_localizer
from verydeep.localization.predict import localize
from verydeep.localization.protocol import USUAL_GRID, check_grid_use
from verydeep.model_path import is_other_torchvision
from verydeep.option_names import option
from verydeep.prediction import Prediction, Predictions
from verydeep.predictor import Predictor
from verydeep.progress import ProgressWish, choose_progress
from verydeep.torchvision_nets import torchvision_classifier


def predict(
    model: str | Path,
    pictures: Picture | Iterable[Picture],
    *,
    boxes: Sequence[str | Path] = (),
    top: int = 5,
    protocol: str | None = None,
    scales: Sequence[int] | None = None,
    flip: bool | None = None,
    grid: tuple[int, int] = USUAL_GRID,
    threshold: float | None = None,
    device: str | None = None,
    precision: str | None = None,
    progress: ProgressWish = None,
) -> Predictions:
    """Name what is on pictures, and where it is if there are box nets to say so.

    Args:
        model: Model or run folder of a classifier; or ``torchvision/NAME`` for one of torchvision's
            with the weights that it recommends, ``torchvision/NAME:WEIGHTS`` with other published
            ones, ``torchvision/NAME:FILE`` with those of a file.
        pictures: As for :meth:`verydeep.Classifier.predict`.
        boxes: Model or run folders of box nets.
        top: Classes to name, at most.
        protocol: Of the boxes, ``dense`` or ``crops``; None takes ``dense``.
        scales: Test scales Q in pixels; None takes those that the (first box) net was tested at.
        flip: Whether to look at mirror images too; None does as the classifier was tested.
        grid: Rows and columns of ``crops``.
        threshold: Of the merging of boxes.
        device: Where to compute; None decides.
        precision: ``bf16`` or ``fp32``; None decides.
        progress: Where to report to; None reports in a notebook and to a terminal, False is
            silent, True reports anyway.

    Raises:
        InputError: A model or a file cannot be used.
    """
    progress = choose_progress(progress)
    if not boxes:
        if protocol or threshold is not None or grid != USUAL_GRID:
            raise InputError(
                f"{option('protocol')}, {option('grid')} and {option('threshold')} are of boxes: "
                f"name a box net with {option('boxes')}"
            )
        named = _load_any(model, device, precision)
        return named.predict(pictures, top=top, scales=scales, flip=flip, progress=progress)
    if protocol not in (None, "dense", "crops"):
        raise InputError(
            f"{option('protocol')} of boxes must be dense or crops, got {protocol!r} instead"
        )
    check_grid_use(grid, protocol)
    classifier = load(model, device=device, precision=precision)
    nets = [load_localizer(folder, device=device, precision=precision) for folder in boxes]
    return localize(
        classifier,
        nets,
        pictures,
        protocol=protocol or "dense",
        top=top,
        scales=scales,
        flip=flip,
        grid=grid,
        threshold=threshold,
        progress=progress,
    )


def _load_any(model: str | Path, device: str | None, precision: str | None) -> Predictor:
    """Load a model or run folder, or any classifier of torchvision."""
    if is_other_torchvision(model):
        return torchvision_classifier(str(model), device=device, precision=precision)
    return load(model, device=device, precision=precision)


def draw_predictions(
    predictions: Sequence[Prediction], folder: Path, above: float | None = None
) -> None:
    """Write every picture with the box of its likeliest class, as ``NAME.png``.

    Of files with the same name, the second becomes ``NAME-2.png``. A class whose name is in letters
    that no font of this machine has is drawn by its rank: ``no. 1`` is the likeliest.

    Args:
        predictions: What was found.
        folder: Where to.
        above: Draw the boxes of other classes that are at least this likely, too, from 0 to 1;
            None draws none of them.

    Raises:
        InputError: The folder cannot be written.
    """
    taken: set[str] = set()
    for prediction in predictions:
        if prediction.source is None or prediction.fault:
            continue
        # The likeliest last, above the others.
        drawn = draw_boxes(decode(prediction.source), [*_marks(prediction, above)][::-1])
        name = free_name(prediction.source.stem, taken)
        try:
            write_atomically(folder / f"{name}.png", partial(drawn.save, format="PNG"))
        except OSError as error:
            raise InputError(f"{folder}: cannot be written ({error})") from error


def _marks(prediction: Prediction, above: float | None) -> Iterator[Mark]:
    from verydeep.insight.fonts import name_or_number  # brings matplotlib, which is slow

    ranked = zip(prediction.ranking, prediction.boxes, strict=True)
    for place, ((name, probability), box) in enumerate(ranked):
        if box and (place == 0 or (above is not None and probability >= above)):
            drawn = name_or_number(name, place + 1, pillow=True)
            label = f"{drawn}, {100 * probability:.0f} %"
            yield Mark(box, label, PALETTE[place % len(PALETTE)])


def free_name(stem: str, taken: set[str]) -> str:
    """Return a name that is not taken yet, and take it.

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
