"""Tests of box nets, by themselves or beside classifiers (appendix A)."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass, replace
from pathlib import Path

import torch
from torch import Tensor

from verydeep.data.dataset import Dataset
from verydeep.data.samples import Samples
from verydeep.errors import InputError
from verydeep.evaluation.evaluate import relabel
from verydeep.evaluation.protocol import multiple_scales, single_scale
from verydeep.localization.evaluate import evaluate_boxes, training_baselines
from verydeep.localization.localizer import Localizer, load_localizer
from verydeep.localization.protocol import USUAL_GRID, make_box_protocol, whole_scales
from verydeep.localization.result import LocalizationResult
from verydeep.models.classifier import Classifier, load
from verydeep.models.folder import read_task
from verydeep.models.path import is_torchvision
from verydeep.run.testing.evaluate import Scales, data_for
from verydeep.run.testing.overlap import Overlap, find_overlap
from verydeep.system.option_names import option
from verydeep.system.progress import Progress, ProgressWish, choose_progress

Folder = str | Path


def are_box_nets(models: Sequence[Folder]) -> bool:
    """Return whether folders hold box nets, and no classifiers.

    Raises:
        InputError: Some do, some do not.
        ModelError: A folder holds no model.
    """
    given = [not is_torchvision(model) and read_task(model) == "localization" for model in models]
    if any(given) and not all(given):
        raise InputError(
            f"box nets and classifiers cannot be fused: give box nets with {option('boxes')}, "
            "beside the classifiers that say what is on an image; "
            f"{models[given.index(True)]} is a box net"
        )
    return any(given)


def evaluate_localization(
    models: Folder | Sequence[Folder],
    boxes: Folder | Sequence[Folder] = (),
    data: Folder | None = None,
    protocol: str | None = None,
    *,
    split: str | None = None,
    scales: Scales = None,
    flip: bool | None = None,
    grid: tuple[int, int] = USUAL_GRID,
    top: int = 5,
    threshold: float | None = None,
    most: int | None = None,
    layout: str | None = None,
    device: str | None = None,
    precision: str | None = None,
    workers: int | None = None,
    progress: ProgressWish = None,
) -> LocalizationResult:
    """Measure how often objects are found, by box nets alone or beside classifiers.

    Args:
        models: Model or run folders: classifiers, whose posteriors are averaged; or, without
            ``boxes``, box nets, which are told the true class.
        boxes: Model or run folders of box nets; their boxes are joined before they are merged.
        data: As for :func:`verydeep.evaluate`; None takes the data of the
            (first) box net, which have boxes.
        protocol: ``center`` (the true class's box on the central crop: Testing 1), ``dense``
            (Testing 2) or ``crops`` (the same with a grid of crops); None takes ``dense`` beside a
            classifier, else ``center``.
        split: Which split; None takes ``test`` if there is one, else ``val``, else all images.
        scales: Test scales Q in pixels; ``single`` or ``multi`` for the paper's, which depend on
            the box net's training scale, ``multi`` of ``dense`` rounded to scales that leave no
            pixel out; None takes those that the first box net was tested at.
        flip: Whether ``dense`` and ``crops`` look at mirror images too; None does as the first
            classifier was tested.
        grid: Rows and columns of ``crops``.
        top: Classes whose boxes are looked for.
        threshold: Of the merging; see :class:`verydeep.localization.merge.Merging`.
        most: Boxes that are merged at most; of more, those of the best scores.
        layout: How ``data`` lie on disk; None looks.
        device: Where to compute; None decides.
        precision: ``bf16`` or ``fp32``; None decides.
        workers: Decoding processes; None decides.
        progress: Where to report to; None reports in a notebook and to a terminal, False is
            silent, True reports anyway.

    Raises:
        InputError: A model, the data or the protocol cannot be used.
    """
    progress = choose_progress(progress)
    bench = set_up_boxes(models, boxes, data, split, layout, device, precision, progress)
    return rate_boxes(
        bench,
        protocol,
        scales=scales,
        flip=flip,
        grid=grid,
        top=top,
        threshold=threshold,
        most=most,
        workers=workers,
        progress=progress,
    )


@dataclass(frozen=True)
class BoxBench:
    """Nets and the images that they are tested on.

    Attributes:
        classifiers: That say what is on an image; none are needed for the true class.
        nets: Box nets, of the same classes.
        samples: Labels count into these.
        split: Name of the split.
        dataset: That they are of.
        overlap: How many of the images the nets have seen before.
    """

    classifiers: tuple[Classifier, ...]
    nets: tuple[Localizer, ...]
    samples: Samples
    split: str
    dataset: Dataset
    overlap: Overlap


def set_up_boxes(
    models: Folder | Sequence[Folder],
    boxes: Folder | Sequence[Folder],
    data: Folder | None,
    split: str | None = None,
    layout: str | None = None,
    device: str | None = None,
    precision: str | None = None,
    progress: Progress | None = None,
) -> BoxBench:
    """Load nets and list the images to test them on; see :func:`evaluate_localization`.

    Raises:
        InputError: A model or the data cannot be used.
    """
    first, second = _listed(models), _listed(boxes)
    if not first:
        raise InputError("give at least one model to evaluate")
    classifying, finding = (first, second) if second else ([], first)
    classifiers = [load(folder, device=device, precision=precision) for folder in classifying]
    nets = [load_localizer(folder, device=device, precision=precision) for folder in finding]
    given = [*finding, *classifying]
    dataset = data_for(given, data, layout, progress, split)
    name = split or dataset.test_split
    samples = relabel(dataset, name, nets[0].classes)
    overlap = find_overlap(given, samples, dataset.root, progress or Progress())
    return BoxBench(tuple(classifiers), tuple(nets), samples, name, dataset, overlap)


def rate_boxes(
    bench: BoxBench,
    protocol: str | None,
    *,
    scales: Scales = None,
    flip: bool | None = None,
    grid: tuple[int, int] = USUAL_GRID,
    top: int = 5,
    threshold: float | None = None,
    most: int | None = None,
    workers: int | None = None,
    progress: Progress | None = None,
) -> LocalizationResult:
    """Test the nets of a bench; see :func:`evaluate_localization`.

    Raises:
        InputError: The nets do not fit each other or the protocol.
    """
    if flip is None:
        flip = bool(bench.classifiers) and bench.classifiers[0].test_flip
    name = protocol or ("dense" if bench.classifiers else "center")
    how = make_box_protocol(
        name,
        _scales(scales, name, bench.nets[0]),
        flip=flip,
        top=min(top, len(bench.nets[0].classes)),
        threshold=threshold,
        most=most,
        grid=grid,
    )
    result = evaluate_boxes(
        bench.classifiers,
        bench.nets,
        bench.samples,
        how,
        fitted=_baselines(bench, workers),
        split=bench.split,
        root=bench.dataset.root,
        workers=workers,
        progress=progress,
    )
    return replace(result, **asdict(bench.overlap))


def _baselines(bench: BoxBench, workers: int | None) -> Mapping[str, Tensor]:
    """Return the boxes that the net keeps; of those of earlier versions those of the data."""
    kept = bench.nets[0].baselines
    if not kept:
        return training_baselines(bench.dataset.splits.get("train", ()), workers)
    return {name: torch.tensor(box, dtype=torch.float64) for name, box in kept.items()}


def _scales(scales: Scales, protocol: str, net: Localizer) -> Sequence[int]:
    """Return test scales: those chosen, the paper's, or those that a net was tested at."""
    if scales == "single":
        return single_scale(net.train_scale)
    if scales == "multi":
        usual = multiple_scales(net.train_scale, net.input_size)
        return whole_scales(usual, net.input_size) if protocol == "dense" else usual
    if isinstance(scales, str):
        raise InputError(f"scales must be single, multi or numbers, got {scales!r} instead")
    return scales or net.test_scales


def _listed(folders: Folder | Sequence[Folder]) -> list[Folder]:
    return [folders] if isinstance(folders, str | Path) else list(folders)
