"""Output of a check with errors to the current folder if no output folder was given."""

from __future__ import annotations

import re
from pathlib import Path

from verydeep.checks.label_page import WRITTEN as LABELS
from verydeep.checks.page import WRITTEN, write_page
from verydeep.checks.report import CheckReport
from verydeep.errors import InputError
from verydeep.system.files import expanded, make_output_folder
from verydeep.system.locks import NAME as LOCK
from verydeep.system.locks import hold
from verydeep.system.option_names import option
from verydeep.system.progress import Progress

_UNUSUAL = re.compile(r"[^\w.]+")


def keep_lists(
    report: CheckReport, *, workers: int | None = None, progress: Progress | None = None
) -> str:
    """Write page and lists to ``NAME-check`` in the current folder.

    Nothing is written into the data set, or into a folder with files other than those of an
    earlier check.

    Args:
        report: The report.
        workers: Decoding processes for thumbnails.
        progress: Progress reporting; None is silent.

    Returns:
        A message with the location of the files, or why none were written.
    """
    folder = Path(f"{_name(report.data)}-check")
    try:
        others = _others(folder)
        if others:
            raise InputError(f"{folder} contains other files, like {others[0]!r}")
        target = make_output_folder(folder, report.dataset.root)
        with hold(target):
            write_page(report, target, workers=workers, progress=progress)
    except (InputError, OSError) as error:
        return f"no lists of files were written ({error}): give a folder with {option('out')}"
    return f"{folder / WRITTEN[0]} shows the findings, {folder / WRITTEN[1]} lists all files"


def _name(data: str) -> str:
    """Return a folder name for some data.

    >>> _name("lay/pets.v2"), _name("s3://pets/{train,val}-*.tar")
    ('pets.v2', 'train-val-.tar')
    """
    path = expanded(data)
    whole = path.resolve() if path.exists() else path
    name = whole.stem if whole.is_file() else whole.name
    return _UNUSUAL.sub("-", name).strip("-.") or "data"


def _others(folder: Path) -> list[str]:
    """Return the names in a folder, if it exists, that a check does not write."""
    found = folder.iterdir() if folder.is_dir() else ()
    return sorted(path.name for path in found if path.name not in (*WRITTEN, *LABELS, LOCK))
