"""Time and memory of the index of ImageNet's size: 1.28 million training and 50,000 other images.

    python benchmarks/million.py FOLDER --out docs/results/million.json

Makes up a data set in FOLDER (empty files: no image is opened to index them) in several layouts,
and reads each in a process of its own. Boxes are as many as ImageNet has: some 544,500 training
images have one, a tenth of them two. Memory is what the process grows by, at most, after the
package is imported; processes that look through shards have some more. The files stay for another
run, 4 GB with the shards; remove FOLDER afterwards. ``--classes 100`` makes a tenth of it.
"""

from __future__ import annotations

import argparse
import csv
import json
import os
import random
import resource
import subprocess
import sys
import tarfile
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any, NamedTuple

TRAIN, VAL, BOXED = 1281, 50, 0.4251
"""Images a class, and the share of the training images that have boxes."""

SHARD = 10_000
BOXES = ("10 20 200 180", "30 40 110 120")


class Picture(NamedTuple):
    """An image of the set: its file, its class, its split, and how many boxes it has."""

    file: str
    name: str
    split: str
    boxes: int


def pictures(classes: int) -> Iterator[Picture]:
    """Yield the images of the set."""
    chance = random.Random(0)
    for number in range(classes):
        name = f"n{number:08}"
        for split, count in (("train", TRAIN), ("val", VAL)):
            for one in range(count):
                boxed = split == "val" or chance.random() < BOXED
                boxes = boxed + (boxed and chance.random() < 0.1)
                stem = f"{name}_{one:05}" if split == "train" else f"val_{number * VAL + one:08}"
                yield Picture(f"set/{split}/{name}/{stem}.JPEG", name, split, int(boxes))


def touch(path: Path) -> None:
    """Make an empty file."""
    os.close(os.open(path, os.O_CREAT | os.O_WRONLY))


def make_folders(folder: Path, classes: int) -> Path:
    """Make the files in a folder a class under each split."""
    parent = ""
    for one in pictures(classes):
        place, _, _ = one.file.rpartition("/")
        if place != parent:
            (folder / place).mkdir(parents=True, exist_ok=True)
            parent = place
        touch(folder / one.file)
    return folder / "set"


def make_csv(folder: Path, classes: int) -> Path:
    """Write a table without boxes."""
    with (folder / "plain.csv").open("w") as table:
        table.write("file,label,split\n")
        table.writelines(f"{one.file},{one.name},{one.split}\n" for one in pictures(classes))
    return folder / "plain.csv"


def make_csv_boxed(folder: Path, classes: int) -> Path:
    """Write the same with boxes."""
    with (folder / "boxed.csv").open("w", newline="") as file:
        table = csv.writer(file)
        table.writerow(("file", "label", "split", "box"))
        for one in pictures(classes):
            table.writerow((*one[:3], BOXES[0] if one.boxes else ""))
    return folder / "boxed.csv"


def make_jsonl(folder: Path, classes: int) -> Path:
    """Write the same as lines of JSON, boxes as lists."""
    box = [float(word) for word in BOXES[0].split()]
    with (folder / "boxed.jsonl").open("w") as table:
        for one in pictures(classes):
            row = {"file": one.file, "label": one.name, "split": one.split}
            table.write(json.dumps(row | ({"box": box} if one.boxes else {})) + "\n")
    return folder / "boxed.jsonl"


def make_parquet(folder: Path, classes: int) -> Path:
    """Write the same as Parquet."""
    import pyarrow
    from pyarrow import parquet

    box = [float(word) for word in BOXES[0].split()]
    every = list(pictures(classes))
    columns: dict[str, list[Any]] = {
        "file": [one.file for one in every],
        "label": [one.name for one in every],
        "split": [one.split for one in every],
        "box": [box if one.boxes else None for one in every],
    }
    parquet.write_table(pyarrow.table(columns), folder / "boxed.parquet")
    return folder / "boxed.parquet"


def make_ilsvrc(folder: Path, classes: int) -> Path:
    """Lay out ImageNet's own way, with the tables of boxes in an order of their own."""
    data = folder / "ilsvrc" / "Data" / "CLS-LOC"
    (data / "val").mkdir(parents=True)
    (data / "train").symlink_to(Path("../../../set/train"), target_is_directory=True)
    rows: dict[str, list[str]] = {"train": [], "val": []}
    for one in pictures(classes):
        stem = Path(one.file).stem
        if one.split == "val":
            touch(data / "val" / f"{stem}.JPEG")
        if one.boxes:
            objects = "".join(f"{one.name} {box} " for box in BOXES[: one.boxes])
            rows[one.split].append(f"{stem},{objects}\n")
    for split, found in rows.items():
        random.Random(1).shuffle(found)
        with (folder / "ilsvrc" / f"LOC_{split}_solution.csv").open("w") as table:
            table.write("ImageId,PredictionString\n")
            table.writelines(found)
    return folder / "ilsvrc"


