"""Default run folder of a training: ``runs/pets``, then ``runs/pets-2``."""

from __future__ import annotations

import re
from pathlib import Path

from verydeep.errors import ModelError
from verydeep.system.files import expanded
from verydeep.system.option_names import option, placeholder

RUNS = Path("runs")
"""Folder of the runs, relative to the current folder."""


def default_out(data: str | Path, *, resume: bool = False, runs: Path = RUNS) -> Path:
    """Return the folder for a run, named after its data.

    Args:
        data: A name, folder or file, as given.
        resume: Return the folder of the latest unfinished run, or of the latest run if all are
            finished.
        runs: Folder of the runs.

    Raises:
        ModelError: There is no run to resume.

    >>> default_out("pictures/my pets.csv", runs=Path("nowhere"))
    PosixPath('nowhere/my-pets')
    """
    name = run_name(data)
    if resume:
        return _latest(name, runs)
    folder, number = runs / name, 1
    while _taken(folder):
        number += 1
        folder = runs / f"{name}-{number}"
    return folder


def run_name(data: str | Path) -> str:
    """Return a run name for some data: letters, digits, dots and hyphens.

    >>> run_name("hf:owner/Pets"), run_name("/data/pets/"), run_name("s3://b/t-{000..9}.tar?k=1")
    ('Pets', 'pets', 't')
    """
    text = re.sub(r"\?.*|[{*\[].*", "", str(data)) if "://" in str(data) else str(data)
    text = str(expanded(text).resolve()) if text in (".", "..") else text
    last = re.split(r"[/\\:]", text.rstrip("/\\"))[-1]
    stem = re.sub(r"\.(csv|tsv|jsonl?|parquet|tar|ya?ml|txt)$", "", last)
    stem = re.sub(r"[{*\[].*", "", stem)
    return re.sub(r"[^\w.]+", "-", stem).strip("-._") or "run"


def _latest(name: str, runs: Path) -> Path:
    numbered = re.compile(re.escape(name) + r"(-\d+)?")
    begun = [
        folder
        for folder in (runs.iterdir() if runs.is_dir() else ())
        if numbered.fullmatch(folder.name) and _begun(folder)
    ]
    if not begun:
        raise ModelError(
            f"{runs / name}: no run to resume; name its folder with "
            f"{option('out', placeholder('RUN'))}, or start one without {option('resume', True)}"
        )
    unfinished = [folder for folder in begun if not _finished(folder)]
    return max(unfinished or begun, key=lambda folder: folder.stat().st_mtime)


def _begun(folder: Path) -> bool:
    names = ("recipe.yaml", "stages", "data.json", "folds.json")
    return any((folder / name).exists() for name in names)


def _finished(folder: Path) -> bool:
    return any((folder / name).exists() for name in ("metrics.json", "cross_validation.json"))


def _taken(path: Path) -> bool:
    """Return whether a path is in use; an empty folder left by a failed start is free."""
    if not path.is_dir():
        return path.exists() or path.is_symlink()
    return any(not inside.name.startswith(".") for inside in path.iterdir())
