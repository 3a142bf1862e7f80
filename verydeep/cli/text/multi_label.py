"""Results of multi-label tests as text."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from itertools import groupby
from typing import Any

from verydeep.cli.text.columns import Cells, align
from verydeep.cli.text.results import mirrors_as_text
from verydeep.evaluation.metrics import is_optimistic

LISTED = 20
"""Maximum number of classes listed."""


def labels_as_text(result: Mapping[str, Any]) -> str:
    """Return the result of a multi-label test as text."""
    scales = ", ".join(str(scale) for scale in result["scales"])
    fitted = result["thresholds_fitted_on"]
    rows = [
        ("net", " + ".join(result["models"])),
        ("protocol", f"{result['protocol']}, Q = {scales}, {mirrors_as_text(result)}"),
        ("views", f"{result['views']} of each image"),
        ("split", result["split"]),
        (
            "images",
            f"{result['images']:,} counted, {len(result['unreadable'])} unreadable, "
            f"{result['unlabelled']:,} without a label",
        ),
        *_beware(result),
        ("mean average precision", mean_precision_as_text(result)),
        ("  micro", percent_or_undefined(result["micro_average_precision"])),
        ("  Pascal VOC 2007", percent_or_undefined(result["voc2007_mean_average_precision"])),
        ("thresholds", f"fitted on {fitted}" if fitted else "0.5"),
        ("  micro F1", percent_or_undefined(result["micro_f1"])),
        ("  macro F1", percent_or_undefined(result["macro_f1"])),
        ("  subset accuracy", percent_or_undefined(result["subset_accuracy"])),
        ("  Hamming loss", percent_or_undefined(result["hamming_loss"])),
        ("coverage error", f"{result['coverage_error']:.2f} classes"),
        ("ranking loss", f"{result['ranking_loss']:.4f}"),
        ("loss", f"{result['loss']:.4f}"),
        ("seconds", f"{result['seconds']:.1f}"),
    ]
    steps = "\n".join(f"  {place}. {step}" for place, step in enumerate(result["steps"], 1))
    return f"{align(rows, left=2)}\n\n{_classes(result)}\n\nHow:\n{steps}"


def _beware(result: Mapping[str, Any]) -> Iterator[tuple[str, str]]:
    reason = is_optimistic(result)
    if reason:
        yield "beware", reason


def percent_or_undefined(value: float | None) -> str:
    """Return a measure in percent; None is one that is undefined, as without any label."""
    return "undefined" if value is None else f"{value:.2f} %"


def mean_precision_as_text(result: Mapping[str, Any]) -> str:
    """Return the mean average precision of a result, with its interval."""
    value, (low, high) = (
        result["mean_average_precision"],
        result["mean_average_precision_interval"],
    )
    if value is None:
        return percent_or_undefined(value)
    interval = "" if low is None else f"  (95 % interval {low:.2f} to {high:.2f})"
    return f"{value:.2f} %{interval}"


def _classes(result: Mapping[str, Any]) -> str:
    """Return the classes by ascending average precision; all of them are in the JSON."""
    known = {name: ap for name, ap in result["average_precision"].items() if ap is not None}
    ranked = sorted(known, key=lambda name: known[name])
    rows: list[Cells] = [("class", "average precision", "threshold")]
    rows += [
        (name, f"{known[name]:.2f} %", f"{result['thresholds'][name]:.3f}")
        for name in ranked[:LISTED]
    ]
    text = align(rows)
    more = len(ranked) - LISTED
    return f"{text}\n... and {more:,} more (all of them with --json)" if more > 0 else text


def label_table_as_text(table: Mapping[str, Any]) -> str:
    """Return the table of all protocols of multi-label models."""
    head = ("", "net", "protocol", "Q", "views", "mAP", "95 %", "micro F1", "seconds")
    lines = align([head, *(_cells(test) for test in table["tests"])], left=4).splitlines()
    titles = groupby(
        zip(table["tests"], lines[1:], strict=True), key=lambda pair: str(pair[0]["table"])
    )
    body = [line for title, rows in titles for line in ("", title, *(line for _, line in rows))]
    unreadable = len(table["unreadable"])
    counted = f"{table['images']:,} images of {table['split']}, {unreadable} unreadable"
    return "\n".join([counted, *(text for _, text in _beware(table)), "", lines[0], *body])


def _cells(test: Mapping[str, Any]) -> Cells:
    low, high = test["mean_average_precision_interval"]
    return (
        test["row"],
        " + ".join(test["models"]),
        test["protocol"],
        ", ".join(map(str, test["scales"])),
        str(test["views"]),
        percent_or_undefined(test["mean_average_precision"]),
        "" if low is None else f"{low:.1f} to {high:.1f}",
        percent_or_undefined(test["micro_f1"]),
        f"{test['seconds']:.1f}",
    )
