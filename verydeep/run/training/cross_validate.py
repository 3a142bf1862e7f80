"""Cross-validation: one training for each fold, and what all of them say together."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from verydeep.data.fold import MOST_FOLDS, Fold
from verydeep.data.read import Data, DataSource
from verydeep.errors import DataError, InputError, ModelError
from verydeep.evaluation.stored_posteriors import POSTERIORS, read_stored
from verydeep.recipe.auto import AUTO
from verydeep.recipe.recipe import Recipe, check
from verydeep.run.training.cross_validation_result import (
    CrossValidationResult,
    read_folds,
    summarize,
)
from verydeep.run.training.default_out import default_out
from verydeep.run.training.folds_report import write_page_of
from verydeep.run.training.train import changes_of, settings_of, train
from verydeep.system.csv_text import write_csv
from verydeep.system.files import expanded, make_folder, write_json
from verydeep.system.group.membership import membership
from verydeep.system.locks import NAME as LOCK
from verydeep.system.locks import hold
from verydeep.system.option_names import option
from verydeep.system.progress import Progress, ProgressWish, choose_progress
from verydeep.training.folds_folder import (
    FOLDS,
    SUMMARY,
    forgotten_unless_begun,
    is_cross_validation,
)
from verydeep.training.run_folder import RunFolder

TABLE = "out_of_fold.csv"


def cross_validate(
    data: Data,
    folds: int | None = None,
    recipe: Recipe | str | Path = AUTO,
    out: str | Path | None = None,
    *,
    resume: bool = False,
    layout: str | None = None,
    settings: Mapping[str, Any] | Iterable[str] | None = None,
    processes: int | None = None,
    progress: ProgressWish = None,
    **keywords: Any,
) -> CrossValidationResult:
    """Train a net for each of several folds, and test it on the images of that fold.

    Every image is held out once. Each fold is an ordinary run, ``fold-1`` and so on in ``out``; its
    test split is the fold, and its validation split is drawn from the other folds, unless the data
    have one. Beside the runs there are ``out_of_fold.csv``, the answer for every image by the net
    that did not see it, ``posteriors.npz``, all its probabilities, ``cross_validation.json`` and
    ``report.html``.

    The folds are of the same images, so their nets are not independent: the standard deviation over
    the folds is no confidence interval.

    Args:
        data: A name, folder or file; see :func:`verydeep.read_dataset`. Data with a test split are
            refused.
        folds: Number of folds, 5 by default; a resumed cross-validation keeps its own.
        recipe: As for :func:`verydeep.train`, like all that follow.
        out: Folder of the cross-validation.
        resume: Resume it; finished folds are not trained again.
        layout: Folder layout of the data.
        settings: Changes to the recipe. ``data.group_by`` keeps groups of images in one fold.
        processes: Processes on this machine that train each net together.
        progress: Progress reporting.
        keywords: Changes to the recipe by name.

    Raises:
        InputError: The data, the recipe or the folder cannot be used, or the number of folds is not
            in 2 to 100.
        Interrupted: A signal stopped the training; it can be resumed.
    """
    progress = choose_progress(progress)
    if membership().size > 1:
        raise InputError(
            "a cross-validation starts its processes itself: start it without torchrun, with "
            f"{option('processes')}"
        )
    source = DataSource(data, layout)
    folder = _folder(source, out, resume, progress)
    plan = _Plan.of(source, folds, recipe, changes_of(settings, keywords))
    make_folder(folder)
    with hold(folder):
        plan = _resumed(folder, plan, folds, progress) if resume else plan
        if not is_cross_validation(folder):
            write_json(folder / FOLDS, plan.to_dict())
        runs = [folder / f"fold-{number}" for number in range(1, plan.folds + 1)]
        with forgotten_unless_begun(folder, runs):
            found = [
                _train(data, plan, Fold(number, plan.folds), run, layout, processes, progress)
                for number, run in enumerate(runs, start=1)
            ]
        return _finish(folder, runs, found)


@dataclass(frozen=True)
class _Plan:
    """What all folds have in common.

    Attributes:
        folds: Number of folds.
        data: The data, as can be given anywhere.
        layout: Folder layout as given.
        auto: Whether the recipe is chosen for data and machine.
        said: The given settings by section and key.
    """

    folds: int
    data: str
    layout: str | None
    auto: bool
    said: dict[str, dict[str, Any]]

    @staticmethod
    def of(
        source: DataSource,
        folds: int | None,
        recipe: Recipe | str | Path,
        changes: Mapping[str, Any] | Iterable[str],
    ) -> _Plan:
        """Return the plan of the given arguments.

        Raises:
            InputError: There are too few or too many folds, or the recipe cannot be used.
        """
        count = 5 if folds is None else folds
        if not 2 <= count <= MOST_FOLDS:
            raise InputError(
                f"{option('folds')} must be 2 to {MOST_FOLDS}, got {count} instead; 5 is usual"
            )
        said, chosen = settings_of(recipe, changes)
        if chosen is not None and chosen.localization is not None:
            raise InputError("cross-validation is for classifiers, and this recipe is for boxes")
        if "fold" in said.get("data", {}):
            raise InputError(f"data.fold: {option('folds')} sets it for each fold, leave it out")
        settings = {section: dict(values) for section, values in said.items()}
        return _Plan(count, source.lasting, source.layout, chosen is None, settings)

    def to_dict(self) -> dict[str, Any]:
        """Return plain values."""
        return {
            "folds": self.folds,
            "data": self.data,
            "layout": self.layout,
            "auto": self.auto,
            "settings": self.said,
        }

    @staticmethod
    def from_dict(values: Mapping[str, Any]) -> _Plan:
        """Return the plan from the output of :meth:`to_dict`."""
        keys = ("folds", "data", "layout", "auto", "settings")
        return _Plan(*(values[key] for key in keys))

    def recipe_of(self, fold: Fold) -> tuple[Recipe | str, dict[str, Any]]:
        """Return the recipe of a fold, and changes to it."""
        if not self.auto:
            return check(self.said).replace(data__fold=str(fold)), {}
        given = {
            f"{section}.{key}": value
            for section, values in self.said.items()
            for key, value in values.items()
        }
        return AUTO, {**given, "data.fold": str(fold)}


def _folder(source: DataSource, out: str | Path | None, resume: bool, progress: Progress) -> Path:
    """Return the folder of a cross-validation.

    Raises:
        ModelError: A new one would overwrite something, or there is none to resume.
    """
    folder = expanded(out) if out is not None else default_out(source.name, resume=resume)
    if out is None:
        progress.log(f"run {folder}")
    inside = [path.name for path in folder.iterdir()] if folder.is_dir() else []
    if resume and not is_cross_validation(folder):
        raise ModelError(
            f"{folder}: no cross-validation to resume; omit {option('resume', True)} to start one"
        )
    if not resume and is_cross_validation(folder):
        raise ModelError(
            f"{folder} already contains a cross-validation: continue it with "
            f"{option('resume', True)}, or choose another {option('out')}"
        )
    if not resume and set(inside) - {LOCK}:
        raise ModelError(f"{folder} is not empty: choose another {option('out')}")
    return folder


def _resumed(folder: Path, given: _Plan, folds: int | None, progress: Progress) -> _Plan:
    """Return the plan that a cross-validation began with.

    Raises:
        DataError: Other data are given.
        InputError: Another number of folds is given.
    """
    try:
        own = _Plan.from_dict(read_folds(folder))
    except KeyError as error:
        raise ModelError(f"{folder / FOLDS}: lacks {error}") from error
    if folds not in (None, own.folds):
        raise InputError(
            f"{folder} was begun with {own.folds} folds, got {folds} instead: they cannot change"
        )
    if given.data != own.data:
        raise DataError(f"{folder} was trained on {own.data}, not on {given.data}")
    if given.said and given.said != own.said:
        progress.log(f"{folder} goes on with the settings that it began with")
    return own


def _train(
    data: Data,
    plan: _Plan,
    fold: Fold,
    run: Path,
    layout: str | None,
    processes: int | None,
    progress: Progress,
) -> dict[str, Any]:
    """Train and test the net of a fold, or return the metrics of a finished one."""
    folder = RunFolder(run)
    if folder.finished and folder.reported and (run / POSTERIORS).is_file():
        progress.log(f"fold {fold}: finished already")
        return dict(folder.read("metrics.json"))
    progress.log(f"fold {fold}:")
    recipe, changes = plan.recipe_of(fold)
    result = train(
        data,
        recipe,
        run,
        resume=folder.started or (run / "stages").is_dir(),
        layout=layout or plan.layout,
        settings=changes,
        processes=processes,
        progress=progress,
    )
    return result.to_dict()


def _finish(
    folder: Path, runs: Sequence[Path], found: Sequence[Mapping[str, Any]]
) -> CrossValidationResult:
    """Write the table, the posteriors, the summary and the page of all folds."""
    posteriors = read_stored([run / POSTERIORS for run in runs])
    metrics = summarize(runs, found, posteriors)
    posteriors.write(folder / POSTERIORS)
    write_csv(folder / TABLE, posteriors.rows())
    write_json(folder / SUMMARY, metrics)
    result = CrossValidationResult(folder, metrics, posteriors)
    write_page_of(result)
    return result
