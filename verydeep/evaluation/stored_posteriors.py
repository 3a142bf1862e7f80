"""Posteriors of many images in a file, ``posteriors.npz``: what nets say of images new to them.

N images, K classes.
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any, ClassVar, Generic, Self, TypeVar

import numpy as np
from numpy.typing import NDArray

from verydeep.data.string_array import Names
from verydeep.errors import DataError
from verydeep.evaluation.any_evaluation import plain
from verydeep.evaluation.label_metrics import binary_log_losses
from verydeep.evaluation.multi_label import LabelAnswers, joined_names, measures_of
from verydeep.evaluation.result import Answers, measures
from verydeep.system.csv_text import digits
from verydeep.system.files import write_atomically

POSTERIORS = "posteriors.npz"

A = TypeVar("A", Answers, LabelAnswers)
R = TypeVar("R")


@dataclass(frozen=True, eq=False)
class Stored(ABC, Generic[A]):
    """Answers of a test, or of all folds of a cross-validation.

    Attributes:
        answers: Names, classes and posteriors of the N images.
        folds: Fold in which each image was held out, from 1, int64 (N,).
    """

    answers: A
    folds: NDArray[np.int64]
    per_image: ClassVar[tuple[str, ...]]
    """Arrays of the answers with a row for each image."""

    @classmethod
    @abstractmethod
    def make(cls, names: tuple[str, ...], classes: tuple[str, ...], columns: dict[str, Any]) -> A:
        """Return answers from their parts."""

    @abstractmethod
    def measures(self) -> dict[str, Any]:
        """Return all measures that follow from the answers, as plain values."""

    @abstractmethod
    def rows(self) -> Iterator[Sequence[object]]:
        """Yield the rows of a table: its head, then one for each image."""

    @classmethod
    def joined(cls, parts: Sequence[Self]) -> Self:
        """Return the images of several parts, sorted by name.

        Raises:
            DataError: An image is in several parts, or their classes differ.
        """
        names = [name for part in parts for name in part.answers.names]
        if len(set(names)) < len(names) or len({part.answers.classes for part in parts}) > 1:
            raise DataError("the folds share images, or differ in their classes")
        order = sorted(range(len(names)), key=names.__getitem__)
        columns = {
            column: np.concatenate([getattr(part.answers, column) for part in parts])[order]
            for column in cls.per_image
        }
        ordered = tuple(names[number] for number in order)
        answers = cls.make(ordered, parts[0].answers.classes, columns)
        return cls(answers, np.concatenate([part.folds for part in parts])[order])

    def write(self, path: Path) -> None:
        """Write the file.

        Raises:
            InputError: The path is not writable.
            DiskError: The disk is full or failing.
        """
        text, ends = Names(self.answers.names).packed()
        classes, class_ends = Names(self.answers.classes).packed()

        def write(temporary: Path) -> None:
            with temporary.open("wb") as file:
                np.savez(
                    file,
                    names=text,
                    ends=ends,
                    classes=classes,
                    class_ends=class_ends,
                    folds=self.folds,
                    **{column: getattr(self.answers, column) for column in self.per_image},
                )

        write_atomically(path, write)

    @classmethod
    def read(cls, path: Path) -> Self:
        """Read the file.

        Raises:
            DataError: It is missing or damaged, or of another kind.
        """
        return _read_arrays(path, cls._from_arrays)

    @classmethod
    def _from_arrays(cls, arrays: Any) -> Self:
        names = tuple(Names.unpacked(arrays["names"], arrays["ends"]))
        classes = tuple(Names.unpacked(arrays["classes"], arrays["class_ends"]))
        columns: dict[str, Any] = {column: arrays[column] for column in cls.per_image}
        folds = arrays["folds"]
        whole = columns["posteriors"].shape == (len(names), len(classes))
        if not whole or any(len(one) != len(names) for one in (*columns.values(), folds)):
            raise ValueError("arrays of different lengths")
        return cls(cls.make(names, classes, columns), folds)


@dataclass(frozen=True, eq=False)
class StoredPosteriors(Stored[Answers]):
    """Answers of classifiers of one class per image."""

    per_image: ClassVar[tuple[str, ...]] = ("labels", "posteriors")

    @classmethod
    def make(
        cls, names: tuple[str, ...], classes: tuple[str, ...], columns: dict[str, Any]
    ) -> Answers:
        """Return answers from their parts."""
        return Answers(names, classes=classes, **columns)

    def measures(self) -> dict[str, Any]:
        """Return errors, loss and more."""
        return measures(self.answers)

    def rows(self) -> Iterator[Sequence[object]]:
        """Yield class, fold and likeliest class of each image."""
        answers = self.answers
        yield ("file", "class", "fold", "likeliest", "probability", "probability_of_class")
        for name, label, fold, guess, likely in zip(
            answers.names,
            answers.labels.tolist(),
            self.folds.tolist(),
            answers.guesses.tolist(),
            answers.posteriors,
            strict=True,
        ):
            shares = (digits(float(likely[one]), ".9g") for one in (guess, label))
            yield (name, answers.classes[label], fold, answers.classes[guess], *shares)


@dataclass(frozen=True, eq=False)
class StoredLabels(Stored[LabelAnswers]):
    """Answers of multi-label classifiers, with the thresholds of each image's net, (N, K)."""

    per_image: ClassVar[tuple[str, ...]] = ("truth", "posteriors", "thresholds")

    @classmethod
    def make(
        cls, names: tuple[str, ...], classes: tuple[str, ...], columns: dict[str, Any]
    ) -> LabelAnswers:
        """Return answers from their parts."""
        return LabelAnswers(names, classes=classes, **columns)

    def measures(self) -> dict[str, Any]:
        """Return average precisions, measures at the thresholds, loss and more."""
        answers = self.answers
        return {
            **plain(measures_of(answers)),
            "classes": len(answers.classes),
            "images": len(answers.names),
            "unlabelled": int((~answers.truth.any(1)).sum()),
        }

    def rows(self) -> Iterator[Sequence[object]]:
        """Yield true and predicted labels, fold and loss of each image."""
        answers = self.answers
        yield ("file", "labels", "fold", "predicted", "loss")
        for name, true, fold, found, loss in zip(
            answers.names,
            answers.truth,
            self.folds.tolist(),
            answers.predicted,
            binary_log_losses(answers.posteriors, answers.truth).tolist(),
            strict=True,
        ):
            labels, predicted = (joined_names(answers.classes, one) for one in (true, found))
            yield (name, labels, fold, predicted, digits(loss, ".9g"))


