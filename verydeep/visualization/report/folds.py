"""HTML page of a cross-validation: its folds, and all images together."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from verydeep.evaluation.fold_measures import fold_measures
from verydeep.evaluation.label_log import LabelRecord
from verydeep.evaluation.multi_label import LabelAnswers
from verydeep.evaluation.predictions_log import Record
from verydeep.evaluation.result import Answers
from verydeep.system.files import write_text
from verydeep.system.pages import render
from verydeep.visualization.report.gallery import Find, cached_thumbnails
from verydeep.visualization.report.labels import label_parts
from verydeep.visualization.report.page import answer_parts
from verydeep.visualization.report.provenance import command_line


def write_folds_page(
    metrics: Mapping[str, Any],
    answers: Answers | LabelAnswers,
    path: Path,
    *,
    titles: Mapping[str, str],
    find: Find,
    command: Sequence[str],
) -> Path:
    """Write the page of a cross-validation.

    Args:
        metrics: Metrics, as in ``cross_validation.json``.
        answers: Answers for the images of all folds.
        path: Path of the page.
        titles: Display names of classes, where they differ.
        find: Finds images by name.
        command: The command line, as a list of arguments.
    """
    shown = [titles.get(name, name) for name in answers.classes]
    thumbnail_of, measured = cached_thumbnails(find), fold_measures(metrics)
    parts: dict[str, Any] = {"answers": None, "labels": None}
    if isinstance(answers, Answers):
        parts["answers"] = answer_parts(Record.of(answers), shown, metrics, thumbnail_of)
    else:
        limits = answers.thresholds
        parts["labels"] = label_parts(LabelRecord.of(answers), shown, metrics, thumbnail_of, limits)
    page = render(
        "verydeep.visualization.report",
        "folds.html",
        title=path.parent.name,
        metrics=metrics,
        main=measured.main,
        interval=measured.interval,
        measures=measured.shown_of(metrics),
        reports=[f"{Path(fold['run']).name}/report.html" for fold in metrics["folds"]],
        **parts,
        command=command_line(command),
    )
    write_text(path, page)
    return path
