"""Arguments that take one value or several."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any


def one_or_many(given: object) -> list[Any]:
    """Return one or several values as a list; text is one value.

    >>> one_or_many("runs/a"), one_or_many(("runs/a", "runs/b"))
    (['runs/a'], ['runs/a', 'runs/b'])
    """
    return list(given) if isinstance(given, Iterable) and not isinstance(given, str) else [given]
