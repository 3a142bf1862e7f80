"""Results of a box evaluation.

N images.
"""

from __future__ import annotations

import dataclasses
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

import torch
from torch import Tensor

from verydeep.data.geometry import Box
from verydeep.evaluation.significance import mcnemar, wilson_interval
from verydeep.localization.baselines import baselines
from verydeep.localization.box_geometry import iou
from verydeep.localization.detect import Guess, Located
from verydeep.localization.protocol import CORRECT_ABOVE, BoxProtocol
from verydeep.localization.verdict import verdict
from verydeep.system.summary import Rows, Summary, percent

Interval = tuple[float, float]


@dataclass(frozen=True)
class LocatedSample:
    """An image with its true class and boxes and its predictions.

    Attributes:
        name: Name of the image.
        label: Class index.
        boxes: True boxes of that class in pixels of the upright image, at least one.
        located: Predictions.
    """

    name: str
    label: int
    boxes: tuple[Box, ...]
    located: Located

    @property
    def overlap(self) -> float:
        """IoU of the true class's predicted box with the best-matching true box, 0 to 1."""
        assert self.located.given is not None
        return self.overlap_of(self.located.given.box)

    def overlap_of(self, box: Sequence[float] | None) -> float:
        """Return the IoU of a box with the best-matching true box; 0 for None."""
        if box is None:
            return 0.0
        true = torch.tensor(self.boxes, dtype=torch.float64)
        return float(iou(torch.tensor(box, dtype=torch.float64), true).max())

    def is_right(self, guess: Guess) -> bool:
        """Return whether a guess has the true class and a correct box."""
        return guess.label == self.label and self.overlap_of(guess.box) > CORRECT_ABOVE


@dataclass(frozen=True, repr=False)
class LocalizationResult(Summary):
    """Results of a box evaluation. Errors and intervals (95 %, Wilson) in percent.

    Attributes:
        localization_error: Error of the protocol. ``dense``, ``crops``: images where none of the
            five most likely classes (``top``, if fewer) is correct together with its box.
            ``center``: same as ``true_class_error``.
        localization_interval: Interval of ``localization_error``.
        top1_localization_error: Images whose most likely class or its box is wrong; None without a
            classification net.
        top1_localization_interval: Interval of ``top1_localization_error``.
        true_class_error: Images with a wrong box of the true class, guessed or not.
        true_class_interval: Interval of ``true_class_error``.
        mean_iou: Mean IoU of the true class's predicted box with the best-matching true box, 0 to
            1.
        top1_error: Images whose most likely class is wrong; None without a classification net.
        top5_error: Images whose class is not among the five most likely (``top``, if fewer).
        images: Number of images counted: readable and with a true box.
        unreadable: Names of unreadable images.
        without_box: Number of images without a true box, which are not counted.
        protocol: Name of the protocol.
        scales: Test scales Q used, in pixels.
        flip: True if mirror images were used too.
        grid: Rows and columns of ``crops``; None for other protocols.
        top: Number of classes whose boxes were predicted.
        merging: Limits of merging (``threshold`` and ``most``).
        split: Name of the split.
        models: Names of the classification nets.
        nets: Names of the box regressors.
        seconds: Duration of the evaluation.
        baselines: ``error`` (with the true class) and ``mean_iou`` of boxes that ignore the image:
            the training set's mean box, the constant box that is correct there most often, the
            whole image, the central square (side √½ of the smallest side).
        comparison: Box regressors against the best baseline, with the true class: its name
            (``baseline``), the number of images that only one of the two gets right, ``p_value``
            of McNemar's exact test (probability of at least this difference between equally good
            boxes), and ``learned``, True if the nets are significantly better.
        classes: Number of classes K; None in results of earlier versions.
        trained_on: Number of images that a net was trained on, which biases the error downwards;
            None if unknown.
        validated_on: Number of images used to choose a net's epoch; None if unknown.
        engine: Engine of the nets, such as ``torch``; None if unknown.
        precision: Its precision, such as ``fp32``; None if unknown.
        answers: Predictions for every image; not in :meth:`to_dict`.
    """

    localization_error: float
    localization_interval: Interval
    top1_localization_error: float | None
    top1_localization_interval: Interval | None
    true_class_error: float
    true_class_interval: Interval
    mean_iou: float
    top1_error: float | None
    top5_error: float | None
    images: int
    unreadable: tuple[str, ...]
    without_box: int
    protocol: str
    scales: tuple[int, ...]
    flip: bool
    grid: tuple[int, int] | None
    top: int
    merging: Mapping[str, Any]
    split: str
    models: tuple[str, ...]
    nets: tuple[str, ...]
    seconds: float
    baselines: Mapping[str, Mapping[str, float]]
    comparison: Mapping[str, Any]
    answers: tuple[LocatedSample, ...] = field(repr=False, compare=False)
    classes: int | None = None
    trained_on: int | None = None
    validated_on: int | None = None
    engine: str | None = None
    precision: str | None = None

    def facts(self) -> Rows:
        """Yield the facts for display."""
        yield "localization error", percent(self.localization_error, self.localization_interval)
        yield "mean IoU", f"{self.mean_iou:.3f}"
        yield "images", f"{self.images:,} of {self.split}"
        yield "protocol", f"{self.protocol}, Q = {', '.join(map(str, self.scales))}"
        yield "box regressor", " + ".join(self.nets)

    def to_dict(self) -> dict[str, Any]:
        """Return plain values for JSON."""
        names = [part.name for part in dataclasses.fields(self) if part.name != "answers"]
        return {
            name: list(value) if isinstance(value := getattr(self, name), tuple) else value
            for name in names
        }


