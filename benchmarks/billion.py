"""A billion samples in shards: how long until the first batch, and what memory that takes.

    python benchmarks/billion.py FOLDER --out docs/results/billion.json

Makes up a data set in FOLDER: two shards of 10,000 images, and 100,000 names for them (hard
links, so that it takes 50 MB), which the program cannot tell from 100,000 shards. Then reads the
first batches of an epoch, and those from its middle on, as after an interruption.
"""

from __future__ import annotations

import argparse
import io
import json
import os
import shutil
import tarfile
import time
from pathlib import Path
from typing import Any

import numpy as np
from PIL import Image

SHARDS, SAMPLES, CLASSES = 100_000, 10_000, 10
UPDATES = 20


def make(folder: Path) -> None:
    """Make up the shards and their manifest."""
    if (folder / "dataset.json").is_file():
        return
    shutil.rmtree(folder, ignore_errors=True)
    folder.mkdir(parents=True)
    for number, name in enumerate(("val-000000.tar", ".first.tar", ".second.tar")):
        write(folder / name, 500 if name.startswith("val") else SAMPLES, number)
    names = [f"train-{number:06}.tar" for number in range(SHARDS)]
    for number, name in enumerate(names):
        os.link(folder / (".first.tar", ".second.tar")[number % 2], folder / name)
    splits = {"train": (names, SAMPLES), "val": (["val-000000.tar"], 500)}
    manifest = {
        "format": "verydeep shards 1",
        "classes": [f"class {number}" for number in range(CLASSES)],
        "splits": {
            split: {
                "shards": [{"file": name, "samples": samples} for name in files],
                "counts": [len(files) * samples // CLASSES] * CLASSES,
            }
            for split, (files, samples) in splits.items()
        },
        "colours": {"mean": [128.0] * 3, "covariance": np.diag([0.05] * 3).tolist()},
    }
    (folder / "dataset.json").write_text(json.dumps(manifest))


def write(path: Path, samples: int, seed: int) -> None:
    """Write a shard of noisy images whose brightness tells their class."""
    generator = np.random.default_rng(seed)
    with tarfile.open(path, "w") as archive:
        for number in range(samples):
            pixels = generator.integers(0, 64, (64, 64, 3)) + 20 * (number % CLASSES)
            buffer = io.BytesIO()
            Image.fromarray(pixels.astype(np.uint8)).save(buffer, "JPEG", quality=50)
            for suffix, data in (("jpg", buffer.getvalue()), ("cls", b"%d" % (number % CLASSES))):
                info = tarfile.TarInfo(f"{number:06}.{suffix}")
                info.size = len(data)
                archive.addfile(info, io.BytesIO(data))


def measure(folder: Path) -> dict[str, Any]:
    """Read the data set and take its first batches, at the beginning and in mid-epoch."""
    from verydeep.data.pipeline.augment import Augmentation
    from verydeep.data.read import read_dataset
    from verydeep.data.shards.batches import StreamBatches

    before = memory()
    started = time.perf_counter()
    dataset = read_dataset(folder)
    found: dict[str, Any] = {"seconds_to_read": time.perf_counter() - started}
    assert dataset.stream is not None
    found["samples"] = len(dataset.stream)
    augmentation = Augmentation(size=56, scale=(64, 64))
    batches = StreamBatches(dataset.stream, augmentation, 64, 64, seed=0, workers=2)
    for name, start in (("first", 0), ("middle", batches.steps // 2 + 12345)):
        started = time.perf_counter()
        parts = batches.epoch(0, start)
        next(parts)
        found[f"seconds_to_{name}_batch"] = time.perf_counter() - started
        started = time.perf_counter()
        count = sum(len(next(parts).labels) for _ in range(2 * UPDATES))
        found[f"pictures_per_second_{name}"] = count / (time.perf_counter() - started)
        found[f"mebibytes_of_all_processes_{name}"] = (family() - before) / 2**20
        del parts
    return found


def memory(pid: int | str = "self") -> int:
    """Return the bytes of memory that are a process's own share."""
    lines = Path(f"/proc/{pid}/smaps_rollup").read_text().splitlines()
    return next(1024 * int(line.split()[1]) for line in lines if line.startswith("Pss:"))


def family() -> int:
    """Return the same of this process and its children."""
    children = Path("/proc/self/task").glob("*/children")
    pids = {pid for child in children for pid in child.read_text().split()}
    return memory() + sum(memory(pid) for pid in pids)


def main() -> None:
    """Measure and print; write JSON if asked to."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("folder", type=Path)
    parser.add_argument("--out", type=Path)
    options = parser.parse_args()
    make(options.folder)
    found = measure(options.folder)
    print(json.dumps(found, indent=2))
    if options.out:
        from verydeep.system.device import choose_machine, describe_environment

        environment = describe_environment(choose_machine("cpu", "fp32"))
        result = {"what": "a billion samples as a stream", **found, "environment": environment}
        options.out.write_text(json.dumps(result, indent=2) + "\n")


if __name__ == "__main__":
    main()
