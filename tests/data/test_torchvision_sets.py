"""Data sets by name, with stand-ins for torchvision's classes instead of downloads."""

from __future__ import annotations

import urllib.error
from pathlib import Path
from typing import Any, ClassVar

import numpy as np
import pytest
from PIL import Image
from progresses import Listening
from tiny import counts, listed, plant
from torchvision import datasets

from verydeep.data.builtin.torchvision_sets import SETS, torchvision_folder
from verydeep.data.read import DataSource, read_dataset
from verydeep.errors import DataError


@pytest.fixture(autouse=True)
def cache(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """An empty cache; this process stands in a folder with nothing in it."""
    (tmp_path / "here").mkdir()
    monkeypatch.chdir(tmp_path / "here")
    monkeypatch.setenv("VERYDEEP_CACHE", str(tmp_path / "cache"))
    return tmp_path / "cache"


def grey(value: int) -> Image.Image:
    return Image.fromarray(np.full((8, 8, 3), value, np.uint8))


class Arrays:
    """Like CIFAR-10: images in memory, splits by a flag; it prints."""

    fetched: ClassVar[list[bool]] = []
    classes: ClassVar[list[str]] = ["T-shirt/top", "Bag"]

    def __init__(self, root: str, *, train: bool, download: bool) -> None:
        print("Files already downloaded")  # noqa: T201
        found = (Path(root) / "archive").exists()
        if not found and not download:
            raise RuntimeError("Dataset not found")
        (Path(root) / "archive").touch()
        Arrays.fetched.append(download)
        self.values = range(20) if train else range(100, 104)

    def __len__(self) -> int:
        return len(self.values)

    def __getitem__(self, index: int) -> tuple[Image.Image, int]:
        return grey(self.values[index]), index % 2


class Pets:
    """Like the pets: files, a few with an annotation; splits by name."""

    classes: ClassVar[list[str]] = ["Abyssinian", "Beagle"]

    def __init__(self, root: str, *, split: str, download: bool) -> None:
        folder = Path(root) / "oxford-iiit-pet"
        (folder / "images").mkdir(parents=True, exist_ok=True)
        (folder / "annotations" / "xmls").mkdir(parents=True, exist_ok=True)
        self._labels = [0, 1, 0, 1]
        self._images = [folder / "images" / f"{split}_{n}.jpg" for n in range(4)]
        for number, path in enumerate(self._images):
            path.write_bytes(b"not decoded %d" % number)
        box = "<xmin>1</xmin><ymin>2</ymin><xmax>30</xmax><ymax>40</ymax>"
        (folder / "annotations" / "xmls" / f"{split}_1.xml").write_text(
            f"<annotation><object><name>dog</name><bndbox>{box}</bndbox></object></annotation>"
        )


class Nette:
    """Like Imagenette: a list of files, classes with several names."""

    classes: ClassVar[list[tuple[str, ...]]] = [("tench", "Tinca tinca"), ("church",)]

    def __init__(self, root: str, *, split: str, download: bool) -> None:
        plant(Path(root), f"{split}/a.JPEG", f"{split}/b.JPEG")
        self._samples = [(f"{root}/{split}/a.JPEG", 0), (f"{root}/{split}/b.JPEG", 1)]


def test_arrays_become_pngs_and_are_fetched_once(
    cache: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr(datasets, "FashionMNIST", Arrays)
    Arrays.fetched.clear()
    progress = Listening()
    dataset = read_dataset("fashion-mnist", progress=progress)
    assert Arrays.fetched == [True, False]
    assert capsys.readouterr().out == ""
    folder = cache / "fashion-mnist-v1"
    assert progress.lines[-1] == f"Fashion-MNIST is stored in {folder}"
    assert (dataset.root, dataset.layout_name) == (folder, "built-in")
    assert dataset.describe() == (
        "torchvision's Fashion-MNIST, 2 classes, 18 train, 2 val, 4 test (drawn by rule)"
    )
    assert dataset.classes == ("Bag", "T-shirt/top")
    for split in dataset.splits:
        for sample in dataset.split(split):
            (value,) = set(np.asarray(Image.open(sample.path)).ravel().tolist())
            assert dataset.classes[sample.label] == Arrays.classes[value % 2]
    assert sorted(path.name for path in cache.iterdir()) == [".fashion-mnist.lock", folder.name]
    assert read_dataset("fashion-mnist", progress=progress) == dataset
    assert len(progress.lines) == 2


def test_files_stay_what_they_are_and_pets_keep_their_boxes(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(datasets, "OxfordIIITPet", Pets)
    dataset = read_dataset("oxford-iiit-pet", draw=False)
    assert listed(dataset, "train") == [
        (f"train/{n:06}.jpg", Pets.classes[n % 2]) for n in range(4)
    ]
    assert [sample.box for sample in dataset.split("test")] == [None, (0, 1, 30, 40), None, None]
    assert dataset.split("train")[2].path.read_bytes() == b"not decoded 2"


def test_the_first_name_of_a_class_counts(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(datasets, "Imagenette", Nette)
    dataset = read_dataset("imagenette")
    assert listed(dataset, "val") == [("val/000000.jpeg", "tench"), ("val/000001.jpeg", "church")]
    assert not dataset.made_by_rule


@pytest.mark.parametrize(
    "fault",
    [
        urllib.error.URLError("no route"),
        OSError("disk full"),
        RuntimeError("File not found or corrupted."),
        EOFError("Compressed file ended"),
    ],
)
def test_what_cannot_be_fetched_is_refused_and_leaves_nothing(
    cache: Path, monkeypatch: pytest.MonkeyPatch, fault: Exception
) -> None:
    def fail(root: str, **given: Any) -> None:
        (Path(root) / "half").touch()
        raise fault

    monkeypatch.setattr(datasets, "CIFAR10", fail)
    with pytest.raises(DataError) as refusal:
        read_dataset("cifar10")
    for words in ("cifar10: cannot be downloaded from www.cs.toronto.edu", "Check network"):
        assert words in str(refusal.value)
    assert str(cache / "cifar10-v1") in str(refusal.value)
    assert [path.name for path in cache.iterdir()] == [".cifar10.lock"]
    monkeypatch.setattr(datasets, "CIFAR10", Arrays)
    assert counts(read_dataset("cifar10"))["test"] == (2, 2)


def test_what_a_killed_process_left_is_fetched_anew(
    cache: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    plant(cache, ".cifar10.download/archive", ".cifar10.part/train/000000.png")
    monkeypatch.setattr(datasets, "CIFAR10", Arrays)
    Arrays.fetched.clear()
    assert counts(read_dataset("cifar10", draw=False)) == {"train": (10, 10), "test": (2, 2)}
    assert Arrays.fetched == [True, False]


def test_a_folder_of_the_same_name_is_not_passed_over(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(datasets, "MNIST", Arrays)
    plant(Path("mnist"), "a/1.png", "b/1.png")
    here = Path("mnist").resolve()
    with pytest.raises(DataError, match=f"give {here} for the latter, layout='built-in'"):
        read_dataset("mnist")
    assert read_dataset(here, draw=False).classes == ("a", "b")
    assert read_dataset("mnist", draw=False, layout="class-folders").classes == ("a", "b")
    assert read_dataset("mnist", layout="built-in").layout == "torchvision's MNIST"


def test_a_name_that_is_none_is_refused() -> None:
    with pytest.raises(
        DataError, match=r"no such file or folder; did you mean 'cifar10'\? DATA is one of digits"
    ):
        read_dataset("cifar-10")
    with pytest.raises(DataError, match="not a built-in data set; those are digits, digits-1989"):
        read_dataset("pets", layout="built-in")


def test_names_last_and_paths_become_whole() -> None:
    assert DataSource("cifar10").lasting == "cifar10"
    assert DataSource("digits", "built-in").lasting == "digits"
    assert DataSource("cifar10", "voc").lasting == str(Path.cwd() / "cifar10")
    assert DataSource(Path("a") / "b.csv").lasting == str(Path.cwd() / "a" / "b.csv")


def test_every_set_names_a_class_of_torchvision_with_its_splits() -> None:
    import inspect

    for name, known in SETS.items():
        parameters = inspect.signature(getattr(datasets, known.dataset)).parameters
        assert known.name == name
        assert "download" in parameters
        for arguments in known.splits.values():
            assert set(arguments) <= set(parameters)


def test_the_cache_is_asked_first(cache: Path) -> None:
    (cache / "food101-v1").mkdir(parents=True)
    assert torchvision_folder("food101") == cache / "food101-v1"
