"""Features of a data set: one vector per image, with file name, split and class.

N images, D features.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import asdict, dataclass, replace
from typing import Any, Self

import numpy as np
from numpy.typing import NDArray
from pydantic import TypeAdapter

from verydeep.errors import DataError, did_you_mean

Vectors = NDArray[np.float32]

FORMAT = 1
"""Version of the file format, increased by incompatible changes."""

LABELS_FORMAT = 2
"""Version of files whose labels are lists, which versions that knew no other would misread."""


@dataclass(frozen=True)
class About:
    """Metadata of features.

    Attributes:
        model: Model folder as given; the net's name for a model in memory.
        net: Name of the net.
        layer: Layer of the activations.
        scales: Scales Q, in pixels.
        flip: Whether mirrored images were averaged in.
        aggregate: Aggregation of the scales: ``mean`` or ``stack``.
        dimension: Number D of features.
        precision: ``bf16`` or ``fp32``.
        data: Data set as given.
        classes: Names of its K classes.
        version: Version of this package.
        unreadable: Names of unreadable images, which have no vector.
        format: Version of the file format.
        engine: Engine that computed the activations.
        multi_label: Whether an image may have several classes, or none.
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
    engine: str = "torch"
    multi_label: bool = False

    def to_dict(self) -> dict[str, Any]:
        """Return plain values."""
        return {k: list(v) if isinstance(v, tuple) else v for k, v in asdict(self).items()}

    @classmethod
    def from_dict(cls, values: Mapping[str, Any]) -> Self:
        """Return the metadata from the output of :meth:`to_dict`.

        Raises:
            ValidationError: The values are invalid.
        """
        return TypeAdapter(cls).validate_python(values)


@dataclass(frozen=True, eq=False)
class Features:
    """Feature vectors of a data set.

    Attributes:
        files: Names of the images within the data set, text (N,).
        splits: Names of their splits, text (N,).
        labels: Names of their classes, text (N,); of multi-label data JSON lists of names.
        vectors: Unit vectors, float32 (N, D).
        about: Metadata.
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
        """Names of the splits, in order of appearance."""
        return tuple(dict.fromkeys(self.splits.tolist()))

    def truth(self) -> NDArray[np.bool_]:
        """Return True for the classes of each image of multi-label data, bool (N, K).

        Raises:
            DataError: A label is none of the classes.
        """
        numbers = {name: label for label, name in enumerate(self.about.classes)}
        truth = np.zeros((len(self), len(numbers)), np.bool_)
        try:
            for row, text in enumerate(self.labels.tolist()):
                truth[row, [numbers[name] for name in json.loads(text)]] = True
        except (KeyError, ValueError, TypeError) as error:
            raise DataError(
                f"features of {self.about.data}: labels must be lists of the classes, got "
                f"{text!r} instead"
            ) from error
        return truth

    def split(self, name: str) -> Self:
        """Return the features of one split.

        Raises:
            DataError: The split does not exist.
        """
        if name not in self.split_names:
            raise DataError(
                f"features of {self.about.data}: no split {name!r}; there is "
                f"{', '.join(self.split_names)}{did_you_mean(name, self.split_names)}"
            )
        rows = self.splits == name
        columns = ("files", "splits", "labels", "vectors")
        return replace(self, **{column: getattr(self, column)[rows] for column in columns})
