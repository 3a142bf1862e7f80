"""The lists of a set's errors, kept in the current folder where nobody said where else."""

from __future__ import annotations

import re
from pathlib import Path

from verydeep.checks.check import CheckReport, target_folder
from verydeep.checks.page import WRITTEN, write_page
from verydeep.errors import InputError
from verydeep.system.locks import NAME as LOCK
from verydeep.system.locks import hold
from verydeep.system.option_names import option
from verydeep.system.progress import Progress

_UNUSUAL = re.compile(r"[^\w.]+")


def keep_lists(
    report: CheckReport, *, workers: int | None = None, progress: Progress | None = None
) -> str:
    """Write page and lists of a set with errors to ``NAME-check`` in the current folder.

    Nothing is written into the data set, nor into a folder that holds other things than what an
    earlier look-over wrote.

    Args:
        report: What was found.
        workers: Decoding processes for the small images.
        progress: Where to report to; None is silent.

    Returns:
        Where they are, or why they are nowhere, for the user.
    """
    folder = Path(f"{_name(report.data)}-check")
    try:
        others = _others(folder)
        if others:
            raise InputError(f"{folder} holds other things, like {others[0]!r}")
        target = target_folder(folder, report.dataset.root)
        with hold(target):
            write_page(report, target, workers=workers, progress=progress)
    except (InputError, OSError) as error:
        return f"no lists of the files were written ({error}): name a folder with {option('out')}"
    return f"{folder / WRITTEN[0]} shows what was found, {folder / WRITTEN[1]} lists all files"


def _name(data: str) -> str:
    """Return what a folder for some data may be called.

    >>> _name("lay/pets.v2"), _name("s3://pets/{train,val}-*.tar")
    ('pets.v2', 'train-val-.tar')
    """
    path = Path(data).expanduser()
    whole = path.resolve() if path.exists() else path
    name = whole.stem if whole.is_file() else whole.name
    return _UNUSUAL.sub("-", name).strip("-.") or "data"


def _others(folder: Path) -> list[str]:
    """Return what is in a folder, if there is one, beside what a look-over writes."""
    found = folder.iterdir() if folder.is_dir() else ()
    return sorted(path.name for path in found if path.name not in (*WRITTEN, LOCK))
