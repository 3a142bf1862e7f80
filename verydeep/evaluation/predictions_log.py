"""Compact record of a test's answers: enough to plot, small even for a large test set.

It holds the true class and the most likely classes of each image, with their probabilities.

N images, K classes, T ≤ 5 most likely.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from verydeep.evaluation.abstention.abstention import Decisions
from verydeep.evaluation.calibration import BINS, Bin, reliability_of
from verydeep.evaluation.confusion import ClassErrors, rate_classes
from verydeep.evaluation.metrics import likeliest
from verydeep.evaluation.result import Answers


@dataclass(frozen=True)
class Decided:
    """Compact decisions of a model that has learned to abstain.

    Attributes:
        confidence: Calibrated probabilities of the most likely classes, float64 (N,).
        answered: False where the model abstains, bool (N,); None if it never does.
        covered: True where the set of classes contains the true one, bool (N,); None without sets.
        sizes: Numbers of classes in the sets, int64 (N,); None without.
    """

    confidence: NDArray[np.float64]
    answered: NDArray[np.bool_] | None
    covered: NDArray[np.bool_] | None
    sizes: NDArray[np.int64] | None

    @staticmethod
    def of(decisions: Decisions, labels: NDArray[np.int64]) -> Decided:
        """Return the decisions about images with their true classes (N,)."""
        abstained, sets = decisions.abstained, decisions.sets
        return Decided(
            decisions.confidence.astype(np.float64),
            None if abstained is None else ~abstained,
            None if sets is None else sets[np.arange(len(labels)), labels],
            None if sets is None else sets.sum(1),
        )

    def rows(self) -> Iterator[dict[str, Any]]:
        """Yield plain values for each image."""
        columns: dict[str, Iterable[Any]] = {
            "confidence": map(_exact, self.confidence.tolist()),
            **{
                name: column.tolist()
                for name, column in (
                    ("answered", self.answered),
                    ("covered", self.covered),
                    ("set_size", self.sizes),
                )
                if column is not None
            },
        }
        for values in zip(*columns.values(), strict=True):
            yield dict(zip(columns, values, strict=True))

    @staticmethod
    def from_rows(rows: Sequence[Mapping[str, Any]]) -> Decided | None:
        """Read back the output of :meth:`rows`; None if the rows hold none.

        Raises:
            KeyError: A column is missing in some rows.
            ValueError: A value is invalid.
        """

        def column(name: str, kind: type) -> NDArray[Any] | None:
            return np.array([row[name] for row in rows], kind) if name in rows[0] else None

        confidence = column("confidence", np.float64)
        if confidence is None:
            return None
        answered, covered = column("answered", np.bool_), column("covered", np.bool_)
        return Decided(confidence, answered, covered, column("set_size", np.int64))


KEPT = 5
"""Maximum number of classes kept per image."""


@dataclass(frozen=True)
class Record:
    """Compact answers of a test.

    Attributes:
        names: Names of the N images.
        labels: True classes, int64 (N,).
        probabilities: Probabilities of the true classes, float64 (N,).
        guesses: Most likely classes in descending order, int64 (N, T).
        confidences: Their probabilities, float64 (N, T).
        classes: Names of the K classes.
        decided: What the model said of its own knowledge; None if it has learned nothing of that.
    """

    names: tuple[str, ...]
    labels: NDArray[np.int64]
    probabilities: NDArray[np.float64]
    guesses: NDArray[np.int64]
    confidences: NDArray[np.float64]
    classes: tuple[str, ...]
    decided: Decided | None = None

    @staticmethod
    def of(answers: Answers, decisions: Decisions | None = None) -> Record:
        """Return the record of a test's answers, and of decisions about them."""
        likely, labels = answers.posteriors, answers.labels
        guesses = likeliest(likely, KEPT)
        return Record(
            answers.names,
            labels,
            np.take_along_axis(likely, labels[:, None], 1)[:, 0].astype(np.float64),
            guesses,
            np.take_along_axis(likely, guesses, 1).astype(np.float64),
            answers.classes,
            Decided.of(decisions, answers.labels) if decisions else None,
        )

    @property
    def wrong(self) -> NDArray[np.bool_]:
        """True where the most likely class is wrong, bool (N,)."""
        return np.not_equal(self.guesses[:, 0], self.labels)

    @property
    def margins(self) -> NDArray[np.float64]:
        """Probability gap between the first and second class, float64 (N,); 1 with one class."""
        rest = self.confidences[:, 1] if self.confidences.shape[1] > 1 else 0.0
        return self.confidences[:, 0] - rest

    def worst_mistakes(self, count: int) -> list[int]:
        """Return indices of misclassified images, most confident mistakes first."""
        order = np.argsort(-self.confidences[:, 0], kind="stable")
        return [int(number) for number in order[self.wrong[order]][:count]]

    def most_doubtful(self, count: int) -> list[int]:
        """Return indices of images, right or wrong, smallest margin first."""
        return [int(number) for number in np.argsort(self.margins, kind="stable")[:count]]

    def mistaken_pairs(self) -> list[tuple[int, int, int]]:
        """Return (true class, predicted class, count) of mistakes, most frequent first."""
        classes = len(self.classes)
        codes = (self.labels * classes + self.guesses[:, 0])[self.wrong]
        found, counts = np.unique(codes, return_counts=True)
        pairs = zip(found.tolist(), counts.tolist(), strict=True)
        return sorted(
            ((code // classes, code % classes, count) for code, count in pairs),
            key=lambda pair: (-pair[2], pair[:2]),
        )

    def class_errors(self) -> list[ClassErrors]:
        """Return the errors of every class, in class order, without building a K×K matrix."""
        classes = len(self.classes)
        images = np.bincount(self.labels, minlength=classes)
        taken = np.bincount(self.guesses[:, 0], minlength=classes)
        right = np.bincount(self.labels[~self.wrong], minlength=classes)
        most: dict[int, tuple[str, int]] = {}
        for true, guess, count in self.mistaken_pairs():
            most.setdefault(true, (self.classes[guess], count))
        return rate_classes(self.classes, images, taken, right, most)

    def reliability(self, bins: int = BINS) -> list[Bin]:
        """Return confidence and accuracy in bins of equal width."""
        return reliability_of(self.confidences[:, 0], ~self.wrong, bins)

    def rows(self) -> Iterator[dict[str, Any]]:
        """Yield plain values for each image, with class names."""
        columns = (self.labels, self.probabilities, self.guesses, self.confidences)
        decided = self.decided.rows() if self.decided else ({} for _ in self.names)
        for name, label, probability, guesses, confidences, more in zip(
            self.names, *(column.tolist() for column in columns), decided, strict=True
        ):
            yield {
                "file": name,
                "class": self.classes[label],
                "probability": _exact(probability),
                "likeliest": [self.classes[guess] for guess in guesses],
                "probabilities": [_exact(value) for value in confidences],
                **more,
            }

    @staticmethod
    def from_rows(rows: Iterable[Mapping[str, Any]], classes: Sequence[str]) -> Record:
        """Read back the output of :meth:`rows`.

        Args:
            rows: At least one row.
            classes: Names of the K classes.

        Raises:
            KeyError: A column is missing, or a class is unknown.
            ValueError: A value is invalid, or the rows differ in length.
            TypeError: Likewise.
        """
        rows, number = list(rows), {name: label for label, name in enumerate(classes)}
        guesses = [[number[name] for name in row["likeliest"]] for row in rows]
        return Record(
            tuple(str(row["file"]) for row in rows),
            np.array([number[row["class"]] for row in rows], np.int64),
            np.array([row["probability"] for row in rows], np.float64),
            np.array(guesses, np.int64).reshape(len(rows), -1),
            np.array([row["probabilities"] for row in rows], np.float64),
            tuple(classes),
            Decided.from_rows(rows),
        )


def _exact(value: float) -> float:
    """Return a float32 rounded to nine digits, enough to identify it exactly."""
    return float(f"{value:.9g}")
