"""What a test of boxes measured, and how.

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
from verydeep.localization.head import CORRECT_ABOVE
from verydeep.localization.protocol import BoxProtocol
from verydeep.localization.verdict import verdict
from verydeep.system.summary import Rows, Summary, percent

Interval = tuple[float, float]


@dataclass(frozen=True)
class LocatedSample:
    """An image, what is on it, and what was found.

    Attributes:
        name: Of the image.
        label: Number of its class.
        boxes: Where objects of that class are, in pixels of the upright image; at least one.
        located: What was found.
    """

    name: str
    label: int
    boxes: tuple[Box, ...]
    located: Located

    @property
    def overlap(self) -> float:
        """Overlap of the box of the true class with the true box that it meets best, 0 to 1."""
        assert self.located.given is not None
        return self.overlap_of(self.located.given.box)

    def overlap_of(self, box: Sequence[float] | None) -> float:
        """Return the overlap of a box with the true box that it meets best; 0 of none."""
        if box is None:
            return 0.0
        true = torch.tensor(self.boxes, dtype=torch.float64)
        return float(iou(torch.tensor(box, dtype=torch.float64), true).max())

    def is_right(self, guess: Guess) -> bool:
        """Return whether a guess names the class and meets one of its objects."""
        return guess.label == self.label and self.overlap_of(guess.box) > CORRECT_ABOVE


@dataclass(frozen=True, repr=False)
class LocalizationResult(Summary):
    """What a test of boxes measured, and how. Errors and intervals (95 %, Wilson) in percent.

    Attributes:
        localization_error: The error of the protocol. ``dense``, ``crops``: images of which none
            of the five likeliest classes (of ``top``, if fewer) is right together with its box.
            ``center``: the same as ``true_class_error``.
        localization_interval: Of that error.
        top1_localization_error: Images whose likeliest class is wrong, or its box; None without a
            classification net.
        top1_localization_interval: Of that error.
        true_class_error: Images on which the box of the true class is wrong, guessed or not.
        true_class_interval: Of that error.
        mean_iou: Mean overlap of the box of the true class with the true box it meets best, 0 to 1.
        top1_error: Images whose class was not the likeliest; None without a classification net.
        top5_error: Images whose class was not among the five likeliest (of ``top``, if fewer).
        images: Images counted: those that could be read and have a true box.
        unreadable: Names of those that could not be read.
        without_box: Images that have no true box; they are not counted.
        protocol: Name of the protocol.
        scales: Test scales Q that were looked at, in pixels.
        flip: Whether mirror images were looked at too.
        grid: Rows and columns of ``crops``; None of other protocols.
        top: Classes whose boxes were looked for.
        merging: Threshold and most boxes of the merging.
        split: Name of the split.
        models: Classification nets.
        nets: Box nets.
        seconds: Time that it took.
        baselines: ``error`` (with the true class) and ``mean_iou`` of boxes that know nothing of
            the image: the mean box of the training set, the constant box that is right most often
            there, the whole image, the central square (side √½ of the smallest side).
        comparison: The box nets against the best baseline, with the true class: its name
            (``baseline``), the images that only one of the two finds, ``p_value`` of McNemar's
            exact test, the probability that equally good boxes differ at least as much, and
            ``learned``, whether the nets find more, by more than chance.
        classes: K, how many the nets know; None in results of earlier versions.
        trained_on: Images that one of the nets was trained on, which makes the error too low;
            None if that is not known.
        validated_on: Images by which the epoch of one of the nets was chosen; None likewise.
        answers: What was found on every image; not in :meth:`to_dict`.
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

    def facts(self) -> Rows:
        """Yield the facts to show."""
        yield "localization error", percent(self.localization_error, self.localization_interval)
        yield "mean IoU", f"{self.mean_iou:.3f}"
        yield "images", f"{self.images:,} of {self.split}"
        yield "protocol", f"{self.protocol}, Q = {', '.join(map(str, self.scales))}"
        yield "box net", " + ".join(self.nets)

    def to_dict(self) -> dict[str, Any]:
        """Return plain values, as JSON holds them."""
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
    """Return the result of a test.

    Args:
        answers: What was found on every image, N ≥ 1.
        protocol: How.
        fitted: Boxes of the training set, (4,) each, as far as they are known.
        unreadable: Names of the images that could not be read.
        without_box: Images that have no true box.
        split: Name of the split.
        models: Classification nets.
        nets: Box nets.
        seconds: Time that it took.
        classes: K, how many the nets know.
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
    """Return of every image whether one of its first k guesses is good."""
    return [any(good(answer, guess) for guess in answer.located.guesses[:k]) for answer in answers]


def _names_it(answer: LocatedSample, guess: Guess) -> bool:
    return guess.label == answer.label


def _baselines(
    answers: Sequence[LocatedSample], fitted: Mapping[str, Tensor]
) -> dict[str, list[float]]:
    """Return the overlap that each baseline has on every image."""
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
    """Return the nets against the baseline that finds most; of equal ones, that of the best IoU."""
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
