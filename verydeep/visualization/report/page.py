"""``report.html`` of a run or of a test: one file that opens from disk, with nothing to load."""

from __future__ import annotations

import json
import shlex
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any

from verydeep.errors import ModelError
from verydeep.evaluation.calibration import calibration_error_by_chance
from verydeep.evaluation.metrics import TITLES, error_of, has_top5, is_optimistic
from verydeep.evaluation.predictions_log import Record
from verydeep.evaluation.result import EvaluationResult
from verydeep.localization.predictions_log import located_from_rows
from verydeep.localization.result import LocalizationResult, LocatedSample
from verydeep.localization.verdict import verdict
from verydeep.system.files import write_text
from verydeep.system.pages import render
from verydeep.visualization.report.boxes import asked, box_rows, compared, histogram, quantiles
from verydeep.visualization.report.calibration import calibration
from verydeep.visualization.report.classes import class_rows, matrix, pairs
from verydeep.visualization.report.curves import drops_of, learning_curves
from verydeep.visualization.report.gallery import (
    Find,
    Small,
    all_gone,
    answer_groups,
    box_groups,
    small_pictures,
)
from verydeep.visualization.report.provenance import again, command_line, kind_of_run, made

Parts = dict[str, Any]
"""Values for a part of the page."""


def write_report(run: str | Path, find: Find) -> Path:
    """Write the report of a run from the files in its folder.

    Args:
        run: The run folder; after its first epoch at the earliest.
        find: Finds the images that were tested, for the galleries.

    Returns:
        The path of ``report.html``.

    Raises:
        ModelError: It is no run folder, one of its files is damaged, or no epoch has ended yet.
    """
    folder = Path(run).expanduser()
    if not (folder / "recipe.yaml").is_file():
        raise ModelError(f"{folder}: not a run folder")
    history = _json_lines(folder / "log.jsonl")
    if not history:
        raise ModelError(f"{folder}: no epoch has ended yet, so there is nothing to report")
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
        **_learning(history, metrics),
        **_answers(folder, metrics, data["classes"], titles, small_pictures(find)),
    )
    write_text(folder / "report.html", page)
    return folder / "report.html"


def write_test_page(
    result: EvaluationResult | LocalizationResult,
    path: Path,
    classes: Sequence[str],
    titles: Mapping[str, str],
    find: Find,
    command: Sequence[str],
) -> Path:
    """Write the page of a single test: its figures, classes, images and calibration.

    Args:
        result: What was measured.
        path: Of the page.
        classes: Names of the K classes.
        titles: What people call them, where that is something else.
        find: Finds the images that were tested.
        command: That it was measured by.
    """
    test, small = result.to_dict(), small_pictures(find)
    shown = [titles.get(name, name) for name in classes]
    answers = boxes = None
    if isinstance(result, EvaluationResult):
        answers = answer_parts(Record.of(result.answers), shown, test, small)
    else:
        boxes = box_parts(result.answers, shown, test, small)
    page = render(
        "verydeep.visualization.report",
        "test.html",
        title=" and ".join([*test["models"], *test.get("nets", ())]),
        test=test,
        tests=[test],
        **_cautions(test),
        answers=answers,
        boxes=boxes,
        command=command_line(command),
    )
    write_text(path, page)
    return path


def _cautions(test: Mapping[str, Any]) -> Parts:
    """Return what keeps a reader from taking a test for more than it is."""
    return {
        "has_top5": has_top5(test),
        "beware": is_optimistic(test),
        "verdict": verdict(test["comparison"]) if "comparison" in test else None,
        "interval": test.get("top1_interval") or test.get("localization_interval"),
    }


def _learning(history: list[Parts], metrics: Parts) -> Parts:
    error, best = error_of(history[0], "val_"), _best(history, metrics)
    return {
        "history": history,
        "best": best,
        "error": error,
        "error_title": TITLES[error],
        "curves": learning_curves(history, best),
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
    small: Callable[[str], Small],
) -> Parts:
    """Return what ``answers.jsonl`` adds to the page; runs of earlier versions have none."""
    path, answers, boxes = folder / "answers.jsonl", None, None
    rows = _json_lines(path) if metrics else []
    try:
        if rows and "mean_iou" in metrics:
            boxes = box_parts(located_from_rows(rows, classes), titles, metrics, small)
        elif rows:
            answers = answer_parts(Record.from_rows(rows, classes), titles, metrics, small)
    except (LookupError, TypeError, ValueError) as error:
        raise ModelError(f"{path}: cannot be read ({type(error).__name__}: {error})") from error
    return {"answers": answers, "boxes": boxes}


def answer_parts(
    record: Record, titles: Sequence[str], test: Mapping[str, Any], small: Callable[[str], Small]
) -> Parts:
    """Return what the page shows of a test's answers.

    Args:
        record: The answers.
        titles: What people call the classes.
        test: Its figures, as in ``metrics.json``.
        small: Gives small images.
    """
    wrong, images = int(record.wrong.sum()), len(record.names)
    groups = answer_groups(record, titles, small)
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
    }


def box_parts(
    located: Sequence[LocatedSample],
    titles: Sequence[str],
    test: Mapping[str, Any],
    small: Callable[[str], Small],
) -> Parts:
    """Return what the page shows of a test of boxes; the arguments are as above."""
    rows, groups = box_rows(located, titles), box_groups(located, titles, small)
    wrong, images = sum(row.wrong for row in rows), len(located)
    return {
        "images": images,
        "wrong": wrong,
        "again": _again(100 * wrong / images, images, test["true_class_error"], test["images"]),
        "compared": compared(test),
        "asked": asked(test),
        "histogram": histogram(located),
        "quantiles": quantiles(located),
        "classes": rows,
        "groups": groups,
        "gone": all_gone(groups.values()),
    }


def _again(error: float, images: int, measured: float, counted: int) -> float | None:
    """Return the error of the answers if it is not the one that was measured at the end."""
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
