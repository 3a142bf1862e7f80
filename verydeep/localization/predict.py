"""Prediction of classes and boxes for a user's images."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from pathlib import Path

from verydeep.data.images.inputs import Picture, list_pictures
from verydeep.data.pipeline.rescaled import TestPictures
from verydeep.evaluation.workload import pixels_to_see, shapes_vary
from verydeep.localization.detect import Located, locate
from verydeep.localization.localizer import Localizer
from verydeep.localization.protocol import BoxProtocol
from verydeep.models.classifier import Classifier
from verydeep.models.engines.answered import answered_by
from verydeep.models.loading import check_kind
from verydeep.models.prediction import Prediction, Predictions
from verydeep.system.one_or_many import one_or_many
from verydeep.system.progress import ProgressWish, choose_progress


def localize(
    classifier: Classifier | Sequence[Classifier],
    localizer: Localizer | Sequence[Localizer],
    pictures: Picture | Iterable[Picture],
    protocol: str | BoxProtocol = "dense",
    *,
    progress: ProgressWish = None,
) -> Predictions:
    """Predict the classes of images and their boxes (appendix A, second test protocol).

    Args:
        classifier: Classifier; several are averaged.
        localizer: Box regressor; the boxes of several are pooled before merging.
        pictures: Images, as for :meth:`verydeep.Classifier.predict`.
        protocol: ``dense`` or ``crops``, or a :class:`~verydeep.localization.protocol.BoxProtocol`,
            whose ``top`` is the maximum number of classes.
        progress: Progress report: None reports in a notebook or terminal only, True always, False
            never.

    Returns:
        One prediction per image, in order, with a box for each ranked class. Probabilities are
        calibrated if a single classifier is.

    Raises:
        InputError: A file does not exist, or the nets are incompatible with each other or the
            scales.
        ModelError: A classifier is multi-label or for volumes.
    """
    progress = choose_progress(progress)
    models, nets = one_or_many(classifier), one_or_many(localizer)
    for model in models:
        check_kind(model, f"net {model.name}", multi_label=False)
        model.check_images("a box regressor")
    sources = list_pictures(pictures, progress)
    how = BoxProtocol.of(protocol).for_nets(models, nets, len(models[0].classes))
    for model in (*models, *nets):
        pixels = pixels_to_see([how.as_test], len(sources), model.input_size)
        model.prepare(pixels, progress, shapes_vary=shapes_vary([how.as_test]))
    tested = TestPictures(sources, how.used_scales)
    with progress.task("finding objects", len(sources)) as task:
        found = locate(models, nets, tested, how, calibrated=True, task=task)
    predictions = (
        _prediction(models[0], source, found.get(index), tested.unreadable.get(index))
        for index, source in enumerate(sources)
    )
    return Predictions(predictions, **answered_by([*models, *nets]))


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
