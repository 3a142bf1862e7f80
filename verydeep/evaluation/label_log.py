"""Record of a multi-label test's answers, from which the report is drawn.

N images, K classes.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from verydeep.evaluation.multi_label import LabelAnswers


@dataclass(frozen=True)
class LabelRecord:
    """Answers of a test.

    Attributes:
        names: Names of the N images.
        truth: True for the classes of each image, bool (N, K).
        posteriors: float32 (N, K).
        classes: Names of the K classes.
    """

    names: tuple[str, ...]
    truth: NDArray[np.bool_]
    posteriors: NDArray[np.float32]
    classes: tuple[str, ...]

    @staticmethod
    def of(answers: LabelAnswers) -> LabelRecord:
        """Return the record of a test's answers."""
        return LabelRecord(answers.names, answers.truth, answers.posteriors, answers.classes)

    def rows(self) -> Iterator[dict[str, Any]]:
        """Yield plain values for each image, with class names; probabilities in class order."""
        for name, true, likely in zip(self.names, self.truth, self.posteriors, strict=True):
            yield {
                "file": name,
                "labels": [self.classes[label] for label in np.flatnonzero(true)],
                # Nine digits represent a float32 exactly.
                "probabilities": [float(f"{value:.9g}") for value in likely.tolist()],
            }

    @staticmethod
    def from_rows(rows: Iterable[Mapping[str, Any]], classes: Sequence[str]) -> LabelRecord:
        """Read back the output of :meth:`rows`.

        Raises:
            KeyError: A column is missing, or a class is unknown.
            ValueError: A value is invalid, or a row has another number of classes.
            TypeError: Likewise.
        """
        rows, number = list(rows), {name: label for label, name in enumerate(classes)}
        truth = np.zeros((len(rows), len(classes)), np.bool_)
        for place, row in enumerate(rows):
            truth[place, [number[name] for name in row["labels"]]] = True
        likely = np.array([row["probabilities"] for row in rows], np.float32)
        return LabelRecord(
            tuple(str(row["file"]) for row in rows),
            truth,
            likely.reshape(len(rows), len(classes)),
            tuple(classes),
        )
