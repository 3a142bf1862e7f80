"""HTML page of a cross-validation: its folds, and all images together."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from verydeep.evaluation.metrics import has_top5
from verydeep.evaluation.predictions_log import Record
from verydeep.evaluation.result import Answers
from verydeep.system.files import write_text
from verydeep.system.pages import render
from verydeep.visualization.report.gallery import Find, cached_thumbnails
from verydeep.visualization.report.page import answer_parts
from verydeep.visualization.report.provenance import command_line


def write_folds_page(
    metrics: Mapping[str, Any],
    answers: Answers,
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
    parts = answer_parts(Record.of(answers), shown, metrics, cached_thumbnails(find))
    page = render(
        "verydeep.visualization.report",
        "folds.html",
        title=path.parent.name,
        metrics=metrics,
        has_top5=has_top5(metrics),
        reports=[f"{Path(fold['run']).name}/report.html" for fold in metrics["folds"]],
        answers=parts,
        command=command_line(command),
    )
    write_text(path, page)
    return path
