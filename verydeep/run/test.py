"""Tests of trained models on a data set: at the end of a run, and by themselves."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

from verydeep.classifier import Classifier, load
from verydeep.data.folders import read_dataset
from verydeep.data.samples import Dataset
from verydeep.errors import InputError
from verydeep.evaluation.evaluate import Result, evaluate_samples, relabel
from verydeep.evaluation.protocol import NAMES, make_protocol
from verydeep.progress import Progress
from verydeep.recipe import Recipe
from verydeep.run.folder import RunFolder, recorded_dataset


def evaluate(
    models: str | Path | Classifier | Sequence[str | Path | Classifier],
    data: str | Path | None = None,
    protocol: str = "dense",
    *,
    split: str | None = None,
    scales: Sequence[int] | None = None,
    flip: bool | None = None,
    device: str | None = None,
    precision: str | None = None,
    workers: int | None = None,
    progress: Progress | None = None,
) -> Result:
    """Measure the error of a model, or of several fused, on a data set.

    Args:
        models: Model or run folders, or loaded models.
        data: ``digits`` or a folder; None takes the data of the (first) run.
        protocol: ``center`` or ``dense``.
        split: Which split; None takes ``test`` if there is one, else ``val``, else all pictures.
        scales: Test scales Q in pixels; None takes those that the model was tested at.
        flip: Whether to average with mirror images; None does as when the model was tested.
        device: Where to compute; None decides.
        precision: ``bf16`` or ``fp32``; None decides.
        workers: Decoding processes; None decides.
        progress: Where to report to; None is silent.

    Raises:
        InputError: A model, the data or the protocol cannot be used.
    """
    given = [models] if isinstance(models, str | Path | Classifier) else list(models)
    if not given:
        raise InputError("give at least one model to evaluate")
    loaded = [
        model if isinstance(model, Classifier) else load(model, device=device, precision=precision)
        for model in given
    ]
    first = loaded[0]
    mirrored = first.test_flip if flip is None else flip
    chosen = make_protocol(protocol, tuple(scales or first.test_scales), flip=mirrored)
    dataset = read_dataset(data, draw=False) if data else _data_of_run(given[0])
    name = split or dataset.test_split
    return evaluate_samples(
        loaded,
        relabel(dataset, name, first.classes),
        chosen,
        split=name,
        root=dataset.root,
        workers=workers,
        progress=progress,
    )


def _data_of_run(model: str | Path | Classifier) -> Dataset:
    path = None if isinstance(model, Classifier) else Path(model).expanduser()
    for folder in (path, path.parent) if path else ():
        if (folder / "data.json").is_file():
            return recorded_dataset(RunFolder(folder).read("data.json"))
    raise InputError("the model is not part of a run, so name the data to test on: --data FOLDER")


def final_tests(
    model: Classifier, dataset: Dataset, recipe: Recipe, progress: Progress
) -> list[Result]:
    """Test the model of a run by every protocol, at the recipe's scales."""
    split = dataset.test_split
    return [
        evaluate_samples(
            [model],
            dataset.split(split),
            make_protocol(name, recipe.test_scales, flip=recipe.test.flip),
            split=split,
            root=dataset.root,
            workers=recipe.data.workers,
            progress=progress,
        )
        for name in NAMES
    ]
