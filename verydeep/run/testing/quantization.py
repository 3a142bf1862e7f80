"""Outcome of a quantization, and how it is judged: int8 against fp32 on the same images.

N images, K classes.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import asdict, dataclass
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from verydeep.errors import InputError
from verydeep.evaluation.evaluate import evaluate_labels, evaluate_samples
from verydeep.evaluation.label_metrics import binary_log_losses
from verydeep.evaluation.metrics import log_losses
from verydeep.evaluation.multi_label import MultiLabelResult
from verydeep.evaluation.paired import error_difference, mean_difference, precision_difference
from verydeep.evaluation.result import EvaluationResult
from verydeep.evaluation.significance import mcnemar
from verydeep.models.classifier import Classifier
from verydeep.system.summary import Rows, Summary

ERROR_BOUND = 1.0
"""Largest accepted increase of the top-1 error, in points."""

LOSS_BOUND = 0.05
"""Largest accepted increase of the loss, in nats."""

PRECISION_BOUND = 1.0
"""Largest accepted decrease of the mean average precision of a multi-label model, in points."""

LABEL_LOSS_BOUND = 0.01
"""Largest accepted increase of its loss, in nats; a mean over the classes, and so smaller."""

Interval = tuple[float, float]


@dataclass(frozen=True, repr=False, kw_only=True)
class AnyQuantization(Summary):
    """An int8 variant, and its test against fp32 on the same images.

    Attributes:
        kept: True if the variant was written into the model folder.
        within: True if the measures are within the bounds.
        split: Split of the test.
        protocol: Protocol of the test, in words.
        images: Number of images of the test.
        fp32: Measures of eager PyTorch in fp32, with ``loss`` in nats.
        int8: The same of the variant.
        loss_difference: Increase of the loss, in nats.
        loss_interval: Its 95 % confidence interval.
        loss_bound: Largest accepted increase of the loss, in nats.
        calibrated_on: Split, number and fingerprint of the calibration images.
        engine: Engine of the test in int8.
        processor: Processor of the test.
        versions: Versions of the packages that wrote and tested it.
        net: Hash of the weights that it was made from.
        forced: True if it was kept although it is not within the bounds.
    """

    kept: bool = False
    within: bool
    split: str
    protocol: str
    images: int
    fp32: dict[str, float]
    int8: dict[str, float]
    loss_difference: float
    loss_interval: Interval
    loss_bound: float
    calibrated_on: dict[str, Any]
    engine: str | None
    processor: str
    versions: dict[str, str | None]
    net: str
    forced: bool = False

    def facts(self) -> Rows:
        """Yield the facts to show."""
        yield "int8 variant", "kept" if self.kept else "not kept"
        yield self.measure()
        yield "loss", f"{self.int8['loss']:.4f}, in fp32 {self.fp32['loss']:.4f}"
        yield "images", f"{self.images:,} of {self.split}"

    def measure(self) -> tuple[str, str]:
        """Return name and value of the measure besides the loss."""
        raise NotImplementedError

    def to_dict(self) -> dict[str, Any]:
        """Return plain values for JSON."""
        plain = asdict(self)
        return {k: list(v) if isinstance(v, tuple) else v for k, v in plain.items()}


def _against(name: str, ours: AnyQuantization, difference: float, interval: Interval) -> str:
    """Return a measure in int8 beside that in fp32."""
    low, high = interval
    return (
        f"{ours.int8[name]:.2f} %, in fp32 {ours.fp32[name]:.2f} % "
        f"({difference:+.2f} points, 95 %: {low:+.2f} to {high:+.2f})"
    )


@dataclass(frozen=True, repr=False, kw_only=True)
class Quantization(AnyQuantization):
    """An int8 variant of a classifier of one class per image.

    Attributes:
        error_difference: Increase of the top-1 error, in points. ``fp32`` and ``int8`` have
            ``top1_error``, in percent.
        error_interval: Its 95 % confidence interval (Agresti & Min).
        error_bound: Largest accepted increase of the error, in points.
        only_fp32_wrong: Images that only fp32 got wrong.
        only_int8_wrong: Images that only int8 got wrong.
        p_value: McNemar's exact test of equal errors.
    """

    error_difference: float
    error_interval: Interval
    error_bound: float
    only_fp32_wrong: int
    only_int8_wrong: int
    p_value: float

    def measure(self) -> tuple[str, str]:
        """Return the top-1 errors."""
        said = _against("top1_error", self, self.error_difference, self.error_interval)
        return "top-1 error", said


@dataclass(frozen=True, repr=False, kw_only=True)
class MultiLabelQuantization(AnyQuantization):
    """An int8 variant of a multi-label classifier.

    Attributes:
        precision_difference: Increase of the mean average precision, in points. ``fp32`` and
            ``int8`` have ``mean_average_precision`` and ``micro_f1``, in percent; thresholds are
            the model's.
        precision_interval: Its 95 % interval: a bootstrap over images, of pairs.
        precision_bound: Largest accepted decrease, in points.
    """

    precision_difference: float
    precision_interval: Interval
    precision_bound: float

    def measure(self) -> tuple[str, str]:
        """Return the mean average precisions."""
        name = "mean_average_precision"
        said = _against(name, self, self.precision_difference, self.precision_interval)
        return "mean average precision", said


class Guard(NamedTuple):
    """How a variant is tested.

    Attributes:
        test: Tests models on samples; arguments as for ``evaluate_samples``.
        judge: Returns the outcome from the tests of fp32 and int8, and the facts about them.
    """

    test: Callable[..., Any]
    judge: Callable[..., AnyQuantization]


def guard_of(model: Classifier) -> Guard:
    """Return how an int8 variant of a model is tested."""
    if model.multi_label:
        return Guard(evaluate_labels, judge_labels)
    return Guard(evaluate_samples, judge_classes)


def judge_classes(fp32: EvaluationResult, int8: EvaluationResult, **facts: Any) -> Quantization:
    """Return the outcome for a classifier of one class per image."""
    found = mcnemar(fp32.answers.wrong, int8.answers.wrong)
    of_error = error_difference(found.only_first_wrong, found.only_second_wrong, fp32.images)
    of_loss = mean_difference(*(_losses(result) for result in (fp32, int8)))
    return Quantization(
        within=of_error[0] <= ERROR_BOUND and of_loss[0] <= LOSS_BOUND,
        fp32=_measures(fp32, "top1_error", "loss"),
        int8=_measures(int8, "top1_error", "loss"),
        error_difference=of_error[0],
        error_interval=of_error[1],
        error_bound=ERROR_BOUND,
        loss_difference=of_loss[0],
        loss_interval=of_loss[1],
        loss_bound=LOSS_BOUND,
        only_fp32_wrong=found.only_first_wrong,
        only_int8_wrong=found.only_second_wrong,
        p_value=found.p_value,
        **facts,
    )


def judge_labels(
    fp32: MultiLabelResult, int8: MultiLabelResult, **facts: Any
) -> MultiLabelQuantization:
    """Return the outcome for a multi-label classifier.

    Raises:
        InputError: No image has a label.
    """
    truth = fp32.answers.truth
    if not truth.any():
        raise InputError(
            f"{fp32.split}: no image has a label, so it cannot tell how well int8 answers"
        )
    first, second = (result.answers.posteriors for result in (fp32, int8))
    of_precision = precision_difference(first, second, truth)
    of_loss = mean_difference(binary_log_losses(first, truth), binary_log_losses(second, truth))
    return MultiLabelQuantization(
        within=of_precision[0] >= -PRECISION_BOUND and of_loss[0] <= LABEL_LOSS_BOUND,
        fp32=_measures(fp32, "mean_average_precision", "micro_f1", "loss"),
        int8=_measures(int8, "mean_average_precision", "micro_f1", "loss"),
        precision_difference=of_precision[0],
        precision_interval=of_precision[1],
        precision_bound=PRECISION_BOUND,
        loss_difference=of_loss[0],
        loss_interval=of_loss[1],
        loss_bound=LABEL_LOSS_BOUND,
        **facts,
    )


def _measures(result: EvaluationResult | MultiLabelResult, *names: str) -> dict[str, float]:
    return {name: getattr(result, name) for name in names}


def _losses(result: EvaluationResult) -> NDArray[np.float64]:
    """Return −log probability of the true class of every image, (N,)."""
    return np.asarray(log_losses(result.answers.posteriors, result.answers.labels), np.float64)
