"""What is kept of a test's answers: enough to draw them, little enough for a large test set.

Of every image the true class with its probability, and the likeliest classes with theirs.

N images, K classes, T ≤ 5 likeliest.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor

from verydeep.evaluation.calibration import BINS, Bin, reliability_of
from verydeep.evaluation.confusion import ClassErrors, rate_classes
from verydeep.evaluation.metrics import likeliest
from verydeep.evaluation.result import Answers

KEPT = 5
"""Likeliest classes that are kept of an image."""


@dataclass(frozen=True)
class Record:
    """The answers of a test, in brief.

    Attributes:
        names: Of the images, N.
        labels: True classes, int64 (N,).
        probabilities: Of the true classes, float64 (N,).
        guesses: The likeliest classes, the likeliest first, int64 (N, T).
        confidences: Their probabilities, float64 (N, T).
        classes: Names of the K classes.
    """

    names: tuple[str, ...]
    labels: Tensor
    probabilities: Tensor
    guesses: Tensor
    confidences: Tensor
    classes: tuple[str, ...]

    @staticmethod
    def of(answers: Answers) -> Record:
        """Return what is kept of answers."""
        likely = answers.posteriors.double()
        guesses = likeliest(answers.posteriors, KEPT)
        return Record(
            answers.names,
            answers.labels,
            likely.gather(1, answers.labels[:, None])[:, 0],
            guesses,
            likely.gather(1, guesses),
            answers.classes,
        )

    @property
    def wrong(self) -> Tensor:
        """Whether the likeliest class is not the true one, bool (N,)."""
        return self.guesses[:, 0] != self.labels

    @property
    def margins(self) -> Tensor:
        """How much likelier the first class is than the second, float64 (N,); one class has 1."""
        rest = self.confidences[:, 1] if self.confidences.shape[1] > 1 else 0.0
        return self.confidences[:, 0] - rest

    def worst_mistakes(self, count: int) -> list[int]:
        """Return numbers of wrong images, those with the likeliest wrong class first."""
        order = self.confidences[:, 0].argsort(descending=True, stable=True)
        return [int(number) for number in order[self.wrong[order]][:count]]

    def most_doubtful(self, count: int) -> list[int]:
        """Return numbers of images, right or wrong, those of the smallest margin first."""
        return [int(number) for number in self.margins.argsort(stable=True)[:count]]

    def mistaken_pairs(self) -> list[tuple[int, int, int]]:
        """Return true class, class it was taken for and how often, the most frequent first."""
        classes = len(self.classes)
        codes = (self.labels * classes + self.guesses[:, 0])[self.wrong]
        found, counts = torch.unique(codes, return_counts=True)
        pairs = zip(found.tolist(), counts.tolist(), strict=True)
        return sorted(
            ((code // classes, code % classes, count) for code, count in pairs),
            key=lambda pair: (-pair[2], pair[:2]),
        )

    def class_errors(self) -> list[ClassErrors]:
        """Return the errors of every class, in their order, without a matrix of K² numbers."""
        classes = len(self.classes)
        images = self.labels.bincount(minlength=classes)
        taken = self.guesses[:, 0].bincount(minlength=classes)
        right = self.labels[~self.wrong].bincount(minlength=classes)
        most: dict[int, tuple[str, int]] = {}
        for true, guess, count in self.mistaken_pairs():
            most.setdefault(true, (self.classes[guess], count))
        return rate_classes(self.classes, images, taken, right, most)

    def reliability(self, bins: int = BINS) -> list[Bin]:
        """Return confidence and accuracy in ranges of equal width."""
        return reliability_of(self.confidences[:, 0], ~self.wrong, bins)

    def rows(self) -> Iterator[dict[str, Any]]:
        """Yield plain values of every image, with names for classes."""
        columns = (self.labels, self.probabilities, self.guesses, self.confidences)
        for name, label, probability, guesses, confidences in zip(
            self.names, *(column.tolist() for column in columns), strict=True
        ):
            yield {
                "file": name,
                "class": self.classes[label],
                "probability": _exact(probability),
                "likeliest": [self.classes[guess] for guess in guesses],
                "probabilities": [_exact(value) for value in confidences],
            }

    @staticmethod
    def from_rows(rows: Iterable[Mapping[str, Any]], classes: Sequence[str]) -> Record:
        """Read back what :meth:`rows` wrote.

        Args:
            rows: At least one.
            classes: Names of the K classes.

        Raises:
            KeyError: A column is missing, or a class is not among them.
            ValueError: A value is none of its kind, or the rows differ in length.
            TypeError: Likewise.
        """
        rows, number = list(rows), {name: label for label, name in enumerate(classes)}
        guesses = [[number[name] for name in row["likeliest"]] for row in rows]
        return Record(
            tuple(str(row["file"]) for row in rows),
            torch.tensor([number[row["class"]] for row in rows], dtype=torch.long),
            torch.tensor([row["probability"] for row in rows], dtype=torch.float64),
            torch.tensor(guesses, dtype=torch.long).reshape(len(rows), -1),
            torch.tensor([row["probabilities"] for row in rows], dtype=torch.float64),
            tuple(classes),
        )


def _exact(value: float) -> float:
    """Return a float32 by the nine digits that say it exactly."""
    return float(f"{value:.9g}")
