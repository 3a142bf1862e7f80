"""What is on people's own images, and where.

K classes.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from pathlib import Path

from verydeep.data.images.inputs import Picture, list_pictures
from verydeep.data.pipeline.rescaled import TestPictures
from verydeep.localization.detect import Located, locate
from verydeep.localization.localizer import Localizer
from verydeep.localization.protocol import BoxProtocol
from verydeep.models.classifier import Classifier
from verydeep.models.prediction import Prediction, Predictions
from verydeep.system.progress import ProgressWish, choose_progress


def localize(
    classifier: Classifier | Sequence[Classifier],
    localizer: Localizer | Sequence[Localizer],
    pictures: Picture | Iterable[Picture],
    protocol: str | BoxProtocol = "dense",
    *,
    progress: ProgressWish = None,
) -> Predictions:
    """Name the classes of images, and say where they are (appendix A, Testing 2).

    Args:
        classifier: Says which classes an image shows; of several the mean.
        localizer: Says where; the boxes of several are joined before they are merged.
        pictures: As for :meth:`verydeep.Classifier.predict`.
        protocol: ``dense`` or ``crops``, or a :class:`~verydeep.localization.protocol.BoxProtocol`,
            whose ``top`` is the most classes to name.
        progress: Where to report to; None reports in a notebook and to a terminal, False is
            silent, True reports anyway.

    Returns:
        One prediction an image, in order, with a box for each class named.

    Raises:
        InputError: A file does not exist, or the nets do not fit each other or the scales.
    """
    progress = choose_progress(progress)
    models = [classifier] if isinstance(classifier, Classifier) else list(classifier)
    nets = [localizer] if isinstance(localizer, Localizer) else list(localizer)
    sources = list_pictures(pictures, progress)
    how = BoxProtocol.of(protocol).for_nets(models, nets, len(models[0].classes))
    tested = TestPictures(sources, how.used_scales)
    with progress.task("finding objects", len(sources)) as task:
        found = locate(models, nets, tested, how, task=task)
    return Predictions(
        _prediction(models[0], source, found.get(index), tested.unreadable.get(index))
        for index, source in enumerate(sources)
    )


def _prediction(
    model: Classifier, source: Picture, located: Located | None, fault: str | None
) -> Prediction:
    guesses = located.guesses if located else ()
    return Prediction(
        source if isinstance(source, Path) else None,
        tuple((model.title(guess.label), float(guess.probability or 0)) for guess in guesses),
        fault,
        boxes=tuple(guess.box for guess in guesses),
        class_name=model.classes[guesses[0].label] if guesses else None,
    )
