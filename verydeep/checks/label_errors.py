"""Labels of a data set that are likely wrong, with the labels that fit better."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from dataclasses import asdict, dataclass, field
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from verydeep.checks.confident_learning import (
    Method,
    calibrated_joint,
    likely_errors,
    self_confidence,
    suggested_labels,
)
from verydeep.data.images.member import ImageSource
from verydeep.data.samples import Samples
from verydeep.errors import plural
from verydeep.system.summary import Rows, Summary


@dataclass(frozen=True, slots=True)
class LabelError:
    """An image whose label is likely wrong.

    Attributes:
        image: Path within the data set.
        split: Its split.
        given: Given class; of a multi-label image ``cat``, or ``not cat`` for a class that it
            lacks.
        suggested: The most likely other class; of a multi-label image the opposite.
        score: Probability of the given class, 0 to 1; the lowest come first.
        probability: Probability of the suggested class.
    """

    image: str
    split: str
    given: str
    suggested: str
    score: float
    probability: float


@dataclass(frozen=True, eq=False)
class Judged:
    """Images with the posteriors of models that have not seen them.

    Attributes:
        names: Paths within the data set, N.
        splits: Their splits.
        samples: The images; labels are indices of ``classes``, or of sets of them.
        posteriors: Class probabilities, (N, K).
        classes: Names of the K classes.
    """

    names: Sequence[str]
    splits: Sequence[str]
    samples: Samples
    posteriors: NDArray[np.float32]
    classes: tuple[str, ...]


WEAK = 40.0
"""Percent of the labels from which a model that prefers others is too weak to judge them."""


def judge_warning(top1_error: float | None) -> str:
    """Return a warning about a model that prefers other classes for many images; empty if few.

    Args:
        top1_error: Images whose given label is not the most likely, in percent; None for
            multi-label data.
    """
    if top1_error is None or top1_error < WEAK:
        return ""
    return (
        f"this model prefers another class for {top1_error:.0f} % of the images, so most of these "
        "are errors of its own: a better model gives a shorter list"
    )


@dataclass(frozen=True, repr=False)
class LabelErrors(Summary):
    """Labels that are likely wrong.

    Attributes:
        data: The data set.
        source: Origin of the posteriors, in words.
        method: How images were chosen; see
            :func:`verydeep.checks.confident_learning.likely_errors`.
        judged: Number of images judged.
        left_out: Images not judged, by reason.
        estimated: Estimated number of wrong labels among those judged, by the calibrated joint.
        top1_error: Images whose given label is not the most likely, in percent; None for
            multi-label data.
        hamming_loss: Of all pairs of a multi-label image and a class, those where the given answer
            is the less likely one, in percent; None for other data.
        errors: The images, most suspicious first.
        places: Locations of the images, in this order.
    """

    data: str
    source: str
    method: Method
    judged: int
    left_out: dict[str, int]
    estimated: float
    top1_error: float | None
    errors: tuple[LabelError, ...]
    places: tuple[ImageSource, ...] = field(repr=False, compare=False, default=())
    hamming_loss: float | None = None

    @property
    def pairs(self) -> list[tuple[str, str, int]]:
        """Pairs of given and suggested class with their counts, most frequent first."""
        counts = Counter((error.given, error.suggested) for error in self.errors)
        ordered = sorted(counts.items(), key=lambda pair: (-pair[1], pair[0]))
        return [(given, suggested, count) for (given, suggested), count in ordered]

    def facts(self) -> Rows:
        """Yield the facts to show."""
        yield "data", self.data
        yield "judged", f"{plural(self.judged, 'image')} by {self.source}"
        yield "likely wrong", plural(len(self.errors), "label")
        for given, suggested, count in self.pairs[:3]:
            yield f"{given} → {suggested}", count

    def to_dict(self) -> dict[str, Any]:
        """Return plain values for JSON."""
        return {
            "data": self.data,
            "source": self.source,
            "method": self.method,
            "judged": self.judged,
            "left_out": dict(self.left_out),
            "estimated": self.estimated,
            "top1_error": self.top1_error,
            "hamming_loss": self.hamming_loss,
            "pairs": [
                {"given": given, "suggested": suggested, "images": count}
                for given, suggested, count in self.pairs
            ],
            "errors": [asdict(error) for error in self.errors],
        }


def judge_labels(
    judged: Judged,
    *,
    data: str,
    source: str,
    method: Method = "both",
    left_out: dict[str, int] | None = None,
) -> LabelErrors:
    """Return the labels that are likely wrong, by confident learning.

    Args:
        judged: Images with posteriors.
        data: The data set, for the result.
        source: Origin of the posteriors, for the result.
        method: How images are chosen.
        left_out: Images that are not among them, by reason.

    Raises:
        InputError: There is no such method.
    """
    judge = _judge_classes if judged.samples.label_sets is None else _judge_sets
    found = judge(judged, method)
    return LabelErrors(
        data,
        source,
        method,
        len(judged.names),
        {reason: count for reason, count in (left_out or {}).items() if count},
        found.estimated,
        found.top1_error,
        tuple(error for _, error in found.errors),
        tuple(judged.samples[number].path for number, _ in found.errors),
        found.hamming_loss,
    )


class _Found(NamedTuple):
    """What was found.

    Attributes:
        errors: Number of the image and the error, most suspicious first.
        estimated: Estimated number of wrong labels.
        top1_error: As in :class:`LabelErrors`, like the next.
        hamming_loss: See there.
    """

    errors: list[tuple[int, LabelError]]
    estimated: float
    top1_error: float | None = None
    hamming_loss: float | None = None


def _judge_classes(judged: Judged, method: Method) -> _Found:
    """Judge images of one class."""
    labels = judged.samples.labels.astype(np.int64)
    likely = judged.posteriors
    own, other = self_confidence(likely, labels), suggested_labels(likely, labels)
    found = np.flatnonzero(likely_errors(likely, labels, method))
    # Among equals the one whose other class is surer comes first.
    rival = likely[np.arange(len(labels)), other]
    errors = [
        (
            number,
            LabelError(
                judged.names[number],
                judged.splits[number],
                judged.classes[labels[number]],
                judged.classes[other[number]],
                float(own[number]),
                float(rival[number]),
            ),
        )
        for number in found[np.lexsort((-rival[found], own[found]))].tolist()
    ]
    wrong = 100 * float(np.mean(likely.argmax(axis=1) != labels))
    return _Found(errors, _off_diagonal(likely, labels), wrong)


def _judge_sets(judged: Judged, method: Method) -> _Found:
    """Judge multi-label images, class by class: has an image the class, or has it not?"""
    sets, count = judged.samples.label_sets, len(judged.classes)
    assert sets is not None
    truth = sets.indicators(count)[judged.samples.labels].astype(np.int64)
    errors, estimated = [], 0.0
    for label, name in enumerate(judged.classes):
        has = judged.posteriors[:, label]
        likely, given = np.stack([1 - has, has], axis=1), truth[:, label]
        answers = (f"not {name}", name)
        own = self_confidence(likely, given)
        estimated += _off_diagonal(likely, given)
        for number in np.flatnonzero(likely_errors(likely, given, method)).tolist():
            answer, score = int(given[number]), float(own[number])
            image, split = judged.names[number], judged.splits[number]
            words = answers[answer], answers[1 - answer]
            errors.append((number, LabelError(image, split, *words, score, 1 - score)))
    errors.sort(key=lambda pair: pair[1].score)
    wrong = 100 * float(((judged.posteriors >= 0.5) != truth).mean())
    return _Found(errors, estimated, hamming_loss=wrong)


def _off_diagonal(posteriors: NDArray[np.float32], labels: NDArray[np.int64]) -> float:
    """Return the estimated number of wrong labels."""
    joint = calibrated_joint(posteriors, labels)
    return float(joint.sum() - np.trace(joint))
