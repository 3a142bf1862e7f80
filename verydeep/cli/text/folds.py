"""Results of a cross-validation as text."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from verydeep.cli.text.columns import Cells, align
from verydeep.errors import plural
from verydeep.evaluation.metrics import has_top5
from verydeep.system.summary import percent


def folds_as_text(metrics: dict[str, Any], out: Path) -> str:
    """Return the results of all folds and the paths of their files.

    Args:
        metrics: Metrics, as in ``cross_validation.json``.
        out: Folder of the cross-validation.
    """
    shown = ["top1_error", *(["top5_error"] if has_top5(metrics) else []), "loss"]
    titles = {"top1_error": "top-1 error", "top5_error": "top-5 error", "loss": "loss"}
    rows: list[Cells] = [("fold", "images", "epochs", *(titles[name] for name in shown))]
    for fold in metrics["folds"]:
        found = (f"{fold[name]:.3f}" for name in shown)
        rows.append((str(fold["fold"]), f"{fold['images']:,}", str(fold["epochs"]), *found))
    rows += [
        (name, "", "", *(f"{metrics[name][key]:.3f}" for key in shown)) for name in ("mean", "std")
    ]
    low, high = metrics["top1_interval"]
    return (
        f"{align(rows, left=1)}\n\n"
        f"{plural(metrics['images'], 'image')}, each by the net that did not see it: top-1 error "
        f"{percent(metrics['top1_error'], (low, high))}\n\n"
        f"runs    {out / 'fold-1'} to {len(metrics['folds'])}\n"
        f"table   {out / 'out_of_fold.csv'}\n"
        f"report  {out / 'report.html'}"
    )
