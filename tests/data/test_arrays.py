"""Images in memory as a data set: read, trained on, tested, resumed."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from PIL import Image
from tiny import recipe

import verydeep
from verydeep import train
from verydeep.data.images.decode import decode
from verydeep.errors import DataError, InputError

QUICK = ("training.epochs=1", "training.precision=fp32", "data.workers=0")
COMPUTE = verydeep.Compute("cpu", "fp32", workers=0)


def made(count: int = 10, seed: int = 0) -> tuple[list[np.ndarray], list[str]]:
    """Return images of two colours with noise, and their names."""
    generator = np.random.default_rng(seed)
    images, labels = [], []
    for name, colour in (("red", (200, 60, 60)), ("blue", (60, 60, 200))):
        for _ in range(count):
            noise = generator.normal(colour, 30, (44, 48, 3))
            images.append(noise.clip(0, 255).astype(np.uint8))
            labels.append(name)
    return images, labels


def test_every_pixel_and_label_is_kept() -> None:
    images, labels = made(3)
    dataset = verydeep.read_dataset((images, labels), draw=False)
    assert dataset.classes == ("blue", "red")
    samples = dataset.split("all")
    assert [dataset.classes[sample.label] for sample in samples] == labels
    for sample, image in zip(samples, images, strict=True):
        np.testing.assert_array_equal(np.asarray(decode(sample.path)), image)


def test_numbers_are_classes_in_their_order() -> None:
    images = [np.full((9, 9, 3), shade, np.uint8) for shade in range(12)]
    dataset = verydeep.read_dataset((images, np.arange(12)), draw=False)
    assert dataset.classes == tuple(str(number) for number in range(12))
    assert dataset.split("all").labels.tolist() == list(range(12))
    of_torch = verydeep.read_dataset((images, torch.arange(12)), draw=False)
    assert of_torch.classes == dataset.classes
    several = [[np.int64(1)], [], [torch.tensor(2), "1"], *[[0]] * 9]
    assert verydeep.read_dataset((images, several), draw=False).classes == ("0", "1", "2")
    gray = verydeep.read_dataset(([Image.new("L", (9, 9), 7)] * 2, ["a", "b"]), draw=False)
    assert np.unique(np.asarray(decode(gray.split("all")[0].path))).tolist() == [7]


def test_names_in_two_normal_forms_are_one_class() -> None:
    images = [np.zeros((9, 9, 3), np.uint8)] * 3
    dataset = verydeep.read_dataset((images, ["caf\u00e9", "cafe\u0301", "bar"]), draw=False)
    assert dataset.classes == ("bar", "caf\u00e9")
    assert dataset.split("all").labels.tolist() == [1, 1, 0]


@pytest.mark.parametrize(
    ("data", "words"),
    [
        (([np.zeros((9, 9, 3), np.uint8)] * 2, ["a"]), "as many labels"),
        (([np.zeros((9, 9, 3), np.uint8)] * 2, ["a", "a"]), "at least two"),
        (([np.zeros((9, 9, 3), np.float32)] * 2, ["a", "b"]), "uint8"),
        (([np.zeros((9, 9, 3), np.uint8)] * 2, np.eye(2)), r"label 0: .* ndarray of shape \(2,\)"),
        (([np.zeros((9, 9, 3), np.uint8)] * 2, torch.eye(2)), r"0: .* Tensor of shape \(2,\)"),
        (([np.zeros((9, 9, 3), np.uint8)] * 2, ["a", None]), "label 1: .* got NoneType instead"),
        (([np.zeros((9, 9, 3), np.uint8)] * 2, np.ones(2)), "label 0: .* got float64 instead"),
        (([np.zeros((9, 9, 3), np.uint8), __file__], ["a", "b"]), "files among images in memory"),
    ],
)
def test_what_is_no_data_set_is_refused(data: Any, words: str) -> None:
    with pytest.raises((DataError, InputError), match=words):
        verydeep.read_dataset(data)
    with pytest.raises(DataError, match="layout"):
        verydeep.read_dataset(made(), layout="table")


def test_a_training_in_memory_is_that_of_the_same_files(tmp_path: Path) -> None:
    images, labels = made()
    run = train((images, labels), recipe(*QUICK), tmp_path / "run")
    alone = verydeep.evaluate(run.run, (images, labels), split="all", compute=COMPUTE)
    assert (alone.images, alone.trained_on) == (20, 16)
    assert train((images, labels), recipe(*QUICK), tmp_path / "run", resume=True).run == run.run
    with pytest.raises(DataError, match="in memory"):
        verydeep.evaluate(run.run)
    for number, (image, name) in enumerate(zip(images, labels, strict=True)):
        path = tmp_path / "files" / name / f"{number}.png"
        path.parent.mkdir(parents=True, exist_ok=True)
        Image.fromarray(image).save(path)
    files = verydeep.evaluate(run.run, tmp_path / "files", split="all", compute=COMPUTE)
    assert files.loss == pytest.approx(alone.loss, rel=1e-5)


def test_a_changed_data_set_is_taken_as_it_is(pictures: Path, tmp_path: Path) -> None:
    dataset = verydeep.read_dataset(pictures)
    few = verydeep.Dataset(
        dataset.root,
        dataset.layout,
        dataset.classes,
        {"train": dataset.split("train"), "val": dataset.split("val")[:3]},
    )
    run = train(few, recipe(*QUICK), tmp_path / "run")
    assert verydeep.evaluate(run.run, few, compute=COMPUTE).images == 3
    assert verydeep.check(few, compute=COMPUTE).dataset.sizes == {"train": 24, "val": 3}
    found = verydeep.features(run.run, few, compute=COMPUTE)
    assert len(found.files) == 27
