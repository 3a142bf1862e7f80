"""Results of a cross-validation as text."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from verydeep.cli.text.columns import Cells, align
from verydeep.errors import plural
from verydeep.evaluation.fold_measures import fold_measures
from verydeep.system.summary import percent


def folds_as_text(metrics: dict[str, Any], out: Path) -> str:
    """Return the results of all folds and the paths of their files.

    Args:
        metrics: Metrics, as in ``cross_validation.json``.
        out: Folder of the cross-validation.
    """
    measured = fold_measures(metrics)
    shown, main = measured.shown_of(metrics), measured.main
    rows: list[Cells] = [
        ("fold", "images", "epochs", *(f"{one.title} ({one.unit})" for one in shown))
    ]
    for fold in metrics["folds"]:
        found = (one.text(fold[one.key]) for one in shown)
        rows.append((str(fold["fold"]), f"{fold['images']:,}", str(fold["epochs"]), *found))
    rows += [
        (name, "", "", *(one.text(metrics[name][one.key]) for one in shown))
        for name in ("mean", "std")
    ]
    low, high = metrics[measured.interval]
    return (
        f"{align(rows, left=1)}\n\n"
        f"{plural(metrics['images'], 'image')}, each by the net that did not see it: "
        f"{main.title} {percent(metrics[main.key], (low, high))}\n\n"
        f"runs    {out / 'fold-1'} to {len(metrics['folds'])}\n"
        f"table   {out / 'out_of_fold.csv'}\n"
        f"report  {out / 'report.html'}"
    )
