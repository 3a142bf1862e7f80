"""A test as the program is asked for it: plain values for programs, text for people, files."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

from verydeep.distributed import is_first
from verydeep.errors import InputError
from verydeep.progress import Progress
from verydeep.run.calibrate import calibrate
from verydeep.run.explain import explain_test
from verydeep.run.outputs import write_result, write_table
from verydeep.run.test import Scales, evaluate, evaluate_all
from verydeep.tables.results import (
    calibration_as_text,
    explanation_as_text,
    result_as_text,
    table_as_text,
)

Outcome = tuple[dict[str, Any], str]
"""The same as plain values and as text."""


@dataclass(frozen=True)
class Request:
    """What is to be measured, and how; see :func:`verydeep.evaluate` for all of it.

    Attributes:
        out: Folder for the files of the test; None writes none.
    """

    models: Sequence[str]
    data: str | None
    protocol: str
    split: str | None = None
    scales: Scales = None
    flip: bool | None = None
    grid: tuple[int, int] = (5, 5)
    average: str = "paper"
    preset: str = "paper"
    layout: str | None = None
    device: str | None = None
    precision: str | None = None
    workers: int | None = None
    out: Path | None = None

    def settings(self, *without: str) -> dict[str, Any]:
        """Return all but models, data, protocol and those named, as keyword arguments."""
        left_out = {"models", "data", "protocol", "out", *without}
        return {name: value for name, value in vars(self).items() if name not in left_out}

    @property
    def where(self) -> str:
        """Where the files are, in words."""
        return f"\n\nfiles in {self.out}" if self.out else ""


def measure(request: Request, progress: Progress, *, calibrate_on: str | None = None) -> Outcome:
    """Test models, after fitting a temperature if asked to.

    Raises:
        InputError: A model, the data or a setting cannot be used.
    """
    fitted = _calibrate(request, calibrate_on, progress) if calibrate_on else None
    value, text = (_all if request.protocol == "all" else _one)(request, progress)
    if fitted:
        value["calibration"], text = fitted[0], f"{fitted[1]}\n\n{text}"
    return value, text


def explained(request: Request, picture: Path | None) -> Outcome:
    """Explain the test of one picture; None takes the first.

    Raises:
        InputError: A model, the picture or a setting cannot be used.
    """
    explanation = explain_test(
        request.models,
        request.data,
        request.protocol,
        picture=picture,
        out=request.out,
        **request.settings("workers"),
    )
    return explanation.to_dict(), explanation_as_text(explanation) + request.where


def _one(request: Request, progress: Progress) -> Outcome:
    settings = request.settings()
    result = evaluate(request.models, request.data, request.protocol, progress=progress, **settings)
    if request.out and is_first():
        write_result(result, request.out)
    value = result.to_dict()
    return value, result_as_text(value) + request.where


def _all(request: Request, progress: Progress) -> Outcome:
    if request.scales or request.preset != "paper":
        raise InputError("--protocol all has its own --scales and no --preset")
    settings = request.settings("scales", "preset")
    table = evaluate_all(request.models, request.data, progress=progress, **settings)
    if request.out and is_first():
        write_table(table, request.out)
    value = table.to_dict()
    return value, table_as_text(value) + request.where


def _calibrate(request: Request, split: str, progress: Progress) -> Outcome:
    if len(request.models) > 1 or request.models[0].startswith("torchvision/"):
        raise InputError("--calibrate takes one model: its temperature is kept in its folder")
    calibration = calibrate(
        request.models[0],
        split,
        request.data,
        "dense" if request.protocol == "all" else request.protocol,
        tested=request.split,
        progress=progress,
        **request.settings("split", "preset"),
    )
    value = asdict(calibration)
    return value, calibration_as_text(value)