def make_coco(folder: Path, classes: int) -> Path:
    """Write COCO's files, an object for each box and for each image without."""
    root = folder / "coco"
    (root / "annotations").mkdir(parents=True)
    for split in ("train", "val"):
        images: list[Any] = []
        objects: list[Any] = []
        for one in pictures(classes):
            if one.split != split:
                continue
            images.append({"id": len(images), "file_name": one.file, "width": 500})
            for box in BOXES[: max(1, one.boxes)]:
                x, y, right, low = map(float, box.split())
                sides = [x, y, right - x, low - y]
                place = {"image_id": len(images) - 1, "category_id": int(one.name[1:])}
                thing = {"id": len(objects), "bbox": sides, "area": sides[2] * sides[3]}
                objects.append(place | thing | {"iscrowd": 0})
        names = [{"id": number, "name": f"n{number:08}"} for number in range(classes)]
        content = {"images": images, "annotations": objects, "categories": names}
        (root / "annotations" / f"instances_{split}.json").write_text(json.dumps(content))
    (root / "images").mkdir()
    (root / "images" / "set").symlink_to(Path("../../set"), target_is_directory=True)
    return root


def make_shards(folder: Path, classes: int) -> Path:
    """Write shards as ``verydeep shard`` does, but with empty images, class by class."""
    root = folder / "shards"
    root.mkdir()
    splits = {}
    for split in ("train", "val"):
        every = [one for one in pictures(classes) if one.split == split]
        shards: list[Any] = []
        for first in range(0, len(every), SHARD):
            part = every[first : first + SHARD]
            name = f"{split}-{len(shards):06}.tar"
            write_shard(root / name, part, first)
            shards.append({"file": name, "samples": len(part)})
        splits[split] = {"shards": shards, "counts": [len(every) // classes] * classes}
    names = [f"n{number:08}" for number in range(classes)]
    manifest = {"format": "verydeep shards 1", "classes": names, "splits": splits, "boxes": True}
    (root / "dataset.json").write_text(json.dumps(manifest))
    return root


def write_shard(path: Path, part: list[Picture], first: int) -> None:
    """Write a shard; tarfile's own way of adding takes five times as long."""
    with path.open("wb") as file:
        for number, one in enumerate(part, start=first):
            parts = {"jpeg": b"", "cls": b"%d" % int(one.name[1:])}
            if one.boxes:
                parts["box"] = "\n".join(BOXES[: one.boxes]).encode()
            for suffix, data in parts.items():
                info = tarfile.TarInfo(f"{number:012}-{Path(one.file).stem}.{suffix}")
                info.size = len(data)
                file.write(info.tobuf(tarfile.USTAR_FORMAT))
                file.write(data.ljust(-len(data) % 512 + len(data), b"\0"))
        file.write(bytes(1024))


MAKERS: dict[str, Callable[[Path, int], Path]] = {
    "folders": make_folders,
    "table (CSV)": make_csv,
    "table (CSV) with boxes": make_csv_boxed,
    "table (JSONL) with boxes": make_jsonl,
    "table (Parquet) with boxes": make_parquet,
    "ILSVRC with solution files": make_ilsvrc,
    "shards by index": make_shards,
    "COCO": make_coco,
}
"""What makes a layout, after the folders, in whose files the others' images are."""


def make(folder: Path, name: str, classes: int) -> Path:
    """Make a layout if it is not there, and return what to read."""
    known = folder / f".{name}.made"
    if known.is_file():
        return Path(known.read_text())
    made = MAKERS[name](folder, classes)
    known.write_text(str(made))
    return made


def measure(data: str) -> dict[str, Any]:
    """Index a data set in this process, and go through it once."""
    from verydeep.data.read import read_dataset

    if data.endswith(".parquet"):
        import pyarrow.parquet  # noqa: F401 (like the package itself, it is not part of the index)
    before, processor = peak(), processor_seconds()
    started = time.perf_counter()
    dataset = read_dataset(data)
    found = {
        "seconds": time.perf_counter() - started,
        "processor_seconds": processor_seconds() - processor,
        "mebibytes": peak() - before,
    }
    started = time.perf_counter()
    passed = sum(1 for samples in dataset.splits.values() for _ in samples)
    found["seconds_to_go_through"] = time.perf_counter() - started
    return {"pictures": passed, **found, "what": dataset.describe()}


def peak() -> float:
    """Return the most memory that this process has had, in MiB."""
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024


def processor_seconds() -> float:
    """Return what this process and those that it started have computed, user and system."""
    found = (resource.RUSAGE_SELF, resource.RUSAGE_CHILDREN)
    return sum(sum(resource.getrusage(who)[:2]) for who in found)


def main() -> None:
    """Measure and print; write JSON if asked to."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("folder", type=Path)
    parser.add_argument("--read", help=argparse.SUPPRESS)
    parser.add_argument("--make", action="store_true", help="make the files, measure nothing")
    parser.add_argument("--classes", type=int, default=1000)
    parser.add_argument("--only", choices=MAKERS, nargs="+", default=list(MAKERS))
    parser.add_argument("--out", type=Path)
    options = parser.parse_args()
    if options.read:
        print(json.dumps(measure(options.read)))
        return
    folder = options.folder.resolve()
    folder.mkdir(parents=True, exist_ok=True)
    make(folder, "folders", options.classes)
    found = {}
    for name in options.only:
        data = make(folder, name, options.classes)
        if options.make:
            continue
        command = [sys.executable, __file__, str(folder), "--read", str(data)]
        done = subprocess.run(command, check=True, stdout=subprocess.PIPE, text=True)
        found[name] = json.loads(done.stdout)
        print(name, found[name], flush=True)
    if options.out:
        from verydeep.system.device import choose_machine, describe_environment

        result = {
            "what": "the index of a made-up data set",
            "indexes": found,
            "environment": describe_environment(choose_machine("cpu", "fp32")),
        }
        options.out.write_text(json.dumps(result, indent=2) + "\n")


if __name__ == "__main__":
    main()
