"""Well-known data sets by name, downloaded once through torchvision and kept as plain images.

A set becomes a folder in the cache with its images under ``train/``, ``val/`` and ``test/`` and a
table, ``pictures.csv``, with their classes: see :mod:`verydeep.data.layouts.table`. Image files
are kept as they are; arrays are written as PNG. If a set has no validation split, one is drawn by
rule as for other data.

The folder appears in one step when it is complete; the downloads are then removed.
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
from verydeep.data.geometry import Box
from verydeep.data.layouts.pascal_xml import read_objects
from verydeep.errors import DataError
from verydeep.system.progress import Progress

TABLE = "pictures.csv"


@dataclass(frozen=True)
class TorchvisionSet:
    """A data set in torchvision.

    Attributes:
        name: Name in verydeep.
        title: Official name.
        dataset: Name of the class in ``torchvision.datasets``.
        splits: Arguments of that class for each split.
        site: Origin of the download.
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
"""Exceptions of a failed download; torchvision raises RuntimeError for a wrong checksum."""


def torchvision_folder(name: str, progress: Progress | None = None) -> Path:
    """Return the folder of a set, which is downloaded on first use.

    Args:
        name: One of :data:`SETS`.
        progress: Progress reporting.

    Raises:
        DataError: It cannot be downloaded, or the folder cannot be written.
    """
    known, cache = SETS[name], cache_folder()
    folder = cache / f"{name}-v1"
    if folder.is_dir():
        return folder
    log = (progress or Progress()).log
    try:
        with _alone(cache, name):
            if not folder.is_dir():  # else another process was faster
                log(f"downloading {known.title} from {known.site}, once")
                _make(known, cache, folder)
                log(f"{known.title} is stored in {folder}")
    except _FAULTS as error:
        raise DataError(
            f"{name}: cannot be downloaded from {known.site} to {cache} ({error}). Check network "
            "and disk; or download it on another machine in the same way and copy "
            f"{folder.name}/ to {folder}. VERYDEEP_CACHE sets another folder than {cache}"
        ) from error
    return folder


@contextlib.contextmanager
def _alone(cache: Path, name: str) -> Iterator[None]:
    """Wait until no other process makes this set; the lock ends with its process."""
    cache.mkdir(parents=True, exist_ok=True)
    with (cache / f".{name}.lock").open("w") as file:
        fcntl.flock(file, fcntl.LOCK_EX)
        yield


def _make(known: TorchvisionSet, cache: Path, folder: Path) -> None:
    """Download a set and write its folder under a temporary name first."""
    # The remains of a killed process would look complete to torchvision.
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
    """Open a split without downloading again what an earlier split already did."""
    from torchvision import datasets

    make = getattr(datasets, known.dataset)
    # torchvision prints to stdout, which is for results.
    with contextlib.redirect_stdout(sys.stderr):
        if any(fetched.iterdir()):
            with contextlib.suppress(RuntimeError):
                return make(str(fetched), download=False, **arguments)
        return make(str(fetched), download=True, **arguments)


def _pictures(dataset: Any) -> Iterator[tuple[Path | Image.Image, str]]:
    """Yield the images of a split, as files if possible, with their class names.

    torchvision has no public attribute for the files; decoding and writing them again would change
    their bytes.
    """
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
    """Write an image, or link or copy a file."""
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
    """Return the box around a pet's head in Oxford-IIIT Pet, if any."""
    path = picture.parent.parent / "annotations" / "xmls" / f"{picture.stem}.xml"
    if not path.is_file():
        return None
    corners = next((thing.corners for thing in read_objects(path)), None)
    if corners is None:
        return None
    x0, y0, x1, y1 = corners
    return Box(x0 - 1, y0 - 1, x1, y1) if x0 <= x1 and y0 <= y1 else None
