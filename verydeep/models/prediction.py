"""What a model sees on images.

K classes.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from verydeep.data.geometry import Box
from verydeep.system.summary import html_table

SHOWN = 3
"""Classes that a prediction shows of itself at the prompt."""


@dataclass(frozen=True, repr=False)
class Prediction:
    """What a model sees on one image.

    Attributes:
        source: The file; None for an image from memory.
        ranking: The most likely classes, each with its probability, the likeliest first; as titles
            where classes have them.
        fault: Why the image could not be read; None if it could.
        boxes: Where each of these classes is, in pixels of the upright image; empty if no box
            net was asked, None for a class of which it found none.
        class_name: Name of the likeliest class, as in ``model.classes``; None if the image could
            not be read.
        probabilities: Of all classes, float32 (K,), in the order of ``model.classes``; None if the
            image could not be read, or a box net was asked.
    """

    source: Path | None
    ranking: tuple[tuple[str, float], ...]
    fault: str | None = None
    boxes: tuple[Box | None, ...] = ()
    class_name: str | None = None
    probabilities: NDArray[np.float32] | None = field(default=None, compare=False)

    @property
    def label(self) -> str | None:
        """What to show people for the likeliest class; None if the image could not be read."""
        return self.ranking[0][0] if self.ranking else None

    @property
    def title(self) -> str | None:
        """The same as :attr:`label`."""
        return self.label

    @property
    def probability(self) -> float | None:
        """Probability of the likeliest class; None if the image could not be read."""
        return self.ranking[0][1] if self.ranking else None

    def __repr__(self) -> str:
        return f"Prediction({self._source()}: {self._seen()})"

    def _repr_html_(self) -> str:
        return Predictions([self])._repr_html_()

    def row(self) -> tuple[str, str]:
        """Return the image and what is on it, as a notebook shows them."""
        return self._source(), self._seen()

    def _source(self) -> str:
        return "image" if self.source is None else str(self.source)

    def _seen(self) -> str:
        if self.fault:
            return "cannot be read"
        ranked = [f"{name} {probability:.1%}" for name, probability in self.ranking[:SHOWN]]
        return ", ".join(ranked)


class Predictions(list[Prediction]):
    """A list of predictions, which a notebook shows as a table."""

    def _repr_html_(self) -> str:
        return html_table(self._rows(), ("image", "likeliest classes"))

    def _rows(self) -> Iterator[tuple[str, str]]:
        for one in self[:ROWS]:
            yield one.row()
        if len(self) > ROWS:
            yield f"and {len(self) - ROWS:,} more", ""


ROWS = 50
"""Images that a notebook shows, at most."""
