"""Run folders: their files and exclusive access to them."""

from __future__ import annotations

import json
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from verydeep.errors import ModelError
from verydeep.recipe.recipe import Recipe, load_recipe
from verydeep.system.files import (
    clear_temporaries,
    made_folder,
    write_json,
    write_json_lines,
    write_text,
)
from verydeep.system.locks import NAME as LOCK
from verydeep.system.locks import hold
from verydeep.system.option_names import option

PICTURES = "pictures.npz"
"""File with name, size, class and boxes of every image of the run, by split."""

BEFORE_THE_START = {"stages", "environment.json", "data.json", PICTURES}
"""Possible files of a run that was stopped before its start; the recipe is written last."""


@dataclass(frozen=True, slots=True)
class RunFolder:
    """The files of a run.

    ``recipe.yaml`` (all settings), ``environment.json``, ``data.json`` (the training data),
    ``pictures.npz`` (its images; see :mod:`verydeep.data.fingerprint`), ``log.jsonl`` (one line per
    epoch), ``checkpoints/``, ``model/`` (the best so far), ``answers.jsonl`` (one line per image of
    the final test), ``metrics.json`` (its metrics), ``report.html``; for a fold of a
    cross-validation also ``posteriors.npz`` (of the images it held out).

    A line of ``answers.jsonl`` has ``file``, ``class`` and, for a classifier, ``probability`` (of
    that class), ``likeliest`` (up to five classes) and ``probabilities`` (theirs); for a box
    regressor ``size`` (height and width of the image), ``boxes`` (true boxes, x0 y0 x1 y1),
    ``found`` (the predicted box, or null) and ``iou`` (their overlap). Runs of earlier versions
    lack this file.
    """

    path: Path

    @property
    def model(self) -> Path:
        """Folder of the best model so far."""
        return self.path / "model"

    @property
    def checkpoints(self) -> Path:
        """Folder of the checkpoints."""
        return self.path / "checkpoints"

    @property
    def maps(self) -> Path:
        """Folder of stored maps, while a transfer goes on."""
        return self.path / "maps"

    @property
    def started(self) -> bool:
        """Whether the folder contains a started run."""
        return (self.path / "recipe.yaml").is_file()

    @property
    def finished(self) -> bool:
        """Whether the run has been trained and tested."""
        return (self.path / "metrics.json").is_file()

    @property
    def reported(self) -> bool:
        """Whether the report, the last file of a run, has been written."""
        return (self.path / "report.html").is_file()

    @contextmanager
    def opened(self, *, resume: bool) -> Iterator[None]:
        """Lock the folder for a new run, or for one to resume.

        Remains of killed writes are removed. A run that fails before it has written anything
        leaves no folders behind.

        Raises:
            FolderInUse: Another process is training there.
            ModelError: A new run would overwrite an old one, or there is none to resume.
            InputError: The folder is not writable.
        """
        if not self.path.is_dir():
            self._check(resume=resume)
        with made_folder(self.path), hold(self.path):
            self._check(resume=resume)
            if resume:
                self._clear()
            yield

    @contextmanager
    def held(self) -> Iterator[None]:
        """Lock the folder of a run that is part of another run."""
        with hold(self.path):
            self._clear()
            yield

    def _clear(self) -> None:
        # Runs in subfolders have their own locks and clean up themselves.
        for folder in (self.path, self.checkpoints, self.model, self.maps):
            clear_temporaries(folder)

    def _check(self, *, resume: bool) -> None:
        """Raise an error unless a new run may start here, or there is one to resume."""
        if self.started:
            if not resume:
                raise ModelError(
                    f"{self.path} already contains a run: continue it with "
                    f"{option('resume', True)}, or choose another {option('out')}"
                )
            return
        inside = {path.name for path in self.path.iterdir()} if self.path.is_dir() else set()
        if "stages" in inside and not resume:
            raise ModelError(
                f"{self.path} contains an unfinished chain of nets: continue it with "
                f"{option('resume', True)}, or choose another {option('out')}"
            )
        if any(name not in BEFORE_THE_START and not name.startswith(".") for name in inside):
            raise ModelError(
                f"{self.path} is not empty and not a run folder: choose another {option('out')}"
            )
        if resume and not inside - {LOCK}:
            raise ModelError(
                f"{self.path}: no run to resume; omit {option('resume', True)} to start one"
            )

    def write_recipe(self, recipe: Recipe) -> None:
        """Write the recipe with all settings."""
        write_text(self.path / "recipe.yaml", recipe.to_yaml())

    def read_recipe(self) -> Recipe:
        """Read the recipe."""
        return load_recipe(self.path / "recipe.yaml")

    def unfinish(self) -> None:
        """Mark a finished run as unfinished."""
        (self.path / "metrics.json").unlink(missing_ok=True)

    def write(self, name: str, value: Any) -> None:
        """Write a JSON file of the run."""
        write_json(self.path / name, value)

    def write_lines(self, name: str, values: Iterable[Any]) -> None:
        """Write a JSON Lines file of the run."""
        write_json_lines(self.path / name, values)

    def read(self, name: str) -> Any:
        """Read a JSON file of the run.

        Raises:
            ModelError: The file is missing or damaged.
        """
        path = self.path / name
        try:
            return json.loads(path.read_text("utf-8"))
        except (OSError, ValueError) as error:
            raise ModelError(f"{path}: cannot be read ({error})") from error

    def log(self) -> list[dict[str, Any]]:
        """Return the rows of ``log.jsonl``; none before the end of the first epoch."""
        path = self.path / "log.jsonl"
        lines = path.read_text("utf-8").splitlines() if path.is_file() else []
        return [json.loads(line) for line in lines]
