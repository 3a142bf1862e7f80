"""Tests of a study's nets as features of another data set (appendix B).

Every net sees each image once, at five scales. What the tests compare, averages and stacks of three
and five scales, and the features of two nets together, follows from these vectors.

N images, D features, Q scales.
"""

from __future__ import annotations

import time
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import replace

import numpy as np
from numpy.typing import NDArray

from verydeep.models.classifier import load_classifier
from verydeep.run.features import features
from verydeep.run.reproduce.study import Study
from verydeep.study.conditions import Condition, Measure, Need
from verydeep.study.plan import TestPart
from verydeep.study.results import Outcome
from verydeep.system.progress import Progress
from verydeep.system.settings import Compute
from verydeep.transfer.descriptor import Descriptor
from verydeep.transfer.features import Features, Vectors
from verydeep.transfer.probe import ProbeResult, probe

WIDE = Measure("svm-stack", "wide")


def feature_outcomes(
    study: Study, part: TestPart, progress: Progress
) -> Iterator[tuple[Outcome, Sequence[str]]]:
    """Train and test a linear SVM for each test.

    Yields:
        Outcomes with the names of the images.
    """
    assert study.transfer is not None
    started = time.perf_counter()
    found = {net: _features(study, net, part.seed, progress) for net in part.needs}
    reading = (time.perf_counter() - started) / len(part.tests)
    scales = len(study.budget.feature_scales(WIDE))
    for condition, measure in part.tests:
        chosen = _chosen(found, condition, measure, study, scales)
        result = probe(chosen, seed=part.seed, progress=progress)
        assert isinstance(result, ProbeResult), "a study is of one class per image"
        test = condition, measure
        yield _outcome(test, part.seed, result, reading), result.answers.files


def _features(study: Study, net: Condition, seed: int, progress: Progress) -> Features:
    """Return the features of a net at all scales, stacked."""
    assert study.transfer is not None
    compute = Compute(study.compute.device, study.compute.precision, engine="torch")
    flip = bool(study.settings.get("test.flip", True))
    how = Descriptor(study.budget.feature_scales(WIDE), flip, aggregate="stack")
    model = load_classifier(study.run(net, seed), compute)
    return features(model, study.transfer, how, progress=progress)


def _chosen(
    found: Mapping[Condition, Features],
    condition: Condition,
    measure: Measure,
    study: Study,
    scales: int,
) -> Features:
    """Return the features of a test: those of its nets one after the other."""
    first = found[condition.members[0]]
    count = len(study.budget.feature_scales(measure))
    stacked = measure.protocol == "svm-stack"
    each = [
        aggregated(found[net].vectors, scales, count, stacked=stacked) for net in condition.members
    ]
    return replace(first, vectors=_unit(np.concatenate(each, axis=1)))


def aggregated(vectors: Vectors, scales: int, count: int, *, stacked: bool) -> Vectors:
    """Return unit vectors of the first scales, stacked or averaged.

    The length of a stack of all scales is one, which scales all its parts alike. So their mean and
    their stack, once divided by their own lengths, are those that a descriptor of these scales
    would give.

    Args:
        vectors: Features at all scales, stacked, float32 (N, Q·D).
        scales: Q.
        count: Number of the first scales to take.
        stacked: Whether to stack them rather than average.

    Returns:
        float32 (N, count·D) or (N, D).
    """
    parts = vectors.reshape(len(vectors), scales, -1)[:, :count]
    return _unit(parts.reshape(len(parts), -1) if stacked else parts.mean(axis=1))


def _unit(vectors: Vectors) -> Vectors:
    """Divide vectors by their length; one of zeros stays as it is."""
    lengths = np.linalg.norm(vectors, axis=1, keepdims=True)
    return np.asarray(vectors / np.where(lengths > 0, lengths, 1), np.float32)


def _outcome(test: Need, seed: int, result: ProbeResult, reading: float) -> Outcome:
    answers = result.answers
    wrong: NDArray[np.bool_] = np.array(answers.labels) != np.array(answers.guesses)
    return Outcome(
        *test,
        seed,
        result.top1_error,
        result.top5_error,
        result.images,
        result.seconds + reading,
        wrong,
        ~np.array(answers.in_top5, bool),
    )
