"""HTML report of a run or a test: a single file without external resources."""

from __future__ import annotations

import json
import shlex
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

from verydeep.errors import ModelError
from verydeep.evaluation.calibration import calibration_error_by_chance
from verydeep.evaluation.label_log import LabelRecord
from verydeep.evaluation.metrics import TITLES, error_of, has_top5, is_optimistic
from verydeep.evaluation.multi_label import MultiLabelResult
from verydeep.evaluation.predictions_log import Record
from verydeep.evaluation.result import EvaluationResult
from verydeep.localization.verdict import verdict
from verydeep.system.files import expanded, write_text
from verydeep.system.pages import render
from verydeep.visualization.report.abstention import abstention
from verydeep.visualization.report.boxes import (
    box_rows,
    compared,
    guess_errors,
    histogram,
    quantiles,
)
from verydeep.visualization.report.calibration import calibration
from verydeep.visualization.report.classes import class_rows, matrix, pairs
from verydeep.visualization.report.curves import drops_of, learning_curves
from verydeep.visualization.report.gallery import (
    Find,
    GetThumbnail,
    all_gone,
    answer_groups,
    box_groups,
    cached_thumbnails,
)
from verydeep.visualization.report.labels import label_parts
from verydeep.visualization.report.provenance import (
    again,
    command_line,
    has_squared_error,
    kind_of_run,
    made,
)

if TYPE_CHECKING:
    from verydeep.localization.result import LocalizationResult, LocatedSample

Parts = dict[str, Any]
"""Template variables."""


def write_report(run: str | Path, find: Find) -> Path:
    """Write the report of a run from the files in its folder.

    Args:
        run: The run folder, with at least one finished epoch.
        find: Finds test images by name, for the galleries.

    Returns:
        The path of ``report.html``.

    Raises:
        ModelError: It is not a run folder, a file is damaged, or no epoch has finished.
    """
    folder = expanded(run)
    if not (folder / "recipe.yaml").is_file():
        raise ModelError(f"{folder}: not a run folder")
    history = _json_lines(folder / "log.jsonl")
    if not history:
        raise ModelError(f"{folder}: nothing to report before the first epoch has finished")
    metrics = _json(folder / "metrics.json", _text(folder / "metrics.json") or "{}")
    data = _json(folder / "data.json", _text(folder / "data.json"))
    environment = _json(folder / "environment.json", _text(folder / "environment.json"))
    recipe = _text(folder / "recipe.yaml")
    titles = [data.get("titles", {}).get(name, name) for name in data["classes"]]
    command = environment.get("command")
    page = render(
        "verydeep.visualization.report",
        "report.html",
        title=folder.name,
        data=data,
        metrics=metrics,
        tests=metrics.get("tests", []),
        **_cautions({"classes": len(data["classes"]), **metrics}) if metrics else {},
        command=command_line(command) if command else None,
        again=again(data),
        kind=kind_of_run(recipe, command or ()),
        made=made(environment, data, recipe),
        recipe=recipe,
        with_answers=shlex.join(["verydeep", "report", str(run), "--test"]),
        **_learning(history, metrics, squared=has_squared_error(recipe)),
        **_answers(folder, metrics, data["classes"], titles, cached_thumbnails(find)),
    )
    write_text(folder / "report.html", page)
    return folder / "report.html"


def write_test_page(
    result: EvaluationResult | MultiLabelResult | LocalizationResult,
    path: Path,
    classes: Sequence[str],
    titles: Mapping[str, str],
    find: Find,
    command: Sequence[str],
) -> Path:
    """Write the page of a single test: metrics, classes, example images and calibration.

    Args:
        result: Result of the test.
        path: Path of the page.
        classes: Names of the K classes.
        titles: Display names of classes, where they differ.
        find: Finds test images by name.
        command: The command line, as a list of arguments.
    """
    test, thumbnail_of = result.to_dict(), cached_thumbnails(find)
    shown = [titles.get(name, name) for name in classes]
    answers = boxes = labels = None
    if isinstance(result, EvaluationResult):
        answers = answer_parts(
            Record.of(result.answers, result.decisions), shown, test, thumbnail_of
        )
    elif isinstance(result, MultiLabelResult):
        labels = label_parts(LabelRecord.of(result.answers), shown, test, thumbnail_of)
    else:
        boxes = box_parts(result.answers, shown, test, thumbnail_of)
    page = render(
        "verydeep.visualization.report",
        "test.html",
        title=" and ".join([*test["models"], *test.get("nets", ())]),
        test=test,
        tests=[test],
        **_cautions(test),
        answers=answers,
        boxes=boxes,
        labels=labels,
        command=command_line(command),
    )
    write_text(path, page)
    return path


