"""Report of a run, with images of its test."""

from __future__ import annotations

from contextlib import suppress
from pathlib import Path
from typing import Any

from verydeep.errors import FolderInUse, ModelError
from verydeep.run.data_record import recorded_dataset
from verydeep.run.picture_finder import PictureFinder
from verydeep.run.training.folds_report import write_folds_report
from verydeep.run.training.tasks.of_recipe import task_of
from verydeep.system.device import choose_machine
from verydeep.system.files import expanded
from verydeep.system.locks import hold
from verydeep.system.option_names import option
from verydeep.system.progress import Progress, ProgressWish, choose_progress
from verydeep.training.folds_folder import SUMMARY, is_cross_validation
from verydeep.training.run_folder import RunFolder
from verydeep.visualization.report.page import write_report


def report(run: str | Path, *, test: bool = False, progress: ProgressWish = None) -> Path:
    """Rewrite ``report.html`` of a run, or of a finished cross-validation.

    Args:
        run: Run folder; at least one epoch must be complete.
        test: Test the model again first, to obtain the answers for galleries, confusion and
            calibration, which runs of earlier versions did not keep. The metrics measured at the
            end of training stay unchanged.
        progress: Progress reporting; None enables it in notebooks and terminals, True everywhere,
            False nowhere.

    Returns:
        The path of ``report.html``.

    Raises:
        ModelError: The folder is no run, a file is damaged, or no epoch is complete; or ``test``
            is given for an unfinished run.
        InputError: The model or the data cannot be used for the test.
    """
    progress = choose_progress(progress)
    folder = RunFolder(expanded(run))
    if is_cross_validation(folder.path):
        return _of_folds(folder.path, test=test)
    if test:
        with hold(folder.path):
            _test_again(folder, progress)
    return _write(folder, run)


def _of_folds(folder: Path, *, test: bool) -> Path:
    """Rewrite the page of a cross-validation.

    Raises:
        ModelError: It is not finished, or ``test`` is given.
    """
    if test:
        raise ModelError(f"{folder}: a cross-validation keeps all answers: leave out the test")
    with hold(folder, brief=True):
        return write_folds_report(folder)


def _write(folder: RunFolder, run: str | Path) -> Path:
    """Write the report; repeat if a running training has advanced meanwhile.

    If a running training holds the lock, write without it. Otherwise lock the folder, so that the
    partly written report is not mistaken for a leftover of a killed process.
    """
    if not folder.started:
        return write_report(run, _pictures(folder))  # raises the error
    with suppress(FolderInUse), hold(folder.path, brief=True, patience=0):
        return write_report(run, _pictures(folder))
    while True:
        before = _state(folder)
        page = write_report(run, _pictures(folder))
        if _state(folder) == before:
            return page


def _state(folder: RunFolder) -> list[tuple[int, int] | None]:
    """Return inode and modification time of the report's source files, to detect changes."""
    names = ("log.jsonl", "answers.jsonl", "metrics.json")
    files = [folder.path / name for name in names]
    found = [path.stat() if path.is_file() else None for path in files]
    return [one and (one.st_ino, one.st_mtime_ns) for one in found]


def report_as_dict(page: Path) -> dict[str, Any]:
    """Return a report as plain values.

    Args:
        page: ``report.html`` of a run.

    Returns:
        ``report``, the path, and the content of ``metrics.json`` if the run has been tested, or of
        ``cross_validation.json``.
    """
    folder = RunFolder(page.parent)
    names = (name for name in ("metrics.json", SUMMARY) if (folder.path / name).is_file())
    found = next(names, None)
    return {"report": str(page), **(folder.read(found) if found else {})}


def _pictures(folder: RunFolder) -> PictureFinder:
    record = folder.read("data.json") if (folder.path / "data.json").is_file() else {}
    root = record.get("root") or record.get("data")  # runs of earlier versions have no root
    return PictureFinder(Path(root) if root else None, lambda: recorded_dataset(folder))


def _test_again(folder: RunFolder, progress: Progress) -> None:
    if not folder.finished:
        raise ModelError(
            f"{folder.path}: there is no finished run to test again; go on with its training: "
            f"{option('resume', True)}"
        )
    recipe, data = folder.read_recipe(), recorded_dataset(folder, progress)
    task = task_of(recipe, data)
    machine = choose_machine(recipe.training.device, recipe.training.precision)
    results = task.tests(task.load(folder.model).on(machine), progress)
    folder.write_lines("answers.jsonl", task.answers(task.chosen(results)))
