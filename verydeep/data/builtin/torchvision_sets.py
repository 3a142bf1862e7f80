"""Well-known data sets by name, fetched once through torchvision and kept as plain images.

A set becomes a folder in the cache with its images under ``train/``, ``val/`` and ``test/`` and a
table, ``pictures.csv``, that names their classes: see :mod:`verydeep.data.layouts.table`. Images
that come as files stay the files they are; those that come as arrays are written as PNG. Where a
set has no validation split of its own, one is drawn by rule as for other data.

The folder appears in one step when it is whole; what was downloaded for it is then removed.
"""

from __future__ import annotations

import contextlib
import csv
import fcntl
import os
import shutil
import sys
import tarfile
import zipfile
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from PIL import Image

from verydeep.data.builtin.cache import cache_folder
from verydeep.data.layouts.pascal_xml import read_objects
from verydeep.data.samples import Box
from verydeep.errors import DataError
from verydeep.system.progress import Progress

TABLE = "pictures.csv"


@dataclass(frozen=True)
class TorchvisionSet:
    """A data set as torchvision knows it.

    Attributes:
        name: What it is called here.
        title: What it is called by its makers.
        dataset: Name of the class in ``torchvision.datasets``.
        splits: Arguments of that class for each of our splits.
        site: Where it comes from.
    """

    name: str
    title: str
    dataset: str
    splits: Mapping[str, Mapping[str, Any]] = field(repr=False)
    site: str


_BY_FLAG = {"train": {"train": True}, "test": {"train": False}}
_TWO = {name: {"split": name} for name in ("train", "test")}
_THREE = {name: {"split": name} for name in ("train", "val", "test")}
_PETS = {"train": {"split": "trainval"}, "test": {"split": "test"}}
_NETTE = {name: {"split": name} for name in ("train", "val")}

SETS = {
    one.name: one
    for one in (
        TorchvisionSet("mnist", "MNIST", "MNIST", _BY_FLAG, "ossci-datasets.s3.amazonaws.com"),
        TorchvisionSet(
            "fashion-mnist",
            "Fashion-MNIST",
            "FashionMNIST",
            _BY_FLAG,
            "fashion-mnist.s3-website.eu-central-1.amazonaws.com",
        ),
        TorchvisionSet("cifar10", "CIFAR-10", "CIFAR10", _BY_FLAG, "www.cs.toronto.edu/~kriz"),
        TorchvisionSet("cifar100", "CIFAR-100", "CIFAR100", _BY_FLAG, "www.cs.toronto.edu/~kriz"),
        TorchvisionSet("stl10", "STL-10", "STL10", _TWO, "ai.stanford.edu/~acoates/stl10"),
        TorchvisionSet(
            "oxford-iiit-pet",
            "Oxford-IIIT Pet",
            "OxfordIIITPet",
            _PETS,
            "www.robots.ox.ac.uk/~vgg/data/pets",
        ),
        TorchvisionSet(
            "flowers102",
            "Oxford 102 Flower",
            "Flowers102",
            _THREE,
            "www.robots.ox.ac.uk/~vgg/data/flowers/102",
        ),
        TorchvisionSet(
            "imagenette", "Imagenette", "Imagenette", _NETTE, "s3.amazonaws.com/fast-ai-imageclas"
        ),
        TorchvisionSet("food101", "Food-101", "Food101", _TWO, "data.vision.ee.ethz.ch/cvl"),
    )
}
"""The sets by name, from small to large."""

_FAULTS = (OSError, RuntimeError, EOFError, tarfile.TarError, zipfile.BadZipFile)
"""What a download that fails ends in; torchvision says RuntimeError for a wrong checksum."""


def torchvision_folder(name: str, progress: Progress | None = None) -> Path:
    """Return the folder of a set, which is fetched when first asked for.

    Args:
        name: One of :data:`SETS`.
        progress: Where to say what is fetched and where it is kept.

    Raises:
        DataError: It cannot be fetched, or the folder cannot be written.
    """
    known, cache = SETS[name], cache_folder()
    folder = cache / f"{name}-v1"
    if folder.is_dir():
        return folder
    log = (progress or Progress()).log
    try:
        with _alone(cache, name):
            if not folder.is_dir():  # else another process was first
                log(f"{known.title} is fetched from {known.site}, once")
                _make(known, cache, folder)
                log(f"{known.title} is kept in {folder}")
    except _FAULTS as error:
        raise DataError(
            f"{name}: cannot be fetched from {known.site} and kept in {cache} ({error}). Check the "
            "network and the disk; or fetch it on another machine in the same way and copy "
            f"{folder.name}/ to {folder}. VERYDEEP_CACHE names another place than {cache}"
        ) from error
    return folder


