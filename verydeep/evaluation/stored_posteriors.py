"""Posteriors of many images in a file, ``posteriors.npz``: what nets say of images new to them.

N images, K classes.
"""

from __future__ import annotations

import zipfile
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from verydeep.data.string_array import Names
from verydeep.errors import DataError
from verydeep.evaluation.result import Answers
from verydeep.system.files import write_atomically

POSTERIORS = "posteriors.npz"


@dataclass(frozen=True, eq=False)
class StoredPosteriors:
    """Answers of a test, or of all folds of a cross-validation.

    Attributes:
        answers: Names, classes and posteriors of the N images.
        folds: Fold in which each image was held out, from 1, int64 (N,).
    """

    answers: Answers
    folds: NDArray[np.int64]

    @staticmethod
    def joined(parts: Sequence[StoredPosteriors]) -> StoredPosteriors:
        """Return the images of several parts, sorted by name.

        Raises:
            DataError: An image is in several parts, or their classes differ.
        """
        names = [name for part in parts for name in part.answers.names]
        if len(set(names)) < len(names) or len({part.answers.classes for part in parts}) > 1:
            raise DataError("the folds share images, or differ in their classes")
        order = sorted(range(len(names)), key=names.__getitem__)
        labels = np.concatenate([part.answers.labels for part in parts])[order]
        likely = np.concatenate([part.answers.posteriors for part in parts])[order]
        ordered = tuple(names[number] for number in order)
        answers = Answers(ordered, labels, likely, parts[0].answers.classes)
        return StoredPosteriors(answers, np.concatenate([part.folds for part in parts])[order])

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
                    labels=self.answers.labels,
                    posteriors=self.answers.posteriors,
                    folds=self.folds,
                )

        write_atomically(path, write)

    @staticmethod
    def read(path: Path) -> StoredPosteriors:
        """Read the file.

        Raises:
            DataError: It is missing or damaged.
        """
        try:
            with np.load(path, allow_pickle=False) as arrays:
                return _from_arrays(arrays)
        except (OSError, ValueError, KeyError, EOFError, zipfile.BadZipFile) as error:
            raise DataError(f"{path}: cannot be read ({error})") from error


def _from_arrays(arrays: Any) -> StoredPosteriors:
    names = tuple(Names.unpacked(arrays["names"], arrays["ends"]))
    classes = tuple(Names.unpacked(arrays["classes"], arrays["class_ends"]))
    posteriors, labels, folds = (arrays[key] for key in ("posteriors", "labels", "folds"))
    if posteriors.shape != (len(names), len(classes)) or not len(names) == len(labels) == len(
        folds
    ):
        raise ValueError("arrays of different lengths")
    return StoredPosteriors(Answers(names, labels, posteriors, classes), folds)
