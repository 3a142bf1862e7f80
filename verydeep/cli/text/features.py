"""Written features, and results of a linear SVM on them, as text."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import Any

from verydeep.cli.text.columns import align
from verydeep.cli.text.multi_label import mean_precision_as_text, percent_or_undefined
from verydeep.evaluation.metrics import has_top5


def features_as_text(written: dict[str, Any]) -> str:
    """Return a summary of written features, with the next step."""
    splits = ", ".join(f"{count:,} {name}" for name, count in written["splits"].items())
    rows = [
        ("net", f"{written['net']}, {written['model']}"),
        ("features", _how(written)),
        ("precision", written["precision"]),
        ("images", f"{written['images']:,} ({splits}), {len(written['unreadable'])} unreadable"),
        ("classes", str(written["classes"])),
        ("seconds", f"{written['seconds']:.1f}"),
        ("file", written["file"]),
    ]
    return f"{align(rows, left=2)}\n\ntry them with  verydeep probe {written['file']}"


def _how(about: dict[str, Any]) -> str:
    scales = ", ".join(str(scale) for scale in about["scales"])
    mirror = "with" if about["flip"] else "without"
    several = {"mean": " averaged", "stack": " stacked"}[about["aggregate"]]
    scaled = f"Q = {scales}{several if len(about['scales']) > 1 else ''}"
    return f"{about['dimension']:,} numbers: {about['layer']}, {scaled}, {mirror} mirror images"


def probe_as_text(result: dict[str, Any]) -> str:
    """Return the cross-validation of C, the result, and warnings."""
    about = result["features"]
    chosen = "given" if result["folds"] is None else f"of {len(result['grid'])}, by the table above"
    measures = _label_measures if "mean_average_precision" in result else _class_measures
    rows = [
        ("features", _how(about)),
        ("from", f"net {about['net']}, {about['model']}, on {about['data']}"),
        ("SVM", f"linear, one against the rest, C = {result['C']:g} ({chosen})"),
        ("trained on", f"{result['train_images']:,} images of {result['classes']} classes"),
        ("split", result["split"]),
        ("images", f"{result['images']:,}"),
        *measures(result),
        ("seconds", f"{result['seconds']:.1f}"),
    ]
    return "\n\n".join((*_grid(result), align(rows, left=2), *_warnings(result)))


def _class_measures(result: dict[str, Any]) -> Iterator[tuple[str, str]]:
    for name in ("top1", *(["top5"] if has_top5(result) else [])):
        title = f"{name[:3]}-{name[3]} error"
        yield title, _with_interval(result[f"{name}_error"], result[f"{name}_interval"])
    yield "mean class recall", f"{result['mean_class_recall']:.2f} %"


def _label_measures(result: dict[str, Any]) -> Iterator[tuple[str, str]]:
    yield "mean average precision", mean_precision_as_text(result)
    yield "  Pascal VOC 2007", percent_or_undefined(result["voc2007_mean_average_precision"])
    yield "micro F1", percent_or_undefined(result["micro_f1"])


def _with_interval(value: float, bounds: Sequence[float]) -> str:
    low, high = bounds
    return f"{value:.2f} %  (95 % interval {low:.2f} to {high:.2f})"


def _grid(result: dict[str, Any]) -> Iterator[str]:
    if result["grid"]:
        what = "100 − mAP" if "mean_average_precision" in result else "error"
        rows = [("C", f"{what} in {result['folds']} folds of train", "")]
        rows += [
            (
                f"{trial['C']:g}",
                f"{trial['error']:.2f} %",
                "" if trial["converged"] else "solver stopped before its optimum",
            )
            for trial in result["grid"]
        ]
        yield align(rows)


def _warnings(result: dict[str, Any]) -> Iterator[str]:
    if result["grid"] and result["C"] in (result["grid"][0]["C"], result["grid"][-1]["C"]):
        end = "smallest" if result["C"] == result["grid"][0]["C"] else "largest"
        yield f"The C taken is the {end} that was tried: others beyond may be better (--C)."
    if result["also_in_training"]:
        yield (
            f"{result['also_in_training']:,} of the images counted have the very features of a "
            "training image: the error is too small (see verydeep check)"
        )
    if not result["converged"]:
        yield "The SVM's solver stopped before its optimum: a smaller C would be solved."
