"""Tests of models on a data set: at the end of a run, and by themselves."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import asdict, dataclass, replace
from pathlib import Path

from verydeep.data.dataset import Dataset
from verydeep.data.read import read_dataset
from verydeep.data.samples import Samples
from verydeep.errors import InputError
from verydeep.evaluation.all_protocols import EvaluationTable, measure_table
from verydeep.evaluation.evaluate import (
    Test,
    evaluate_samples,
    evaluate_tests,
    relabel,
)
from verydeep.evaluation.protocol import (
    TestProtocol,
    in_proportion,
    make_protocol,
    multiple_scales,
    single_scale,
    usual_scales,
)
from verydeep.evaluation.result import EvaluationResult
from verydeep.models.classifier import Classifier, load
from verydeep.models.path import is_torchvision
from verydeep.models.torchvision import (
    TorchvisionClassifier,
    torchvision_classifier,
)
from verydeep.recipe.recipe import Recipe
from verydeep.run.data_record import is_own, recorded_dataset
from verydeep.run.testing.overlap import Overlap, find_overlap, run_of
from verydeep.system.option_names import option, placeholder
from verydeep.system.progress import Progress, ProgressWish, choose_progress

AnyClassifier = Classifier | TorchvisionClassifier
ModelSource = str | Path | Classifier | TorchvisionClassifier
Scales = Sequence[int] | str | None


@dataclass(frozen=True)
class Bench:
    """Models and the images that they are tested on.

    Attributes:
        models: Loaded.
        samples: Labels count into the models' classes.
        split: Name of the split.
        root: Folder of the data.
        overlap: How many of the images the models have seen before.
    """

    models: tuple[AnyClassifier, ...]
    samples: Samples
    split: str
    root: Path
    overlap: Overlap


def evaluate(
    models: ModelSource | Sequence[ModelSource],
    data: str | Path | None = None,
    protocol: str | TestProtocol = "dense",
    *,
    split: str | None = None,
    scales: Scales = None,
    flip: bool | None = None,
    grid: tuple[int, int] = (5, 5),
    average: str = "paper",
    preset: str = "paper",
    layout: str | None = None,
    device: str | None = None,
    precision: str | None = None,
    workers: int | None = None,
    progress: ProgressWish = None,
) -> EvaluationResult:
    """Measure the error of a model, or of several fused, on a data set.

    Args:
        models: Model or run folders, loaded models, or ``torchvision/NAME`` (see
            :func:`verydeep.models.torchvision.torchvision_classifier`).
        data: A name, folder or file, as for :func:`verydeep.read_dataset`; None takes the data of
            the (first) run. Where these are named, the splits are those of the run too.
        protocol: ``center``, ``dense``, ``crops``, ``both``, ``ten-crop`` or ``googlenet``; or a
            :class:`~verydeep.evaluation.protocol.TestProtocol`, which says all of the views.
        split: Which split; None takes ``test`` if there is one, else ``val``, else all images.
        scales: Test scales Q in pixels; ``single`` or ``multi`` for the paper's, which depend on
            each model's training scale; None takes those that the model was tested at, or the
            protocol's own.
        flip: Whether to average with mirror images; None does as when the model was tested.
        grid: Rows and columns of the crops.
        average: ``paper``, ``scores`` or ``posteriors``; see
            :class:`~verydeep.evaluation.protocol.TestProtocol`.
        preset: ``paper``, or ``torchvision`` for its published evaluation, bit by bit: rescaled to
            256 for crops of 224, central crop, no mirror image.
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
    bench = set_up(
        models, data, split, layout=layout, device=device, precision=precision, progress=progress
    )
    protocols = [
        protocol_for(
            model, protocol, scales=scales, flip=flip, grid=grid, average=average, preset=preset
        )
        for model in bench.models
    ]
    result = evaluate_samples(
        bench.models,
        bench.samples,
        protocols,
        split=bench.split,
        root=bench.root,
        workers=workers,
        progress=progress,
    )
    return replace(result, **asdict(bench.overlap))


def evaluate_all(
    models: ModelSource | Sequence[ModelSource],
    data: str | Path | None = None,
    *,
    split: str | None = None,
    flip: bool | None = None,
    grid: tuple[int, int] = (5, 5),
    average: str = "paper",
    layout: str | None = None,
    device: str | None = None,
    precision: str | None = None,
    workers: int | None = None,
    progress: ProgressWish = None,
) -> EvaluationTable:
    """Measure models by every protocol, as in Tables 3 to 6 of the paper; images are read once.

    The arguments are those of :func:`evaluate`.
    """
    progress = choose_progress(progress)
    bench = set_up(
        models, data, split, layout=layout, device=device, precision=precision, progress=progress
    )

    def choose(net: int, name: str, scales: Scales) -> TestProtocol:
        model = bench.models[net]
        return protocol_for(model, name, scales=scales, flip=flip, grid=grid, average=average)

    table = measure_table(
        bench.models,
        bench.samples,
        choose,
        split=bench.split,
        root=bench.root,
        workers=workers,
        progress=progress,
    )
    seen = asdict(bench.overlap)
    rows = (replace(row, result=replace(row.result, **seen)) for row in table.rows)
    return replace(table, rows=tuple(rows))


