"""Quantize a trained model to int8, guarded by a test on images that it was not calibrated with."""

from __future__ import annotations

import shutil
import tempfile
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np

from verydeep.data.dataset import Dataset
from verydeep.data.fingerprint import record_samples
from verydeep.data.pipeline.rescaled import Pixels, TestPictures
from verydeep.data.read import Data
from verydeep.data.samples import Samples
from verydeep.errors import InputError
from verydeep.evaluation.evaluate import relabel
from verydeep.evaluation.protocol import TestProtocol
from verydeep.evaluation.view_batching import show
from verydeep.evaluation.views import Center
from verydeep.models.classifier import Classifier, load_classifier
from verydeep.models.engines.net_files import weights_key
from verydeep.models.engines.quantization import write_int8
from verydeep.models.file_names import INT8, INT8_RECORD
from verydeep.models.hub.name import is_hub_name
from verydeep.models.loading import is_multi_label
from verydeep.models.path import find_model, int8_in, is_weights
from verydeep.run.testing.bench import data_for, output_folder
from verydeep.run.testing.overlap import run_of
from verydeep.run.testing.quantization import AnyQuantization, guard_of
from verydeep.system.device import choose_machine, installed_version, processor_name
from verydeep.system.files import move_into_place, write_json
from verydeep.system.option_names import option
from verydeep.system.progress import Progress, ProgressWish, choose_progress
from verydeep.system.settings import Compute

CALIBRATION_IMAGES = 128
"""Default number of images that the ranges of activations are measured on."""


def quantize(
    model: str | Path,
    data: Data | None = None,
    *,
    images: int = CALIBRATION_IMAGES,
    split: str | None = None,
    protocol: str | TestProtocol = "dense",
    force: bool = False,
    seed: int = 0,
    layout: str | None = None,
    compute: Compute | str | None = None,
    progress: ProgressWish = None,
) -> AnyQuantization:
    """Write an int8 variant of a model into its folder, if it answers nearly as well.

    Ranges of activations are measured on images of the training split. The variant is then compared
    with fp32 image by image on another split. It is kept if the top-1 error rises by at most
    :data:`~verydeep.run.testing.quantization.ERROR_BOUND` points and the loss by at most
    :data:`~verydeep.run.testing.quantization.LOSS_BOUND` nats; of a multi-label model, if the mean
    average precision falls by at most
    :data:`~verydeep.run.testing.quantization.PRECISION_BOUND` points and the loss rises by at most
    :data:`~verydeep.run.testing.quantization.LABEL_LOSS_BOUND` nats. It answers where
    ``precision="int8"`` is asked for; all else is unchanged.

    Args:
        model: Model or run folder of a classifier; it is modified.
        data: As for :func:`verydeep.evaluate`; it needs a training split and another one.
        images: Number of calibration images, drawn from the training split.
        split: Split to compare on; None takes ``val`` if present, else the test split.
        protocol: Test protocol of the comparison.
        force: Keep the variant even if it is worse.
        seed: Random seed of the drawing.
        layout: Folder layout of ``data``; None detects it.
        compute: Engine and decoding processes; device and precision are given by int8.
        progress: Progress reporting; None enables it in notebooks and terminals, True everywhere,
            False nowhere.

    Raises:
        InputError: The model or the data cannot be used, or the split is the training split.
        MissingExtra: onnx or ONNX Runtime is not installed.
    """
    progress, compute = choose_progress(progress), Compute.of(compute)
    if is_weights(model):
        raise InputError(
            f"{model}: published weights have no folder to write to; import them first: verydeep "
            "import"
        )
    _refuse_hub(model)
    several = is_multi_label(model)
    dataset = data_for([model], data, layout, progress, split, multi_label=several)
    other = _other_split(dataset, split)
    folder = find_model(model)
    run = run_of(model)
    with output_folder(run.path if run else folder):
        loaded = load_classifier(
            folder, Compute("cpu", "fp32", engine="torch"), multi_label=several
        )
        loaded.check_images("an int8 variant")
        loaded.net.check_dense("an int8 variant")
        drawn = _drawn(relabel(dataset, "train", loaded.classes), images, seed)
        for old in folder.glob(".int8-*"):  # of a process that was killed: the folder is locked
            shutil.rmtree(old, ignore_errors=True)
        part = Path(tempfile.mkdtemp(prefix=".int8-", dir=folder))
        try:
            progress.log(f"calibrating on {len(drawn)} images of train")
            write_int8(loaded, _calibration_images(loaded, drawn, compute.workers), part / INT8)
            record = part / INT8_RECORD
            write_json(record, {"net": weights_key(loaded)})
            result = _compare(
                loaded, part / INT8, dataset, other, TestProtocol.of(protocol), compute, progress
            )
            result = replace(result, calibrated_on=_fingerprint(drawn, dataset, seed))
            result = replace(
                result, kept=result.within or force, forced=force and not result.within
            )
            if result.kept:
                write_json(record, result.to_dict())
                _put_in_place(part, folder)
        finally:
            shutil.rmtree(part, ignore_errors=True)
    return result


