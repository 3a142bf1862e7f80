"""One fold of a cross-validation: ``2/5`` is the second of five."""

from __future__ import annotations

import re
from dataclasses import dataclass

from verydeep.errors import InputError

MOST_FOLDS = 100


@dataclass(frozen=True, slots=True)
class Fold:
    """A fold.

    Attributes:
        number: Number of the fold, from 1.
        count: Number of folds.

    >>> Fold.parse("2/5"), str(Fold(2, 5))
    (Fold(number=2, count=5), '2/5')
    """

    number: int
    count: int

    @staticmethod
    def parse(text: str) -> Fold:
        """Return the fold written as text.

        Raises:
            InputError: The text has another form.
        """
        found = re.fullmatch(r"(\d{1,3})/(\d{1,3})", text, re.ASCII)
        fold = Fold(int(found[1]), int(found[2])) if found else None
        if fold is None or not 2 <= fold.count <= MOST_FOLDS or not 1 <= fold.number <= fold.count:
            raise InputError(
                f"a fold must be like 2/5, the second of five (of 2 to {MOST_FOLDS}), got {text!r} "
                "instead"
            )
        return fold

    def __str__(self) -> str:
        return f"{self.number}/{self.count}"
