"""Test classifiers on a data set, by one protocol or all."""

from __future__ import annotations

import sys
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Any, Generic, NamedTuple, TypeVar

from verydeep.data.read import Data
from verydeep.errors import InputError
from verydeep.evaluation.all_protocols import EvaluationTable, measure_table
from verydeep.evaluation.evaluate import evaluate_labels, evaluate_samples
from verydeep.evaluation.label_table import MultiLabelTable, measure_label_table
from verydeep.evaluation.multi_label import MultiLabelResult
from verydeep.evaluation.protocol import TestProtocol
from verydeep.evaluation.result import EvaluationResult
from verydeep.evaluation.workload import pixels_to_see, shapes_vary
from verydeep.run.picture_finder import PictureFinder
from verydeep.run.testing.bench import Bench, output_folder, set_up
from verydeep.system.group.distributed import joined
from verydeep.system.group.launch import in_several
from verydeep.system.progress import Progress, ProgressWish, choose_progress
from verydeep.system.settings import Compute

if TYPE_CHECKING:
    from verydeep.localization.result import LocalizationResult
    from verydeep.run.testing.bench import ModelSource

ALL_PROTOCOLS = 50
"""Views of all protocols together, as a multiple of those of one; a rough guess."""


@in_several
def evaluate(
    models: ModelSource | Sequence[ModelSource],
    data: Data | None = None,
    protocol: str | TestProtocol = "dense",
    *,
    split: str | None = None,
    layout: str | None = None,
    compute: Compute | str | None = None,
    out: str | Path | None = None,
    progress: ProgressWish = None,
) -> EvaluationResult | MultiLabelResult:
    """Measure the error of a model, or of several fused, on a data set.

    If a single model made of imported weights errs more than expected, known mistakes of import are
    tried on some of the images, and one that explains the error is logged.

    Args:
        models: Model or run folders, exported files, loaded models, or ``torchvision/NAME`` (see
            :func:`verydeep.models.torchvision.torchvision_classifier`).
        data: A name, folder or file, a data set, or images with labels, as for
            :func:`verydeep.read_dataset`; None takes the data of the first run. Data of a run
            keep the splits of that run.
        protocol: ``center``, ``dense``, ``crops``, ``both``, ``ten-crop`` or ``googlenet``; or a
            :class:`~verydeep.TestProtocol`, with scales, mirror images, grid and averages.
        split: Split to test on; None takes ``test`` if present, else ``val``, else all images.
        layout: Folder layout of ``data``; None detects it.
        compute: Device, precision, decoding processes, and processes that share the images; a
            string names the device.
        out: Folder for posteriors, per-class errors, calibration and a report; None writes nothing.
        progress: Progress reporting; None enables it in notebooks and terminals, True everywhere,
            False nowhere.

    Returns:
        The result: an :class:`~verydeep.EvaluationResult` for classifiers of one class per image, a
        :class:`~verydeep.evaluation.multi_label.MultiLabelResult` for multi-label classifiers.
        ``assert isinstance(result, verydeep.EvaluationResult)`` tells type checkers which one.

    Raises:
        InputError: A model, the data or the protocol cannot be used.
    """
    with _measured(
        _ONE,
        models,
        data,
        TestProtocol.of(protocol),
        split=split,
        layout=layout,
        compute=compute,
        out=out,
        progress=progress,
    ) as (result, bench, folder):
        result = replace(result, **bench.facts)
        if isinstance(result, EvaluationResult):
            seen = _symptoms(bench, result, choose_progress(progress))
            result = replace(result, symptoms=seen)
        if folder:
            from verydeep.run.testing.files import write_result  # imports matplotlib, which is slow

            write_result(result, folder)
            write_page(result, bench, folder)
    return result


def _symptoms(
    bench: Bench, result: EvaluationResult, progress: Progress
) -> tuple[dict[str, Any], ...]:
    """Look for mistakes in the import of a single model, in a single process."""
    with joined() as group:
        if len(bench.classifiers) > 1 or group.size > 1:
            return ()
    if not getattr(bench.classifiers[0], "source", None):
        return ()  # not imported
    from verydeep.run.testing.symptoms import find_symptoms

    found = find_symptoms(bench.classifiers[0], bench.samples, result, progress)
    return tuple(one.to_dict() for one in found)


