"""Tests of a study's box regressors (appendix A), each with the classifier that it began with.

The paper takes the classes from its best classifiers. Here they come from the net that the boxes
were trained from, so that a test needs no other training.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence

import numpy as np
from numpy.typing import NDArray

from verydeep.evaluation.evaluate import relabel
from verydeep.localization.evaluate import evaluate_boxes
from verydeep.localization.localizer import load_localizer
from verydeep.localization.protocol import CORRECT_ABOVE
from verydeep.localization.result import LocalizationResult
from verydeep.models.classifier import load_classifier
from verydeep.run.reproduce.study import Study
from verydeep.study.conditions import Condition, Need
from verydeep.study.plan import TestPart
from verydeep.study.results import Outcome
from verydeep.system.progress import Progress
from verydeep.system.settings import Compute


def box_outcomes(
    study: Study, part: TestPart, progress: Progress
) -> Iterator[tuple[Outcome, Sequence[str]]]:
    """Test box regressors on the validation images with a box, and yield what came of it.

    Yields:
        Outcomes with the names of the images.
    """
    compute = Compute(study.compute.device, study.compute.precision, engine="torch")
    flip = bool(study.settings.get("test.flip", True))
    for condition, measure in part.tests:
        protocol = study.budget.box_protocol(condition, measure, flip=flip)
        nets = [load_localizer(study.run(one, part.seed), compute) for one in condition.members]
        models = [
            load_classifier(study.run(source, part.seed), compute)
            for source in _sources(condition)
            if protocol.guesses
        ]
        result = evaluate_boxes(
            models,
            nets,
            relabel(study.dataset, "val", nets[0].classes),
            protocol,
            split="val",
            root=study.dataset.root,
            progress=progress,
        )
        yield (
            _outcome((condition, measure), part.seed, result),
            [answer.name for answer in result.answers],
        )


def _sources(condition: Condition) -> list[Condition]:
    return [source for one in condition.members if (source := one.source) is not None]


def _outcome(test: Need, seed: int, result: LocalizationResult) -> Outcome:
    first, five = (wrong_boxes(result, top) for top in (1, 5))
    errors = 100 * float(first.mean()), 100 * float(five.mean())
    return Outcome(*test, seed, *errors, result.images, result.seconds, first, five)


def wrong_boxes(result: LocalizationResult, top: int) -> NDArray[np.bool_]:
    """Return whether no class with its box is right among the first ``top``, bool (N,).

    Where the true class was given, whether its box is wrong, whatever ``top`` is.
    """
    if result.protocol == "center":
        wrong = [answer.overlap <= CORRECT_ABOVE for answer in result.answers]
    else:
        wrong = [
            not any(answer.is_right(guess) for guess in answer.located.guesses[:top])
            for answer in result.answers
        ]
    return np.array(wrong, bool)
