"""Normalisation as recipes and model folders name it: ``norm`` instead of ``batch_norm``."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, Literal

Norm = Literal["batch"] | None
"""Normalisation after every convolution; None in the paper."""


def norm_name(batch_norm: bool) -> Norm:
    """Return the name of a net's normalisation."""
    return "batch" if batch_norm else None


def to_norm(settings: Mapping[str, Any]) -> dict[str, Any]:
    """Return a net's settings with ``norm`` instead of ``batch_norm``.

    >>> to_norm({"name": "A", "batch_norm": True})
    {'name': 'A', 'norm': 'batch'}
    """
    others = {key: value for key, value in settings.items() if key != "batch_norm"}
    norm = {"norm": norm_name(settings["batch_norm"])} if "batch_norm" in settings else {}
    return {**others, **norm}


def to_batch_norm(settings: Mapping[str, Any]) -> dict[str, Any]:
    """Return settings with ``batch_norm`` instead of ``norm``, to build a net.

    >>> to_batch_norm({"name": "A", "norm": None})
    {'name': 'A', 'batch_norm': False}
    """
    others = {key: value for key, value in settings.items() if key != "norm"}
    norm = {"batch_norm": settings["norm"] == "batch"} if "norm" in settings else {}
    return {**others, **norm}
