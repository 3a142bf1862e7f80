"""Measured abstention: how often a classifier answers, how often it is then wrong, its sets.

N images, K classes.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any
from typing import Protocol as Interface

import numpy as np
from numpy.typing import NDArray

from verydeep.evaluation.abstention.abstention import Abstention, Decisions
from verydeep.evaluation.protocol import TestProtocol
from verydeep.evaluation.significance import wilson_interval


class MayAbstain(Interface):
    """A net that may have learned to abstain."""

    @property
    def abstention(self) -> Abstention | None:
        """When to abstain; None if not learned."""


def learned_for(
    models: Sequence[MayAbstain], protocols: Sequence[TestProtocol]
) -> Abstention | None:
    """Return what a single model has learned about abstaining in a test; None for any other test.

    Args:
        models: Nets whose posteriors are averaged.
        protocols: One for each net.
    """
    if len(models) > 1:
        return None
    learned = models[0].abstention
    return learned if learned and learned.protocol == str(protocols[0]) else None


def measure_abstention(
    decided: Decisions, wrong: NDArray[np.bool_], labels: NDArray[np.int64]
) -> dict[str, Any]:
    """Return shares and errors of a test, in percent, with 95 % intervals (Wilson).

    Args:
        decided: Decisions about the N images.
        wrong: True where the most likely class is wrong, bool (N,).
        labels: True classes, int64 (N,).

    Returns:
        What was promised and what was found; the keys of parts that were not learned are None.
    """
    threshold, sets = decided.threshold, decided.learned.sets
    found: dict[str, Any] = {
        "promised_error": threshold.error if threshold else None,
        "confidence": threshold.confidence if threshold else None,
        "threshold": threshold.least if threshold else None,
        "answered": None,
        "answered_images": None,
        "answered_error": None,
        "answered_interval": None,
        "unlike": None if decided.unlike is None else _share(decided.unlike),
        "promised_coverage": sets.coverage if sets else None,
        "set_coverage": None,
        "set_coverage_interval": None,
        "mean_set_size": None,
    }
    return found | _answered(decided, wrong) | _sets(decided, labels)


def _answered(decided: Decisions, wrong: NDArray[np.bool_]) -> dict[str, Any]:
    if decided.abstained is None:
        return {}
    given = wrong[~decided.abstained]
    count = {"answered": _share(~decided.abstained), "answered_images": len(given)}
    if not len(given):
        return count
    interval = wilson_interval(int(given.sum()), len(given))
    return count | {"answered_error": _share(given), "answered_interval": interval}


def _sets(decided: Decisions, labels: NDArray[np.int64]) -> dict[str, Any]:
    if decided.sets is None:
        return {}
    covered = decided.sets[np.arange(len(labels)), labels]
    return {
        "set_coverage": _share(covered),
        "set_coverage_interval": wilson_interval(int(covered.sum()), len(covered)),
        "mean_set_size": float(decided.sets.sum(1).mean()),
    }


def _share(which: NDArray[np.bool_]) -> float:
    return 100 * float(which.mean())
