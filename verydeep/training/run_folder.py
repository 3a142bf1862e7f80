"""A run as a folder: its files, and who may write them."""

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
    make_folder,
    write_json,
    write_json_lines,
    write_text,
)
from verydeep.system.locks import NAME as LOCK
from verydeep.system.locks import hold
from verydeep.system.option_names import option

PICTURES = "pictures.npz"
"""Name, size, class and boxes of every image of the run, by split."""

BEFORE_THE_START = {"stages", "environment.json", "data.json", PICTURES}
"""What may lie in the folder of a run that was stopped before it began; the recipe comes last."""


@dataclass(frozen=True, slots=True)
class RunFolder:
    """The files of a run.

    ``recipe.yaml`` (every setting), ``environment.json``, ``data.json`` (what was trained on),
    ``pictures.npz`` (its images one by one; see :mod:`verydeep.data.fingerprint`), ``log.jsonl``
    (a line an epoch), ``checkpoints/``, ``model/`` (the best so far), ``answers.jsonl`` (a line an
    image of the final test), ``metrics.json`` (its figures), ``report.html``.

    A line of ``answers.jsonl`` has ``file``, ``class`` and, of a classifier, ``probability`` (of
    that class), ``likeliest`` (five classes at most) and ``probabilities`` (theirs); of a box net
    ``size`` (height and width of the image), ``boxes`` (true ones, x0 y0 x1 y1), ``found`` (the
    net's, or null) and ``iou`` (their overlap). Runs of earlier versions have no such file.
    """

    path: Path

    @property
    def model(self) -> Path:
        """The best model so far."""
        return self.path / "model"

    @property
    def checkpoints(self) -> Path:
        """What an interrupted training goes on from."""
        return self.path / "checkpoints"

    @property
    def started(self) -> bool:
        """Whether a run has begun here."""
        return (self.path / "recipe.yaml").is_file()

    @property
    def finished(self) -> bool:
        """Whether it has been trained and tested."""
        return (self.path / "metrics.json").is_file()

    @property
    def reported(self) -> bool:
        """Whether the page has been written, the last of its files."""
        return (self.path / "report.html").is_file()

    @contextmanager
    def opened(self, *, resume: bool) -> Iterator[None]:
        """Hold the folder for a new run, or for one that is there to go on with.

        Nobody else writes to it meanwhile; what killed writes have left is removed.

        Raises:
            FolderInUse: Another process is training there.
            ModelError: A new run would write over an old one, or there is none to resume.
            InputError: Nothing can be written there.
        """
        if not self.path.is_dir():
            self._check(resume=resume)
        make_folder(self.path)
        with hold(self.path):
            self._check(resume=resume)
            if resume:
                self._clear()
            yield

    @contextmanager
    def held(self) -> Iterator[None]:
        """Hold the folder of a run that is a part of another, begun or not."""
        with hold(self.path):
            self._clear()
            yield

    def _clear(self) -> None:
        # Runs in folders below have locks of their own, and clear up for themselves.
        for folder in (self.path, self.checkpoints, self.model):
            clear_temporaries(folder)

    def _check(self, *, resume: bool) -> None:
        """Check that a new run may begin here, or that there is one to go on with."""
        if self.started:
            if not resume:
                raise ModelError(
                    f"{self.path} holds a run already: go on with {option('resume', True)}, or "
                    f"choose another {option('out')}"
                )
            return
        inside = {path.name for path in self.path.iterdir()} if self.path.is_dir() else set()
        if "stages" in inside and not resume:
            raise ModelError(
                f"{self.path} holds a chain of nets under way: go on with "
                f"{option('resume', True)}, or choose another {option('out')}"
            )
        if any(name not in BEFORE_THE_START and not name.startswith(".") for name in inside):
            raise ModelError(f"{self.path} is not empty and no run: choose another {option('out')}")
        if resume and not inside - {LOCK}:
            raise ModelError(
                f"{self.path}: no run to resume; leave {option('resume', True)} away to start one"
            )

    def write_recipe(self, recipe: Recipe) -> None:
        """Write the recipe with every setting."""
        write_text(self.path / "recipe.yaml", recipe.to_yaml())

    def read_recipe(self) -> Recipe:
        """Read the recipe back."""
        return load_recipe(self.path / "recipe.yaml")

    def unfinish(self) -> None:
        """Let a finished run count as unfinished again."""
        (self.path / "metrics.json").unlink(missing_ok=True)

    def write(self, name: str, value: Any) -> None:
        """Write a JSON file of the run."""
        write_json(self.path / name, value)

    def write_lines(self, name: str, values: Iterable[Any]) -> None:
        """Write a file of the run with a line of JSON for each value."""
        write_json_lines(self.path / name, values)

    def read(self, name: str) -> Any:
        """Read a JSON file of the run.

        Raises:
            ModelError: It is missing or broken.
        """
        path = self.path / name
        try:
            return json.loads(path.read_text("utf-8"))
        except (OSError, ValueError) as error:
            raise ModelError(f"{path}: cannot be read ({error})") from error

    def log(self) -> list[dict[str, Any]]:
        """Return the rows of ``log.jsonl``; none before the first epoch has ended."""
        path = self.path / "log.jsonl"
        lines = path.read_text("utf-8").splitlines() if path.is_file() else []
        return [json.loads(line) for line in lines]
