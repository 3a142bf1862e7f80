"""What a model has learned about abstaining, and how it fared in a test, as text."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any

from verydeep.cli.text.columns import align
from verydeep.evaluation.abstention.conformal import coverage_range

Values = Mapping[str, Any]


def learned_as_text(learned: Values) -> str:
    """Return what was learned on calibration images, and what could not be promised."""
    abstention = learned["abstention"]
    rows = [
        ("learned on", f"{learned['images']:,} images of {abstention['split']}"),
        ("test", abstention["protocol"]),
        ("temperature", _temperature(learned["calibration"])),
        *_threshold(abstention["threshold"]),
        *_sets(abstention["sets"]),
        *_familiar(abstention["familiar"]),
    ]
    notes = [f"\n{note}" for note in learned["notes"]]
    kept = "kept with the model (verydeep calibrate MODEL none removes it)"
    return "\n".join([align(rows, left=2), *notes, "", kept])


def _temperature(calibration: Values | None) -> str:
    if calibration is None:
        return "none: all images to fit it to are recognised"
    images = f"fitted on {calibration['images']:,} of these images"
    if not calibration["kept"]:
        return f"none: it does not lower the loss ({images})"
    return f"{calibration['temperature']:.4f}, {images}"


def _threshold(threshold: Values | None) -> Iterator[tuple[str, str]]:
    if threshold is None:
        return
    answered = 100 * threshold["answered"] / threshold["images"]
    yield "answers from", f"{100 * threshold['least']:.1f} % for the likeliest class"
    yield (
        "promise",
        f"at most {threshold['error']:g} % of the answers wrong, with "
        f"{threshold['confidence']:g} % confidence",
    )
    yield (
        "tested on",
        f"{threshold['images']:,} images: {answered:.1f} % answered, {threshold['wrong']:,} of "
        f"{threshold['answered']:,} answers wrong",
    )


def _sets(sets: Values | None) -> Iterator[tuple[str, str]]:
    if sets is None:
        return
    low, high = coverage_range(sets["images"], sets["coverage"])
    yield (
        "sets of classes",
        f"all from {100 * sets['least']:.2g} %, {sets['mean_size']:.2f} on average",
    )
    yield (
        "promise",
        f"{sets['coverage']:g} % contain the true class, on average over calibrations; "
        f"{low:.1f} to {high:.1f} % after nine of ten",
    )


def _familiar(familiar: Values | None) -> Iterator[tuple[str, str]]:
    if familiar is None:
        return
    yield (
        "unlike images",
        f"from a distance of {familiar['limit']:.3g} of {familiar['layer']} to "
        f"{familiar['reference']:,} training images; at most {familiar['refused']:g} % of familiar "
        "ones, on average",
    )


def nothing_as_text(removed: bool) -> str:
    """Return a message that a model has learned nothing about its own answers."""
    return (
        "temperature and all about abstaining were removed"
        if removed
        else "the model has learned neither a temperature nor when to abstain"
    )


def abstention_rows(found: Values | None) -> Iterator[tuple[str, str]]:
    """Yield the rows of a test's result about abstaining; none without.

    Args:
        found: From :func:`verydeep.evaluation.abstention.measured.measure_abstention`.
    """
    if not found:
        return
    if found["answered"] is not None:
        unlike = found["unlike"]
        refused = "" if unlike is None else f" ({unlike:.2f} % refused as unlike)"
        yield "answered", f"{found['answered']:.2f} %{refused}"
    if found["answered_error"] is not None:
        promised = found["promised_error"]
        most = "" if promised is None else f"; promised: at most {promised:g} %"
        yield (
            "error of answers",
            f"{found['answered_error']:.2f} %  (95 % interval "
            f"{found['answered_interval'][0]:.2f} to {found['answered_interval'][1]:.2f}{most})",
        )
    if found["set_coverage"] is not None:
        low, high = found["set_coverage_interval"]
        yield (
            "sets of classes",
            f"{found['set_coverage']:.2f} % contain the true class  (95 % interval {low:.2f} to "
            f"{high:.2f}; promised: {found['promised_coverage']:g} %), "
            f"{found['mean_set_size']:.2f} classes on average",
        )
