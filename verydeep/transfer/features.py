"""Features of a data set: a vector for each image, with its name, split and class.

N images, D numbers of an image.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import asdict, dataclass, replace
from typing import Any, Self

import numpy as np
from numpy.typing import NDArray
from pydantic import TypeAdapter

from verydeep.errors import DataError, did_you_mean

Vectors = NDArray[np.float32]

FORMAT = 1
"""Raised when a file of features is written in a way that older programs misread."""


@dataclass(frozen=True)
class About:
    """How features were made.

    Attributes:
        model: The model folder, as it was given; the net's name for a model from memory.
        net: Name of the net.
        layer: Whose activations they are.
        scales: Q, in pixels.
        flip: Whether mirror images were averaged in.
        aggregate: What became of the scales: ``mean`` or ``stack``.
        dimension: D.
        precision: ``bf16`` or ``fp32``.
        data: The data set, as it was given.
        classes: Names of its K classes.
        version: Of this package.
        unreadable: Names of the images that could not be read, and have no vector.
        format: Of the file.
    """

    model: str
    net: str
    layer: str
    scales: tuple[int, ...]
    flip: bool
    aggregate: str
    dimension: int
    precision: str
    data: str
    classes: tuple[str, ...]
    version: str
    unreadable: tuple[str, ...] = ()
    format: int = FORMAT

    def to_dict(self) -> dict[str, Any]:
        """Return plain values."""
        return {k: list(v) if isinstance(v, tuple) else v for k, v in asdict(self).items()}

    @classmethod
    def from_dict(cls, values: Mapping[str, Any]) -> Self:
        """Return what :meth:`to_dict` was made of.

        Raises:
            ValidationError: It is no such thing.
        """
        return TypeAdapter(cls).validate_python(values)


@dataclass(frozen=True, eq=False)
class Features:
    """A vector for each image of a data set.

    Attributes:
        files: Names of the images within the data set, text (N,).
        splits: The split of each, text (N,).
        labels: Its class, by name, text (N,).
        vectors: float32 (N, D), rows of length one.
        about: How they were made.
    """

    files: NDArray[np.str_]
    splits: NDArray[np.str_]
    labels: NDArray[np.str_]
    vectors: Vectors
    about: About

    def __len__(self) -> int:
        return len(self.vectors)

    def __repr__(self) -> str:
        return f"<Features of {len(self):,} images, {self.about.dimension} numbers each>"

    @property
    def split_names(self) -> tuple[str, ...]:
        """Names of the splits, in the order in which they come."""
        return tuple(dict.fromkeys(self.splits.tolist()))

    def split(self, name: str) -> Self:
        """Return the features of one split.

        Raises:
            DataError: There is no such split.
        """
        if name not in self.split_names:
            raise DataError(
                f"features of {self.about.data}: no split {name!r}; there is "
                f"{', '.join(self.split_names)}{did_you_mean(name, self.split_names)}"
            )
        of_it = self.splits == name
        return replace(
            self,
            files=self.files[of_it],
            splits=self.splits[of_it],
            labels=self.labels[of_it],
            vectors=self.vectors[of_it],
        )
