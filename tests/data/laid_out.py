"""A small set of real images in every layout."""

from __future__ import annotations

import csv
import io
import json
from collections.abc import Callable, Iterable, Sequence
from pathlib import Path
from typing import Any, NamedTuple

import pytest
from PIL import Image

from verydeep.data.geometry import Box
from verydeep.data.read import read_dataset
from verydeep.data.shards.write import write_shards


class Laid(NamedTuple):
    """An image of the set.

    Names begin with the class, so that every layout keeps them in the same order.
    """

    split: str
    wnid: str
    name: str
    data: bytes
    box: tuple[int, int, int, int]


Pictures = Sequence[Laid]


def numbered(split: str, wnid: str, number: int, data: bytes) -> Laid:
    """Return an image with a name and a box of its own."""
    box = (number, 2 * number, 40 + number, 30 + number)
    return Laid(split, wnid, f"{wnid}_{split}_{number:02}.jpg", data, box)


def tiles(photographs: Iterable[Image.Image], train: int, val: int) -> list[Laid]:
    """Return images of 64x64 out of large ones, which are their classes."""
    found = []
    for wnid, photograph in enumerate(photographs, start=1):
        for number in range(train + val):
            left, top = 64 * (number % 9), 64 * (2 + number // 9)
            stream = io.BytesIO()
            photograph.crop((left, top, left + 64, top + 64)).save(stream, "JPEG", quality=90)
            split, place = ("train", number) if number < train else ("val", number - train)
            found.append(numbered(split, f"n{wnid:02}", place, stream.getvalue()))
    return sorted(found, key=lambda one: (one.split, one.name))


def put(path: Path, content: str | bytes) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_bytes(content.encode() if isinstance(content, str) else content)


def of(pictures: Pictures, split: str) -> list[Laid]:
    return [one for one in pictures if one.split == split]


def wnids(pictures: Pictures) -> list[str]:
    return sorted({one.wnid for one in pictures})


def class_folders(root: Path, pictures: Pictures) -> Path:
    for one in pictures:
        put(root / one.wnid / one.name, one.data)
    return root


def split_folders(root: Path, pictures: Pictures) -> Path:
    for one in pictures:
        put(root / one.split / one.wnid / one.name, one.data)
    return root


def inclusive(box: Sequence[int]) -> tuple[int, int, int, int]:
    x0, y0, x1, y1 = box
    return x0, y0, x1 - 1, y1 - 1


def tiny_imagenet(root: Path, pictures: Pictures) -> Path:
    put(root / "wnids.txt", "\n".join(wnids(pictures)))
    for wnid in wnids(pictures):
        mine = [one for one in of(pictures, "train") if one.wnid == wnid]
        rows = ["\t".join([one.name, *map(str, inclusive(one.box))]) for one in mine]
        put(root / "train" / wnid / f"{wnid}_boxes.txt", "\n".join(rows))
        for one in mine:
            put(root / "train" / wnid / "images" / one.name, one.data)
    val = of(pictures, "val")
    rows = ["\t".join([one.name, one.wnid, *map(str, inclusive(one.box))]) for one in val]
    put(root / "val" / "val_annotations.txt", "\n".join(rows))
    for one in val:
        put(root / "val" / "images" / one.name, one.data)
    return root


def ilsvrc(root: Path, pictures: Pictures) -> Path:
    for split in ("train", "val"):
        rows = ["ImageId,PredictionString"]
        for one in of(pictures, split):
            folder = root / "Data" / "CLS-LOC" / split
            put((folder / one.wnid if split == "train" else folder) / one.name, one.data)
            box = " ".join(map(str, inclusive(one.box)))
            rows.append(f"{Path(one.name).stem},{one.wnid} {box} ")
        put(root / f"LOC_{split}_solution.csv", "\n".join(rows[:1] + rows[:0:-1]))
    return root


def voc(root: Path, pictures: Pictures) -> Path:
    for one in pictures:
        x0, y0, x1, y1 = one.box
        put(root / "JPEGImages" / one.name, one.data)
        put(
            root / "Annotations" / f"{Path(one.name).stem}.xml",
            f"<annotation><object><name>{one.wnid}</name><bndbox><xmin>{x0 + 1}</xmin>"
            f"<ymin>{y0 + 1}</ymin><xmax>{x1}</xmax><ymax>{y1}</ymax></bndbox></object>"
            "</annotation>",
        )
    for split in ("train", "val"):
        names = [Path(one.name).stem for one in of(pictures, split)]
        put(root / "ImageSets" / "Main" / f"{split}.txt", "\n".join(names))
    return root


def coco(root: Path, pictures: Pictures) -> Path:
    names = wnids(pictures)
    categories = [{"id": number, "name": name} for number, name in enumerate(names)]
    for split in ("train", "val"):
        images, objects = [], []
        for number, one in enumerate(of(pictures, split)):
            put(root / split / one.name, one.data)
            x0, y0, x1, y1 = one.box
            images.append({"id": number, "file_name": one.name})
            thing = {"id": number, "image_id": number, "category_id": names.index(one.wnid)}
            objects.append(thing | {"bbox": [x0, y0, x1 - x0, y1 - y0]})
        content = {"images": images, "annotations": objects, "categories": categories}
        put(root / "annotations" / f"instances_{split}.json", json.dumps(content))
    return root


def rows_of(root: Path, pictures: Pictures) -> list[dict[str, Any]]:
    """Write the images beside a table, and return its rows."""
    for one in pictures:
        put(root / "pictures" / one.name, one.data)
    return [
        {"file": f"pictures/{o.name}", "label": o.wnid, "split": o.split, "box": list(o.box)}
        for o in pictures
    ]


def csv_table(root: Path, pictures: Pictures) -> Path:
    rows = [row | {"box": " ".join(map(str, row["box"]))} for row in rows_of(root, pictures)]
    with (root / "table.csv").open("w", newline="") as file:
        table = csv.DictWriter(file, rows[0])
        table.writeheader()
        table.writerows(rows)
    return root / "table.csv"


def jsonl_table(root: Path, pictures: Pictures) -> Path:
    put(root / "table.jsonl", "\n".join(map(json.dumps, rows_of(root, pictures))))
    return root / "table.jsonl"


def parquet_table(root: Path, pictures: Pictures) -> Path:
    pyarrow = pytest.importorskip("pyarrow")
    parquet = pytest.importorskip("pyarrow.parquet")
    table = pyarrow.Table.from_pylist(rows_of(root, pictures))
    parquet.write_table(table, root / "table.parquet")
    return root / "table.parquet"


def saved_hub(root: Path, pictures: Pictures) -> Path:
    hub = pytest.importorskip("datasets")
    hub.disable_progress_bars()
    names = wnids(pictures)
    features = hub.Features({"image": hub.Image(), "label": hub.ClassLabel(names=names)})
    splits = {}
    for split, called in (("train", "train"), ("val", "validation")):
        mine = of(pictures, split)
        columns = {
            "image": [{"bytes": one.data, "path": None} for one in mine],
            "label": [names.index(one.wnid) for one in mine],
        }
        splits[called] = hub.Dataset.from_dict(columns, features=features)
    hub.DatasetDict(splits).save_to_disk(root)
    return root


def shards(root: Path, pictures: Pictures) -> Path:
    table = csv_table(root / "from", pictures)
    write_shards(read_dataset(table), root / "shards", samples=5)
    return root / "shards"


class Layout(NamedTuple):
    """A layout: how it is written, what it is recognised as, and whether it tells of boxes."""

    write: Callable[[Path, Pictures], Path]
    name: str
    boxes: bool


LAYOUTS = {
    "split folders": Layout(split_folders, "split-folders", False),
    "Tiny ImageNet": Layout(tiny_imagenet, "tiny-imagenet", True),
    "ILSVRC": Layout(ilsvrc, "ilsvrc", True),
    "Pascal VOC": Layout(voc, "voc", True),
    "COCO": Layout(coco, "coco", True),
    "CSV": Layout(csv_table, "table", True),
    "JSONL": Layout(jsonl_table, "table", True),
    "Parquet": Layout(parquet_table, "table", True),
    "Hugging Face": Layout(saved_hub, "hub", False),
    "shards": Layout(shards, "shards", True),
}
"""Those that keep training and validation apart and are read by index."""


def boxes_of(pictures: Pictures, split: str) -> list[Box]:
    return [Box(*map(float, one.box)) for one in of(pictures, split)]
