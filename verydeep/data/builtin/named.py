"""Reading of data sets by name: the built-in digits, and torchvision's."""

from __future__ import annotations

import csv
from dataclasses import replace
from pathlib import Path

from verydeep.data.builtin.digits import digits_folder
from verydeep.data.builtin.digits_1989 import digits_1989_folder
from verydeep.data.builtin.multi_digits import TABLE as MULTI_TABLE
from verydeep.data.builtin.multi_digits import multi_digits_folder
from verydeep.data.builtin.solid_digits import solid_digits_folder
from verydeep.data.builtin.torchvision_sets import SETS, TABLE, torchvision_folder
from verydeep.data.dataset import Dataset
from verydeep.data.geometry import Box
from verydeep.data.images.member import ImageSource
from verydeep.data.layouts import split_folders, table
from verydeep.data.samples import Samples
from verydeep.data.volumes import layout as volumes
from verydeep.system.progress import Progress

NAMES = ("digits", "digits-1989", "digits-3d", "digits-multi", *SETS)

DIGITS = "built-in digits"
"""Layout of the digits, in words."""

MULTI_DIGITS = "built-in digits, none to three per image"
"""Likewise, of the multi-label set."""

SOLID_DIGITS = "built-in digits in space"
"""Likewise, of the volumes."""


def read(name: str, progress: Progress | None = None) -> Dataset:
    """Read one of :data:`NAMES`; generate or download it on first use.

    Raises:
        DataError: It cannot be downloaded or written.
    """
    if name == "digits":
        dataset = _with_boxes(split_folders.read(digits_folder()))
        return replace(dataset, layout=DIGITS, generated=True)
    if name == "digits-3d":
        dataset = volumes.read(solid_digits_folder())
        return replace(dataset, layout=SOLID_DIGITS, generated=True)
    if name == "digits-multi":
        found = table.read(multi_digits_folder() / MULTI_TABLE, "multi-label")
        return replace(found, layout=MULTI_DIGITS, generated=True)
    if name == "digits-1989":
        dataset = split_folders.read(digits_1989_folder())
        return replace(dataset, layout=DIGITS, generated=True)
    folder = torchvision_folder(name, progress)
    return replace(table.read(folder / TABLE), layout=f"torchvision's {SETS[name].title}")


def _with_boxes(dataset: Dataset) -> Dataset:
    """Add the boxes of ``boxes.csv`` in the data set's folder."""
    boxes: dict[ImageSource, Box] = dict(_boxes(dataset.root))
    splits = {
        name: Samples.of(replace(sample, box=boxes[sample.path]) for sample in samples)
        for name, samples in dataset.splits.items()
    }
    return replace(dataset, splits=splits)


def _boxes(folder: Path) -> list[tuple[Path, Box]]:
    with (folder / "boxes.csv").open(newline="", encoding="utf-8") as file:
        return [
            (folder / row["file"], Box(*(float(row[key]) for key in Box._fields)))
            for row in csv.DictReader(file)
        ]
