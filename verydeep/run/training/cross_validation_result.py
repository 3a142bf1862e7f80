"""Result of :func:`verydeep.cross_validate`."""

from __future__ import annotations

import json
import statistics
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from verydeep.errors import ModelError, plural
from verydeep.evaluation.fold_measures import fold_measures
from verydeep.evaluation.stored_posteriors import AnyStored
from verydeep.system.mapping_result import MappingResult
from verydeep.system.summary import Rows, Summary, percent
from verydeep.training.folds_folder import FOLDS


@dataclass(frozen=True, repr=False, eq=False)
class CrossValidationResult(Summary, MappingResult):
    """A finished cross-validation and its metrics, by attribute or by key.

    Attributes:
        run: Its folder, with the run of each fold in ``fold-1`` and so on.
        metrics: The content of ``cross_validation.json``: the measures of all images together,
            each by the net that did not see it, ``folds`` (those of each fold), and ``mean`` and
            ``std`` over the folds.
        posteriors: Class probabilities of every image from the net of its fold.
    """

    run: Path
    metrics: Mapping[str, Any]
    posteriors: AnyStored = field(repr=False)

    @property
    def report(self) -> Path:
        """Path of the HTML report."""
        return self.run / "report.html"

    @property
    def runs(self) -> tuple[Path, ...]:
        """Run folders of the folds."""
        return tuple(self.run / f"fold-{fold['fold']}" for fold in self.metrics["folds"])

    @property
    def top1_error(self) -> float:
        """Top-1 error of all images, each by the net of its fold, in percent.

        Raises:
            AttributeError: The nets are multi-label.
        """
        if "top1_error" not in self.metrics:
            raise AttributeError("multi-label nets have no top-1 error")
        return float(self.metrics["top1_error"])

    def to_dict(self) -> dict[str, Any]:
        """Return the content of ``cross_validation.json``."""
        return dict(self.metrics)

    def facts(self) -> Rows:
        """Yield the facts to show."""
        measured = fold_measures(self.metrics)
        main = measured.main
        low, high = self.metrics[measured.interval]
        yield main.title, percent(self.metrics[main.key], (low, high))
        yield "images", plural(self.metrics["images"], "image")
        mean, std = (main.text(self.metrics[name][main.key]) for name in ("mean", "std"))
        yield "of a fold", f"{mean} ± {std} %"
        yield "folds", len(self.runs)
        yield "run", self.run


def summarize(
    runs: Sequence[Path], found: Sequence[Mapping[str, Any]], posteriors: AnyStored
) -> dict[str, Any]:
    """Return the metrics of a cross-validation as plain values.

    Args:
        runs: Run folders of the folds.
        found: The content of their ``metrics.json``.
        posteriors: Posteriors of the images of all folds.
    """
    whole = {
        name: list(value) if isinstance(value, tuple) else value
        for name, value in posteriors.measures().items()
    }
    measured = fold_measures(whole)
    columns = {
        name: [float(one[name]) for one in found if one[name] is not None]
        for name in measured.spread
    }
    shared = ("protocol", "scales", "flip", "average", "views", "steps", "models")
    return {
        **whole,
        "unreadable": [name for one in found for name in one["unreadable"]],
        **{name: found[0][name] for name in shared},
        "split": "held out",
        "seconds": sum(float(one["seconds"]) for one in found),
        "training_seconds": sum(float(one["training_seconds"]) for one in found),
        "folds": [
            {"fold": number, "run": str(run), **{name: one[name] for name in measured.of_a_fold}}
            for number, (run, one) in enumerate(zip(runs, found, strict=True), start=1)
        ],
        # A measure that is undefined in folds is averaged over the others.
        "mean": {name: statistics.mean(row) if row else None for name, row in columns.items()},
        "std": {
            name: statistics.stdev(row) if len(row) > 1 else None for name, row in columns.items()
        },
    }


def read_folds(folder: Path) -> dict[str, Any]:
    """Return what all folds of a cross-validation have in common.

    Raises:
        ModelError: The file is missing or damaged.
    """
    path = folder / FOLDS
    try:
        return dict(json.loads(path.read_text("utf-8")))
    except (OSError, ValueError) as error:
        raise ModelError(f"{path}: cannot be read ({error})") from error