@contextlib.contextmanager
def _alone(cache: Path, name: str) -> Iterator[None]:
    """Wait until no other process makes this set; a lock ends with the process that has it."""
    cache.mkdir(parents=True, exist_ok=True)
    with (cache / f".{name}.lock").open("w") as file:
        fcntl.flock(file, fcntl.LOCK_EX)
        yield


def _make(known: TorchvisionSet, cache: Path, folder: Path) -> None:
    """Fetch a set and write its folder, beside its place at first."""
    # What a process that was killed left would look whole to torchvision.
    fetched, written = cache / f".{known.name}.download", cache / f".{known.name}.part"
    for leftover in (fetched, written):
        shutil.rmtree(leftover, ignore_errors=True)
    try:
        fetched.mkdir()
        written.mkdir()
        _write(known, fetched, written)
        written.rename(folder)
    finally:
        for leftover in (fetched, written):
            shutil.rmtree(leftover, ignore_errors=True)


def _write(known: TorchvisionSet, fetched: Path, written: Path) -> None:
    with (written / TABLE).open("w", newline="", encoding="utf-8") as file:
        table = csv.writer(file)
        table.writerow(["file", "label", "split", *Box._fields])
        for split, arguments in known.splits.items():
            dataset = _open(known, fetched, arguments)
            (written / split).mkdir()
            for index, (source, name) in enumerate(_pictures(dataset)):
                place = _put(source, written / split / f"{index:06}")
                box = _pet_box(source) if isinstance(source, Path) else None
                table.writerow([f"{split}/{place.name}", name, split, *(box or [""] * 4)])


def _open(known: TorchvisionSet, fetched: Path, arguments: Mapping[str, Any]) -> Any:
    """Open a split; what an earlier one brought along is not fetched again."""
    from torchvision import datasets

    make = getattr(datasets, known.dataset)
    # torchvision prints; stdout is for results.
    with contextlib.redirect_stdout(sys.stderr):
        if any(fetched.iterdir()):
            with contextlib.suppress(RuntimeError):
                return make(str(fetched), download=False, **arguments)
        return make(str(fetched), download=True, **arguments)


def _pictures(dataset: Any) -> Iterator[tuple[Path | Image.Image, str]]:
    """Yield the images of a split, as files where torchvision has them so, with their classes."""
    names = [name if isinstance(name, str) else name[0] for name in dataset.classes]
    samples = getattr(dataset, "_samples", None)
    if samples is not None:
        yield from ((Path(path), names[label]) for path, label in samples)
        return
    files = getattr(dataset, "_image_files", None) or getattr(dataset, "_images", None)
    if files is not None:
        for path, label in zip(files, dataset._labels, strict=True):
            yield Path(path), names[label]
        return
    for index in range(len(dataset)):
        picture, label = dataset[index]
        yield picture, names[label]


def _put(source: Path | Image.Image, place: Path) -> Path:
    """Write an image, or link a file: no byte is copied where the disk allows."""
    if isinstance(source, Image.Image):
        place = place.with_suffix(".png")
        source.save(place)
        return place
    place = place.with_suffix(source.suffix.lower())
    try:
        os.link(source, place)
    except OSError:
        shutil.copyfile(source, place)
    return place


def _pet_box(picture: Path) -> Box | None:
    """Return the box that Oxford's pets have around the head, where there is one."""
    path = picture.parent.parent / "annotations" / "xmls" / f"{picture.stem}.xml"
    if not path.is_file():
        return None
    corners = next((thing.corners for thing in read_objects(path)), None)
    if corners is None:
        return None
    x0, y0, x1, y1 = corners
    return Box(x0 - 1, y0 - 1, x1, y1) if x0 <= x1 and y0 <= y1 else None