def set_up(
    models: ModelSource | Sequence[ModelSource],
    data: str | Path | None,
    split: str | None = None,
    *,
    layout: str | None = None,
    device: str | None = None,
    precision: str | None = None,
    progress: Progress | None = None,
) -> Bench:
    """Load models and list the images to test them on.

    Raises:
        InputError: A model or the data cannot be used.
    """
    given = [models] if isinstance(models, ModelSource) else list(models)
    if not given:
        raise InputError("give at least one model to evaluate")
    loaded = {
        place: load_model(model, device, precision)
        for place, model in enumerate(given)
        if not is_torchvision(model)
    }
    dataset = data_for(given, data, layout, progress, split)
    known = next(iter(loaded.values())).classes if loaded else dataset.classes
    for place, model in enumerate(given):
        if is_torchvision(model):
            made = torchvision_classifier(str(model), known, device=device, precision=precision)
            loaded[place] = made
            (progress or Progress()).log(f"torchvision's {made.name}: weights {made.weights}")
    name = split or dataset.test_split
    samples = relabel(dataset, name, known)
    overlap = find_overlap(given, samples, dataset.root, progress or Progress())
    return Bench(tuple(loaded[i] for i in range(len(given))), samples, name, dataset.root, overlap)


def load_model(
    model: ModelSource, device: str | None = None, precision: str | None = None
) -> AnyClassifier:
    """Load a model or run folder; a loaded model is left as it is.

    Raises:
        ModelError: It is neither.
    """
    if isinstance(model, str | Path):
        return load(model, device=device, precision=precision)
    return model


def protocol_for(
    model: AnyClassifier,
    name: str | TestProtocol,
    *,
    scales: Scales = None,
    flip: bool | None = None,
    grid: tuple[int, int] = (5, 5),
    average: str = "paper",
    preset: str = "paper",
) -> TestProtocol:
    """Return a protocol for a model, with its own scales where none are given.

    Raises:
        InputError: There is no such protocol.
    """
    if isinstance(name, TestProtocol):
        return name
    if scales == "single":
        scales = single_scale(model.train_scale)
    elif scales == "multi":
        scales = multiple_scales(model.train_scale, model.input_size)
    elif isinstance(scales, str):
        raise InputError(f"scales must be single, multi or numbers, got {scales!r} instead")
    elif preset == "torchvision":
        scales = scales or (_resize_size(model),)
    elif scales is None:
        scales = usual_scales(name, model.input_size, model.test_scales)
    if flip is None:
        # The other protocols of that time count their mirror images in: 10 and 144 views.
        flip = preset == "paper" and (model.test_flip or name in ("ten-crop", "googlenet"))
    return make_protocol(name, scales, flip=flip, grid=grid, average=average, preset=preset)


def _resize_size(model: AnyClassifier) -> int:
    if isinstance(model, TorchvisionClassifier):
        return model.resize_size
    return in_proportion((256,), model.input_size)[0]


def data_for(
    models: Sequence[ModelSource],
    data: str | Path | None,
    layout: str | None = None,
    progress: Progress | None = None,
    split: str | None = None,
) -> Dataset:
    """Read the data to test on: those named, or else those of the first run among the models.

    Args:
        models: Model or run folders, or loaded models.
        data: What was named.
        layout: How it lies on disk.
        progress: Where to say what has changed since a run began; None is silent.
        split: The split that is asked for; None for the test's.

    Raises:
        DataError: They cannot be read.
        InputError: None are named, and no model is part of a run; or a layout is given without
            data.
    """
    runs = [run for model in models if not is_torchvision(model) and (run := run_of(model))]
    if data is None:
        if layout:
            raise InputError(
                f"{option('layout')} says how {option('data')} lie on disk: give both, or none"
            )
        if not runs:
            raise InputError(
                "the model is not part of a run, so name the data to test on: "
                f"{option('data', placeholder('FOLDER'))}"
            )
        return recorded_dataset(runs[0], progress, split)
    own = next((run for run in runs if split != "all" and is_own(run, data, layout)), None)
    if own is None:
        return read_dataset(data, draw=False, layout=layout, progress=progress)
    dataset = recorded_dataset(own, progress, split)
    if progress:
        progress.log(
            f"{own.path} was trained on a part of {data}: its own splits are taken "
            f"({', '.join(f'{count:,} {name}' for name, count in dataset.sizes.items())})"
        )
    return dataset


def final_tests(
    model: Classifier, dataset: Dataset, recipe: Recipe, progress: Progress
) -> list[EvaluationResult]:
    """Test the model of a run densely, by the centre crop and as its recipe says."""
    split, test = dataset.test_split, recipe.test
    protocols = [
        protocol_for(
            model, name, scales=test.scales, flip=test.flip, grid=test.grid, average=test.average
        )
        for name in dict.fromkeys(("center", "dense", test.protocol))
    ]
    return evaluate_tests(
        [model],
        dataset.split(split),
        [Test(((0, protocol),)) for protocol in protocols],
        split=split,
        root=dataset.root,
        workers=recipe.data.workers,
        progress=progress,
    )
