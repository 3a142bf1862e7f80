"""Time and memory of the index of ImageNet's size: 1.28 million training and 50,000 other pictures.

    python benchmarks/million.py FOLDER --out docs/results/million.json

Makes up a data set in FOLDER (empty files: no picture is opened to index them), as folders and as a
table, and reads each in a process of its own. Memory is what the process grows by, at most, after
the package is imported. The files stay for another run; remove FOLDER afterwards.
"""

from __future__ import annotations

import argparse
import json
import os
import resource
import subprocess
import sys
import time
from pathlib import Path
from typing import Any

CLASSES, TRAIN, VAL = 1000, 1281, 50


def make(folder: Path) -> None:
    """Make up the files and the table that names them."""
    if (folder / "table.csv").is_file():
        return
    with (folder / "table.csv.part").open("w") as table:
        table.write("file,label,split\n")
        for number in range(CLASSES):
            for split, count in (("train", TRAIN), ("val", VAL)):
                parent = folder / "set" / split / f"n{number:08}"
                parent.mkdir(parents=True, exist_ok=True)
                for picture in range(count):
                    path = parent / f"n{number:08}_{picture:05}.JPEG"
                    os.close(os.open(path, os.O_CREAT | os.O_WRONLY))
                    table.write(f"{path.relative_to(folder)},n{number:08},{split}\n")
    (folder / "table.csv.part").rename(folder / "table.csv")


def measure(data: str) -> dict[str, Any]:
    """Index a data set in this process, and go through it once."""
    from verydeep.data.read import read_dataset

    before = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    started = time.perf_counter()
    dataset = read_dataset(data)
    seconds = time.perf_counter() - started
    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    started = time.perf_counter()
    pictures = sum(1 for samples in dataset.splits.values() for _ in samples)
    return {
        "pictures": pictures,
        "seconds": seconds,
        "mebibytes": (peak - before) / 1024,
        "seconds_to_go_through": time.perf_counter() - started,
    }


def main() -> None:
    """Measure and print; write JSON if asked to."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("folder", type=Path)
    parser.add_argument("--read", help=argparse.SUPPRESS)
    parser.add_argument("--out", type=Path)
    options = parser.parse_args()
    if options.read:
        print(json.dumps(measure(options.read)))
        return
    options.folder.mkdir(parents=True, exist_ok=True)
    make(options.folder)
    found = {}
    for name, data in (("folders", "set"), ("table", "table.csv")):
        command = [sys.executable, __file__, str(options.folder), "--read"]
        done = subprocess.run(
            [*command, str(options.folder / data)], check=True, capture_output=True, text=True
        )
        found[name] = json.loads(done.stdout)
        print(name, found[name])
    if options.out:
        from verydeep.runtime import choose_machine, describe_environment

        result = {
            "what": "the index of a made-up data set",
            "indexes": found,
            "environment": describe_environment(choose_machine("cpu", "fp32")),
        }
        options.out.write_text(json.dumps(result, indent=2) + "\n")


if __name__ == "__main__":
    main()
