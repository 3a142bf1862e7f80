"""Predictions for images.

K classes.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from dataclasses import dataclass, field
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from verydeep.data.geometry import Box
from verydeep.system.summary import html_table

SHOWN = 3
"""Maximum number of classes in the repr of a prediction."""


@dataclass(frozen=True, repr=False)
class Prediction:
    """Prediction for one image.

    Attributes:
        source: File; None for an image in memory.
        ranking: Most likely classes with their probabilities, in descending order; titles where
            classes have them.
        fault: Reason why the image is unreadable; None if it is readable.
        boxes: Box of each ranked class, in pixels of the upright image; None for a class without
            one. Empty without a box regressor.
        class_name: Name of the most likely class, as in ``model.classes``; None if the image is
            unreadable.
        probabilities: Probabilities of all classes, float32 (K,), in the order of
            ``model.classes``; None if the image is unreadable or a box regressor was used.
        labels: Of a multi-label model, the classes whose probability reaches their threshold, most
            likely first; titles where classes have them. None for other models, and if the image
            is unreadable.
        abstained: True if the model says that it does not know, False if it answers; None if it
            has not learned to abstain, or was not asked to. The ranking is given in any case.
        reason: Why it abstains; None if it does not.
        class_set: Classes of which one is the true one with the promised probability, most likely
            first, named as in the ranking; None if the model has no such sets.
        label_names: Names of :attr:`labels`, as in ``model.classes``. Unlike these, two classes
            may have one title.
        class_set_names: Names of :attr:`class_set`, as in ``model.classes``.
    """

    source: Path | None
    ranking: tuple[tuple[str, float], ...]
    fault: str | None = None
    boxes: tuple[Box | None, ...] = ()
    class_name: str | None = None
    probabilities: NDArray[np.float32] | None = field(default=None, compare=False)
    labels: tuple[str, ...] | None = None
    abstained: bool | None = None
    reason: str | None = None
    class_set: tuple[str, ...] | None = None
    label_names: tuple[str, ...] | None = None
    class_set_names: tuple[str, ...] | None = None

    @property
    def label(self) -> str | None:
        """Display name of the most likely class; None if the image is unreadable."""
        return self.ranking[0][0] if self.ranking else None

    @property
    def title(self) -> str | None:
        """Alias of :attr:`label`."""
        return self.label

    @property
    def probability(self) -> float | None:
        """Probability of the most likely class; None if the image is unreadable."""
        return self.ranking[0][1] if self.ranking else None

    def __repr__(self) -> str:
        return f"Prediction({self._source()}: {self._seen()})"

    def _repr_html_(self) -> str:
        return Predictions([self])._repr_html_()

    def row(self) -> tuple[str, str]:
        """Return the image's name and its top classes, for display in a notebook."""
        return self._source(), self._seen()

    def _source(self) -> str:
        return "image" if self.source is None else str(self.source)

    def _seen(self) -> str:
        if self.fault:
            return "cannot be read"
        ranked = [f"{name} {probability:.1%}" for name, probability in self.ranking[:SHOWN]]
        said = ", ".join(ranked)
        if self.labels is not None:
            said = f"{', '.join(self.labels) or 'none'} ({said})"
        return f"unknown ({self.reason}); " * bool(self.abstained) + said


class Predictions(list[Prediction]):
    """List of predictions, displayed as a table in a notebook.

    Attributes:
        engine: Engine that answered, such as ``torch``; None if unknown.
        precision: Its precision, such as ``fp32``; None if unknown.
    """

    def __init__(
        self,
        predictions: Iterable[Prediction] = (),
        *,
        engine: str | None = None,
        precision: str | None = None,
    ) -> None:
        super().__init__(predictions)
        self.engine = engine
        self.precision = precision

    def _repr_html_(self) -> str:
        return html_table(self._rows(), ("image", "likeliest classes"))

    def _rows(self) -> Iterator[tuple[str, str]]:
        for one in self[:ROWS]:
            yield one.row()
        if len(self) > ROWS:
            yield f"and {len(self) - ROWS:,} more", ""


ROWS = 50
"""Maximum number of rows displayed in a notebook."""