def make_localization_result(
    answers: Sequence[LocatedSample],
    protocol: BoxProtocol,
    *,
    fitted: Mapping[str, Tensor],
    unreadable: tuple[str, ...],
    without_box: int,
    split: str,
    models: tuple[str, ...],
    nets: tuple[str, ...],
    seconds: float,
    classes: int | None = None,
) -> LocalizationResult:
    """Return the results of an evaluation.

    Args:
        answers: N images with their predictions, N ≥ 1.
        protocol: Test protocol.
        fitted: Baseline boxes of the training set, (4,) each, if known.
        unreadable: Names of unreadable images.
        without_box: Number of images without a true box.
        split: Name of the split.
        models: Names of the classification nets.
        nets: Names of the box regressors.
        seconds: Duration of the evaluation.
        classes: Number of classes K.
    """
    overlaps, known = [answer.overlap for answer in answers], _baselines(answers, fitted)
    true_class, true_interval = _error([overlap > CORRECT_ABOVE for overlap in overlaps])
    located, located_interval = true_class, true_interval
    if protocol.guesses:
        located, located_interval = _error(_hits(answers, 5, LocatedSample.is_right))
    top1 = _error(_hits(answers, 1, LocatedSample.is_right)) if models else (None, None)
    return LocalizationResult(
        localization_error=located,
        localization_interval=located_interval,
        top1_localization_error=top1[0],
        top1_localization_interval=top1[1],
        true_class_error=true_class,
        true_class_interval=true_interval,
        mean_iou=sum(overlaps) / len(overlaps),
        top1_error=_error(_hits(answers, 1, _names_it))[0] if models else None,
        top5_error=_error(_hits(answers, 5, _names_it))[0] if models else None,
        images=len(answers),
        unreadable=unreadable,
        without_box=without_box,
        protocol=protocol.name or "dense",
        scales=protocol.used_scales,
        flip=protocol.guesses and protocol.mirrors,
        grid=protocol.grid if protocol.name == "crops" else None,
        top=protocol.top,
        merging=dataclasses.asdict(protocol.merging),
        split=split,
        models=models,
        nets=nets,
        seconds=seconds,
        baselines={name: _worth(found) for name, found in known.items()},
        comparison=_comparison(overlaps, known),
        answers=tuple(answers),
        classes=classes,
    )


def _error(right: Sequence[bool]) -> tuple[float, Interval]:
    wrong = len(right) - sum(right)
    return 100 * wrong / len(right), wilson_interval(wrong, len(right))


def _hits(
    answers: Sequence[LocatedSample], k: int, good: Callable[[LocatedSample, Guess], bool]
) -> list[bool]:
    """Return for each image whether one of its first k guesses is good."""
    return [any(good(answer, guess) for guess in answer.located.guesses[:k]) for answer in answers]


def _names_it(answer: LocatedSample, guess: Guess) -> bool:
    return guess.label == answer.label


def _baselines(
    answers: Sequence[LocatedSample], fitted: Mapping[str, Tensor]
) -> dict[str, list[float]]:
    """Return the IoU of each baseline on every image."""
    overlaps: dict[str, list[float]] = {}
    for answer in answers:
        for name, box in baselines(answer.located.size, fitted).items():
            overlaps.setdefault(name, []).append(answer.overlap_of(box.tolist()))
    return overlaps


def _worth(overlaps: Sequence[float]) -> dict[str, float]:
    error, _ = _error([overlap > CORRECT_ABOVE for overlap in overlaps])
    return {"error": error, "mean_iou": sum(overlaps) / len(overlaps)}


def _comparison(
    overlaps: Sequence[float], known: Mapping[str, Sequence[float]]
) -> dict[str, str | int | float]:
    """Compare the nets with the baseline of lowest error; the best IoU breaks ties."""
    wrong = {name: _missed(found) for name, found in known.items()}
    best = min(known, key=lambda name: (int(wrong[name].sum()), -sum(known[name])))
    compared = mcnemar(_missed(overlaps), wrong[best])
    found: dict[str, str | int | float] = {
        "baseline": best,
        "only_net_right": compared.only_second_wrong,
        "only_baseline_right": compared.only_first_wrong,
        "p_value": compared.p_value,
    }
    return found | {"learned": verdict(found) is None}


def _missed(overlaps: Sequence[float]) -> Tensor:
    return torch.tensor([overlap <= CORRECT_ABOVE for overlap in overlaps])