def _cautions(test: Mapping[str, Any]) -> Parts:
    """Return the caveats of a test."""
    return {
        "has_top5": has_top5(test),
        "beware": is_optimistic(test),
        "verdict": verdict(test["comparison"]) if "comparison" in test else None,
        "interval": _interval(test),
    }


def _interval(test: Mapping[str, Any]) -> Any:
    """Return the interval of a test's main measure; None if it has none."""
    kinds = ("top1", "localization", "mean_average_precision")
    found = next((one for kind in kinds if (one := test.get(f"{kind}_interval"))), None)
    return None if found is None or None in found else found


def _learning(history: list[Parts], metrics: Parts, *, squared: bool) -> Parts:
    error, best = error_of(history[0], "val_"), _best(history, metrics)
    return {
        "history": history,
        "best": best,
        "error": error,
        "error_title": TITLES[error],
        "curves": learning_curves(history, best, squared=squared),
        "squared": squared,
        "drops": drops_of(history),
    }


def _best(history: list[Parts], metrics: Parts) -> Parts:
    epoch = metrics.get("best_epoch")
    by_loss = min(history, key=lambda row: float(row["val_loss"]))
    return next((row for row in history if row["epoch"] == epoch), by_loss)


def _answers(
    folder: Path,
    metrics: Parts,
    classes: Sequence[str],
    titles: Sequence[str],
    thumbnail_of: GetThumbnail,
) -> Parts:
    """Return the variables from ``answers.jsonl``, which runs of earlier versions lack."""
    path, answers, boxes, labels = folder / "answers.jsonl", None, None, None
    rows = _json_lines(path) if metrics else []
    try:
        if rows and "mean_iou" in metrics:
            from verydeep.localization.predictions_log import located_from_rows

            boxes = box_parts(located_from_rows(rows, classes), titles, metrics, thumbnail_of)
        elif rows and "mean_average_precision" in metrics:
            labels = label_parts(
                LabelRecord.from_rows(rows, classes), titles, metrics, thumbnail_of
            )
        elif rows:
            answers = answer_parts(Record.from_rows(rows, classes), titles, metrics, thumbnail_of)
    except (LookupError, TypeError, ValueError) as error:
        raise ModelError(f"{path}: cannot be read ({type(error).__name__}: {error})") from error
    return {"answers": answers, "boxes": boxes, "labels": labels}


def answer_parts(
    record: Record, titles: Sequence[str], test: Mapping[str, Any], thumbnail_of: GetThumbnail
) -> Parts:
    """Return the template variables of a classification test.

    Args:
        record: Predictions.
        titles: Display names of the classes.
        test: Metrics, as in ``metrics.json``.
        thumbnail_of: Returns thumbnails.
    """
    wrong, images = int(record.wrong.sum()), len(record.names)
    groups = answer_groups(record, titles, thumbnail_of)
    return {
        "images": images,
        "wrong": wrong,
        "again": _again(100 * wrong / images, images, test["top1_error"], test["images"]),
        "titles": titles,
        "matrix": matrix(record),
        "pairs": pairs(record, titles),
        "classes": class_rows(record, titles),
        "groups": groups,
        "gone": all_gone(groups.values()),
        "calibration": calibration(
            record.reliability(), calibration_error_by_chance(record.confidences[:, 0])
        ),
        "abstention": abstention(record, titles, test.get("abstention")),
    }


def box_parts(
    located: Sequence[LocatedSample],
    titles: Sequence[str],
    test: Mapping[str, Any],
    thumbnail_of: GetThumbnail,
) -> Parts:
    """Return the template variables of a localization test; see :func:`answer_parts`."""
    rows, groups = box_rows(located, titles), box_groups(located, titles, thumbnail_of)
    wrong, images = sum(row.wrong for row in rows), len(located)
    return {
        "images": images,
        "wrong": wrong,
        "again": _again(100 * wrong / images, images, test["true_class_error"], test["images"]),
        "compared": compared(test),
        "errors": guess_errors(test),
        "histogram": histogram(located),
        "quantiles": quantiles(located),
        "classes": rows,
        "groups": groups,
        "gone": all_gone(groups.values()),
    }


def _again(error: float, images: int, measured: float, counted: int) -> float | None:
    """Return the error of the predictions if it differs from the measured one, else None."""
    return error if images != counted or abs(error - measured) > 1e-6 else None


def _json_lines(path: Path) -> list[Parts]:
    return [_json(path, line) for line in _text(path).split("\n") if line]


def _json(path: Path, text: str) -> Any:
    try:
        return json.loads(text)
    except ValueError as error:
        raise ModelError(f"{path}: cannot be read ({error})") from error


def _text(path: Path) -> str:
    return path.read_text("utf-8") if path.is_file() else ""
