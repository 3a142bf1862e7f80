"""What models say of people's own pictures."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from pathlib import Path

from verydeep.classifier import Prediction, load
from verydeep.data.sources import Picture
from verydeep.localization.localizer import load_localizer
from verydeep.localization.predict import localize


def predict(
    model: str | Path,
    pictures: Picture | Iterable[Picture],
    *,
    boxes: Sequence[str | Path] = (),
    top: int = 5,
    device: str | None = None,
    precision: str | None = None,
) -> list[Prediction]:
    """Name what is on pictures, and where it is if there are box nets to say so.

    Args:
        model: Model or run folder of a classifier.
        pictures: As for :meth:`verydeep.Classifier.predict`.
        boxes: Model or run folders of box nets.
        top: Classes to name, at most.
        device: Where to compute; None decides.
        precision: ``bf16`` or ``fp32``; None decides.

    Raises:
        InputError: A model or a file cannot be used.
    """
    classifier = load(model, device=device, precision=precision)
    if not boxes:
        return classifier.predict(pictures, top=top)
    nets = [load_localizer(folder, device=device, precision=precision) for folder in boxes]
    return localize(classifier, nets, pictures, top=top)