def forget_int8(model: str | Path) -> bool:
    """Remove the int8 variant of a model.

    Args:
        model: Model or run folder; it is modified.

    Returns:
        True if there was one.

    Raises:
        InputError: The folder holds no model, or another process is writing to it.
    """
    _refuse_hub(model)
    folder, run = find_model(model), run_of(model)
    with output_folder(run.path if run else folder):
        found = int8_in(folder)
        if found is None:
            return False
        found.unlink()
        found.with_suffix(".json").unlink(missing_ok=True)
        return True


def _refuse_hub(model: str | Path) -> None:
    """Refuse a model on the Hub, whose copy is not to be changed."""
    if is_hub_name(model):
        raise InputError(
            f"{model}: an int8 variant is kept with the model, and the copy of a model on the Hub "
            f"is not changed; save one of your own: verydeep.load({str(model)!r}).save(FOLDER)"
        )


def _put_in_place(part: Path, folder: Path) -> None:
    """Move a variant into the folder of its model, the record last.

    A process that is killed in between leaves a graph without a record, which is refused.
    """
    (folder / INT8_RECORD).unlink(missing_ok=True)
    for name in (INT8, INT8_RECORD):
        move_into_place(part / name, folder / name)


def _other_split(dataset: Dataset, split: str | None) -> str:
    """Return the split to compare on.

    Raises:
        InputError: There is no training split, or no other one, or the training split is named.
    """
    if "train" not in dataset.splits:
        raise InputError(
            f"{dataset.place}: has no split train, whose images measure the ranges of int8"
        )
    other = split or ("val" if "val" in dataset.splits else dataset.test_split)
    if other == "train":
        raise InputError(
            "an int8 variant calibrated on train cannot be judged on train: name another split "
            f"({option('split')})"
        )
    dataset.split(other)
    return other


def _drawn(samples: Samples, images: int, seed: int) -> Samples:
    if images < 1:
        raise InputError(f"{option('images')} must be at least 1, got {images} instead")
    order = np.random.default_rng(seed).permutation(len(samples))[:images]
    return samples.take(np.sort(order))


def _calibration_images(
    model: Classifier, samples: Samples, workers: int | None
) -> Iterator[Pixels]:
    """Yield the central crop of every readable image, (1, s, s, 3), at the first test scale."""
    scale = model.test_scales[0]
    for picture in TestPictures(samples.paths, (scale,), workers):
        pixels = picture.at(scale)
        height, width = pixels.shape[:2]
        (view,) = Center(flip=False)(height, width, model.input_size)
        yield show(pixels, view)[None]


def _fingerprint(samples: Samples, dataset: Dataset, seed: int) -> dict[str, Any]:
    digest = record_samples(samples, dataset, hashed=True).digest()
    return {"split": "train", "images": len(samples), "seed": seed, "fingerprint": digest}


def _compare(
    model: Classifier,
    variant: Path,
    dataset: Dataset,
    split: str,
    protocol: TestProtocol,
    compute: Compute,
    progress: Progress,
) -> AnyQuantization:
    """Test fp32 and int8 on the same images, and compare them image by image."""
    quantized = replace(model, int8=variant, machine=choose_machine(None, "int8", compute.engine))
    samples, guard = relabel(dataset, split, model.classes), guard_of(model)
    first, second = (
        guard.test(
            [net],
            samples,
            protocol.for_model(model),
            split=split,
            root=dataset.root,
            workers=compute.workers,
            progress=progress,
        )
        for net in (model, quantized)
    )
    if first.images < 2:
        raise InputError(f"{split}: one image cannot tell how well int8 answers")
    packages = ("verydeep", "torch", "onnx", "onnxruntime", "openvino")
    return guard.judge(
        first,
        second,
        split=split,
        protocol=str(protocol.for_model(model)),
        images=first.images,
        calibrated_on={},
        engine=quantized.engine.name,
        processor=processor_name(),
        versions={name: installed_version(name) for name in packages},
        net=weights_key(model),
    )