AnyStored = StoredPosteriors | StoredLabels


def stored(answers: Answers | LabelAnswers, fold: int) -> AnyStored:
    """Return the answers of a test on the images that a fold held out."""
    folds = np.full(len(answers.names), fold)
    if isinstance(answers, Answers):
        return StoredPosteriors(answers, folds)
    limits = np.broadcast_to(answers.thresholds, answers.posteriors.shape)
    return StoredLabels(replace(answers, thresholds=limits), folds)


def read_stored(paths: Sequence[Path]) -> AnyStored:
    """Read files of one kind, and return their images together.

    Raises:
        DataError: A file is missing or damaged, or they differ.
    """
    if _read_arrays(paths[0], lambda arrays: "truth" in arrays):
        return StoredLabels.joined([StoredLabels.read(path) for path in paths])
    return StoredPosteriors.joined([StoredPosteriors.read(path) for path in paths])


def _read_arrays(path: Path, read: Callable[[Any], R]) -> R:
    """Return what a function reads from the arrays of a file.

    Raises:
        DataError: The file is missing or damaged.
    """
    try:
        with path.open("rb") as file, np.load(file, allow_pickle=False) as arrays:
            return read(arrays)
    except Exception as error:  # a damaged file can make numpy and zipfile raise almost anything
        raise DataError(f"{path}: cannot be read ({error})") from error
