"""The report of a run, with the images that its model was tested on."""

from __future__ import annotations

from contextlib import suppress
from pathlib import Path
from typing import Any

from verydeep.errors import FolderInUse, ModelError
from verydeep.run.data_record import recorded_dataset
from verydeep.run.picture_finder import PictureFinder
from verydeep.run.training.setup import task_of
from verydeep.system.device import choose_machine
from verydeep.system.locks import hold
from verydeep.system.option_names import option
from verydeep.system.progress import Progress, ProgressWish, choose_progress
from verydeep.training.run_folder import RunFolder
from verydeep.visualization.report.page import write_report


def report(run: str | Path, *, test: bool = False, progress: ProgressWish = None) -> Path:
    """Write ``report.html`` of a run again.

    Args:
        run: The run folder; after its first epoch at the earliest.
        test: Test the model again first, for the answers that the galleries, the confusion and the
            calibration are made of. Runs of earlier versions kept none. Its figures stay as they
            were measured at the end of the training.
        progress: Where to report to; None reports in a notebook and to a terminal, False is
            silent, True reports anyway.

    Returns:
        The path of ``report.html``.

    Raises:
        ModelError: It is no run folder, one of its files is damaged, or no epoch has ended yet; or
            it has not been tested yet, and should be tested again.
        InputError: The model or the data cannot be used for the test.
    """
    progress = choose_progress(progress)
    folder = RunFolder(Path(run).expanduser())
    if test:
        with hold(folder.path):
            _test_again(folder, progress)
    return _write(folder, run)


def _write(folder: RunFolder, run: str | Path) -> Path:
    """Write the page; once more if a training that goes on has gone further meanwhile.

    A training may hold the folder: its curves can be looked at. Otherwise it is held, so that
    nobody takes the page under way for what a killed write has left.
    """
    if not folder.started:
        return write_report(run, _pictures(folder))  # which says so
    with suppress(FolderInUse), hold(folder.path, brief=True, patience=0):
        return write_report(run, _pictures(folder))
    while True:
        before = _state(folder)
        page = write_report(run, _pictures(folder))
        if _state(folder) == before:
            return page


def _state(folder: RunFolder) -> list[tuple[int, int] | None]:
    """Return which files the page is made of; another list once one is written anew."""
    names = ("log.jsonl", "answers.jsonl", "metrics.json")
    files = [folder.path / name for name in names]
    found = [path.stat() if path.is_file() else None for path in files]
    return [one and (one.st_ino, one.st_mtime_ns) for one in found]


def report_as_dict(page: Path) -> dict[str, Any]:
    """Return a report for programs.

    Args:
        page: ``report.html`` of a run.

    Returns:
        ``report``, the path; and the figures of ``metrics.json``, if the run has been tested.
    """
    folder = RunFolder(page.parent)
    tested = (folder.path / "metrics.json").is_file()
    return {"report": str(page), **(folder.read("metrics.json") if tested else {})}


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