@in_several
def evaluate_all(
    models: ModelSource | Sequence[ModelSource],
    data: Data | None = None,
    protocol: TestProtocol | None = None,
    *,
    split: str | None = None,
    layout: str | None = None,
    compute: Compute | str | None = None,
    out: str | Path | None = None,
    progress: ProgressWish = None,
) -> EvaluationTable | MultiLabelTable:
    """Measure models by every protocol (Tables 3 to 6 of the paper), reading images once.

    Args:
        models: As for :func:`evaluate`.
        data: As for :func:`evaluate`.
        protocol: Mirror images, grid and averages of all tests; the tables set name and scales.
        split: As for :func:`evaluate`, like all other arguments.
        layout: Folder layout of ``data``.
        compute: Device, precision and decoding processes.
        out: Folder for the table and the files of each test.
        progress: Progress reporting.

    Returns:
        The table: an :class:`~verydeep.EvaluationTable`; for multi-label classifiers a
        :class:`~verydeep.evaluation.label_table.MultiLabelTable`, without comparisons.

    Raises:
        InputError: A model, the data or the protocol cannot be used.
    """
    common = protocol or TestProtocol()
    if common.scales is not None or common.preset != "paper":
        raise InputError("the tests of all protocols have their own scales, and no preset")
    with _measured(
        _ALL,
        models,
        data,
        common,
        split=split,
        layout=layout,
        compute=compute,
        out=out,
        progress=progress,
    ) as (table, bench, folder):
        table = table.with_facts(bench.facts)
        if folder:
            from verydeep.run.testing.files import write_table

            write_table(table, folder)
    return table


S = TypeVar("S")
M = TypeVar("M")


class _Measures(NamedTuple, Generic[S, M]):
    """Functions that test models of one class per image, and multi-label models."""

    single: Callable[..., S]
    several: Callable[..., M]


_ONE = _Measures(evaluate_samples, evaluate_labels)
_ALL = _Measures(measure_table, measure_label_table)


@contextmanager
def _measured(
    measures: _Measures[S, M],
    models: ModelSource | Sequence[ModelSource],
    data: Data | None,
    protocol: TestProtocol,
    *,
    split: str | None,
    layout: str | None,
    compute: Compute | str | None,
    out: str | Path | None,
    progress: ProgressWish,
) -> Iterator[tuple[S | M, Bench, Path | None]]:
    """Load models and images, and test them, with the output folder locked.

    Args:
        measures: Functions that make the tests.
        models: As for :func:`evaluate`, like all other arguments.
        data: Data to test on.
        protocol: Protocol given to them.
        split: Split to test on.
        layout: Folder layout of ``data``.
        compute: Device, precision and decoding processes.
        out: Output folder.
        progress: Progress reporting.

    Yields:
        The result, what was tested, and the output folder if this process writes to it.
    """
    progress, compute = choose_progress(progress), Compute.of(compute)
    with output_folder(out) as folder:
        bench = set_up(models, data, split=split, layout=layout, compute=compute, progress=progress)
        _prepare(bench, protocol, progress, every=measures is _ALL)
        measure: Callable[..., S | M]
        measure = measures.several if bench.multi_label else measures.single
        result = measure(
            bench.classifiers,
            bench.samples,
            protocol,
            split=bench.split,
            root=bench.dataset.root,
            workers=compute.workers,
            progress=progress,
        )
        yield result, bench, folder


def _prepare(bench: Bench, protocol: TestProtocol, progress: Progress, *, every: bool) -> None:
    """Let each model choose its engine for the job."""
    for model in bench.classifiers:
        how = protocol.for_model(model)
        pixels = pixels_to_see([how], len(bench.samples), model.input_size)
        pixels *= ALL_PROTOCOLS if every else 1
        model.prepare(pixels, progress, shapes_vary=every or shapes_vary([how]))


def write_page(
    result: EvaluationResult | MultiLabelResult | LocalizationResult, bench: Bench, out: Path
) -> None:
    """Write ``report.html`` of a test, with example images."""
    from verydeep.visualization.report.page import write_test_page

    pictures = PictureFinder(bench.dataset.root, lambda: bench.dataset)
    nets = (*bench.regressors, *bench.classifiers)
    titles = bench.dataset.titles
    write_test_page(result, out / "report.html", nets[0].classes, titles, pictures, sys.argv)
