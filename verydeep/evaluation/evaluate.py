"""Evaluation of models by a test protocol (section 3.2): models and samples → result.

Every scale is a forward pass of its own. Views of many images that have the same size go through
a net together (:mod:`verydeep.evaluation.view_batching`).
"""

from __future__ import annotations

import dataclasses
import time
from collections.abc import Callable, Sequence
from typing import TypeVar, Unpack

import numpy as np
from numpy.typing import NDArray

from verydeep.data.dataset import Dataset
from verydeep.data.name_forms import nfc
from verydeep.data.samples import Sample, Samples
from verydeep.errors import DataError, did_you_mean
from verydeep.evaluation.any_evaluation import AnyEvaluation
from verydeep.evaluation.joint_tests import (
    Circumstances,
    Measured,
    Model,
    Test,
    measure_tests,
    one_test,
)
from verydeep.evaluation.multi_label import (
    LabelAnswers,
    MultiLabelModel,
    MultiLabelResult,
    make_label_result,
    thresholds_of,
    truth_of,
)
from verydeep.evaluation.protocol import TestProtocol
from verydeep.evaluation.result import Answers, EvaluationResult, make_result
from verydeep.evaluation.sigmoid import sigmoid
from verydeep.evaluation.softmax import softmax

M = TypeVar("M", bound=Model)
R = TypeVar("R", bound=AnyEvaluation)


def evaluate_samples(
    models: Sequence[Model],
    samples: Sequence[Sample],
    protocol: TestProtocol | Sequence[TestProtocol],
    **how: Unpack[Circumstances],
) -> EvaluationResult:
    """Test models on samples; every image is counted exactly once.

    Args:
        models: Models with the same classes; several are fused by averaging their posteriors.
        samples: Test samples; their labels are indices of the models' classes.
        protocol: One for all models, or one for each that differ only in scales.
        **how: See :class:`verydeep.evaluation.joint_tests.Circumstances`.

    Raises:
        InputError: A scale is too small for a net, the models' classes differ, or no image can
            be read.
    """
    return _alone(evaluate_tests, models, samples, protocol, how)


def evaluate_labels(
    models: Sequence[MultiLabelModel],
    samples: Sequence[Sample],
    protocol: TestProtocol | Sequence[TestProtocol],
    **how: Unpack[Circumstances],
) -> MultiLabelResult:
    """Test multi-label models on samples; arguments as for :func:`evaluate_samples`."""
    return _alone(evaluate_label_tests, models, samples, protocol, how)


def _alone(
    evaluate: Callable[..., list[R]],
    models: Sequence[M],
    samples: Sequence[Sample],
    protocol: TestProtocol | Sequence[TestProtocol],
    how: Circumstances,
) -> R:
    """Return the result of a single test, whose seconds include reading the images."""
    started = time.monotonic()
    (result,) = evaluate(models, samples, [one_test(models, protocol)], **how)
    return dataclasses.replace(result, seconds=time.monotonic() - started)


def evaluate_tests(
    models: Sequence[Model],
    samples: Sequence[Sample],
    tests: Sequence[Test],
    **how: Unpack[Circumstances],
) -> list[EvaluationResult]:
    """Run several tests on the same images at once, and compute shared work once.

    Raises:
        InputError: As in :func:`evaluate_samples`.
    """
    samples = Samples.of(samples)
    found = measure_tests(models, samples, tests, softmax, **how)
    labels = np.array(samples.labels[found.good], np.int64)

    def answers(_: Sequence[Model], likely: NDArray[np.float32]) -> Answers:
        return Answers(found.names, labels, likely, models[0].classes, found.distances)

    return _results(make_result, answers, models, tests, found, how)


def evaluate_label_tests(
    models: Sequence[MultiLabelModel],
    samples: Sequence[Sample],
    tests: Sequence[Test],
    **how: Unpack[Circumstances],
) -> list[MultiLabelResult]:
    """Run several tests of multi-label models at once; see :func:`evaluate_tests`."""
    samples = Samples.of(samples)
    found = measure_tests(models, samples, tests, sigmoid, **how)
    classes = models[0].classes
    truth = truth_of(samples, len(classes))[found.good]

    def answers(fused: Sequence[MultiLabelModel], likely: NDArray[np.float32]) -> LabelAnswers:
        return LabelAnswers(found.names, truth, likely, thresholds_of(fused), classes)

    return _results(make_label_result, answers, models, tests, found, how)


def _results(
    make: Callable[..., R],
    answers: Callable[[Sequence[M], NDArray[np.float32]], object],
    models: Sequence[M],
    tests: Sequence[Test],
    found: Measured,
    how: Circumstances,
) -> list[R]:
    """Return the result of each test.

    Args:
        make: Makes a result.
        answers: Returns the answers of the models of a test, from their posteriors.
        models: All models.
        tests: The tests.
        found: What they have found.
        how: Name of the split.
    """
    results = []
    for test, likely, seconds in zip(tests, found.posteriors, found.seconds, strict=True):
        fused = [models[net] for net, _ in test.members]
        result = make(
            fused,
            test.protocols,
            answers(fused, likely),
            unreadable=found.unreadable,
            split=how.get("split", ""),
            seconds=seconds,
        )
        results.append(result)
    return results


def relabel(dataset: Dataset, split: str, classes: Sequence[str]) -> Samples:
    """Return a split's samples, labelled by a model's class indices; classes match by name.

    Raises:
        DataError: The model does not know a class of the data set.
    """
    exact = {name: label for label, name in enumerate(classes)}
    known = {nfc(name): label for name, label in exact.items()} | exact
    unknown = [name for name in dataset.classes if nfc(name) not in known]
    if unknown:
        raise DataError(
            f"{dataset.place}: the model does not know {len(unknown)} of its classes: "
            f"{', '.join(map(repr, unknown[:5]))}{did_you_mean(unknown[0], known)}"
        )
    return dataset.split(split).relabelled([known[nfc(name)] for name in dataset.classes])
