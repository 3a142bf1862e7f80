"""Engine and precision of results."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any, Protocol


class Answering(Protocol):
    """A model that knows what computes its answers."""

    @property
    def answered_by(self) -> dict[str, Any]:
        """Engine and precision of its answers."""


def answered_by(models: Iterable[Answering]) -> dict[str, Any]:
    """Return engine and precision of several models, joined by ``+`` where they differ."""
    found = [model.answered_by for model in models]
    return {
        key: "+".join(dict.fromkeys(one[key] for one in found)) for key in ("engine", "precision")
    }
