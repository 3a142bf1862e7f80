"""A test as the program is asked for it: plain values for programs, text for people, files."""

from __future__ import annotations

import sys
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

from verydeep.cli.text.results import (
    calibration_as_text,
    explanation_as_text,
    localization_as_text,
    no_calibration_as_text,
    result_as_text,
    table_as_text,
)
from verydeep.errors import InputError
from verydeep.evaluation.result import EvaluationResult
from verydeep.localization.protocol import check_grid_use
from verydeep.localization.result import LocalizationResult
from verydeep.run.picture_finder import PictureFinder
from verydeep.run.testing.boxes import are_box_nets, rate_boxes, set_up_boxes
from verydeep.run.testing.calibrate import calibrate, forget_calibration
from verydeep.run.testing.evaluate import Scales, data_for, evaluate, evaluate_all
from verydeep.system.distributed import is_first
from verydeep.system.locks import hold
from verydeep.system.progress import Progress
from verydeep.visualization.report.page import write_test_page

ONLY_FOR_BOXES = ("boxes", "top", "threshold", "most")
"""Settings of a request that classifiers by themselves do not know."""

NO_TEMPERATURE = "none"
"""Given as the split to calibrate on, it removes the temperature that a model keeps."""

ONLY_FOR_CLASSES = ("average", "preset")
"""Settings that box nets do not know."""

Outcome = tuple[dict[str, Any], str]
"""The same as plain values and as text."""


@dataclass(frozen=True)
class Request:
    """What is to be measured, and how; see :func:`verydeep.evaluate` for all of it.

    Attributes:
        protocol: Name, or ``all``; None takes ``dense``, or what fits box nets.
        boxes: Box nets that say where, beside models that say what; see
            :func:`verydeep.evaluate_localization`.
        top: Classes whose boxes are looked for.
        threshold: Of the merging of boxes.
        most: Boxes that are merged at most.
        out: Folder for the files of the test; None writes none.
    """

    models: Sequence[str]
    data: str | None
    protocol: str | None = None
    boxes: Sequence[str] = ()
    top: int = 5
    threshold: float | None = None
    most: int | None = None
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
        left_out = {"models", "data", "protocol", "out", *ONLY_FOR_BOXES, *without}
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
    with _held(request.out):
        return _measure(request, progress, calibrate_on)


@contextmanager
def _held(out: Path | None) -> Iterator[None]:
    """Hold the folder of a test's files; of several processes the first does."""
    if out is None or not is_first():
        yield
        return
    with hold(out):
        yield


def _measure(request: Request, progress: Progress, calibrate_on: str | None) -> Outcome:
    if request.boxes or are_box_nets(request.models):
        if calibrate_on:
            raise InputError("--calibrate is for classifiers alone: leave --boxes away")
        return _boxes(request, progress)
    fitted = _calibrate(request, calibrate_on, progress) if calibrate_on else None
    value, text = (_all if request.protocol == "all" else _one)(request, progress)
    if fitted:
        value["calibration"], text = fitted[0], f"{fitted[1]}\n\n{text}"
    return value, text


def explained(request: Request, picture: Path | None) -> Outcome:
    """Explain the test of one image; None takes the first.

    Raises:
        InputError: A model, the image or a setting cannot be used.
    """
    if request.boxes or are_box_nets(request.models):
        raise InputError("--explain is for classifiers alone: leave --boxes away")
    from verydeep.run.testing.walkthrough import explain_test

    with _held(request.out):
        explanation = explain_test(
            request.models,
            request.data,
            request.protocol or "dense",
            picture=picture,
            out=request.out,
            **request.settings("workers"),
        )
    return explanation.to_dict(), explanation_as_text(explanation) + request.where


def _one(request: Request, progress: Progress) -> Outcome:
    settings = request.settings()
    protocol = request.protocol or "dense"
    result = evaluate(request.models, request.data, protocol, progress=progress, **settings)
    if request.out and is_first():
        from verydeep.run.testing.files import write_result  # draws, which is slow to import

        write_result(result, request.out)
        pictures = PictureFinder(
            None, lambda: data_for(request.models, request.data, request.layout)
        )
        _write_page(result, request.out, result.answers.classes, pictures)
    value = result.to_dict()
    return value, result_as_text(value) + request.where


def _all(request: Request, progress: Progress) -> Outcome:
    if request.scales or request.preset != "paper":
        raise InputError("--protocol all has its own --scales and no --preset")
    settings = request.settings("scales", "preset")
    table = evaluate_all(request.models, request.data, progress=progress, **settings)
    if request.out and is_first():
        from verydeep.run.testing.files import write_table

        write_table(table, request.out)
    value = table.to_dict()
    return value, table_as_text(value) + request.where


def _boxes(request: Request, progress: Progress) -> Outcome:
    usual = Request(request.models, request.data)
    for name in ONLY_FOR_CLASSES:
        if getattr(request, name) != getattr(usual, name):
            raise InputError(f"--{name} is for classifiers alone: it says nothing of boxes")
    check_grid_use(request.grid, request.protocol)
    bench = set_up_boxes(
        request.models,
        request.boxes,
        request.data,
        request.split,
        request.layout,
        request.device,
        request.precision,
        progress,
    )
    result = rate_boxes(
        bench,
        request.protocol,
        scales=request.scales,
        flip=request.flip,
        grid=request.grid,
        top=request.top,
        threshold=request.threshold,
        most=request.most,
        workers=request.workers,
        progress=progress,
    )
    if request.out and is_first():
        from verydeep.run.testing.files import write_localization

        write_localization(result, bench, request.out)
        pictures = PictureFinder(bench.dataset.root, lambda: bench.dataset)
        _write_page(result, request.out, bench.nets[0].classes, pictures)
    value = result.to_dict()
    return value, localization_as_text(value) + request.where


def _write_page(
    result: EvaluationResult | LocalizationResult,
    out: Path,
    classes: Sequence[str],
    pictures: PictureFinder,
) -> None:
    titles = pictures.dataset.titles
    write_test_page(result, out / "report.html", classes, titles, pictures, sys.argv)


def _calibrate(request: Request, split: str, progress: Progress) -> Outcome:
    if len(request.models) > 1 or request.models[0].startswith("torchvision/"):
        raise InputError("--calibrate takes one model: its temperature is kept in its folder")
    if split == NO_TEMPERATURE:
        removed = forget_calibration(request.models[0])
        return {"temperature": None, "removed": removed}, no_calibration_as_text(removed)
    calibration = calibrate(
        request.models[0],
        split,
        request.data,
        "dense" if request.protocol in (None, "all") else request.protocol,
        tested=request.split,
        progress=progress,
        **request.settings("split", "preset"),
    )
    value = asdict(calibration)
    return value, calibration_as_text(value)
