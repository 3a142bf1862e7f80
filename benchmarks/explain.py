"""``verydeep explain`` of net D on a photograph: seconds of the whole program.

    python benchmarks/explain.py --work runs/explain --out docs/results/explain.json

Net D with 1,000 classes and random weights, which cost the same as trained ones, is written to WORK
once. The program is then called on scikit-learn's photograph, with ``--center`` at the net's 224
pixels and at the model's test scale, turn about, each time in a process of its own: imports,
reading of the model, all sections that are made by default, and the page. Besides the time on the
wall it counts the processor's, which a busy machine changes less.
"""

from __future__ import annotations

import argparse
import json
import os
import statistics
import sys
import tempfile
import time
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import torch
from PIL import Image

from verydeep.models.classifier import Classifier
from verydeep.models.preprocessing import Preprocessing
from verydeep.nets.vgg import vgg
from verydeep.system.device import choose_machine, describe_environment

CLASSES, SCALE = 1000, 256
WAYS = {"center at 224": ("--center", "--size", "224"), f"whole at {SCALE}": ()}


def model_in(work: Path) -> Path:
    """Return the folder of net D, written if need be."""
    folder = work / "model"
    if not (folder / "config.json").is_file():
        torch.manual_seed(0)
        Classifier(
            net=vgg("D", CLASSES).eval(),
            classes=tuple(f"class {number}" for number in range(CLASSES)),
            preprocessing=Preprocessing((123.7, 116.8, 103.9)),
            train_scale=(256, 256),
            test_scales=(SCALE,),
        ).save(folder)
    return folder


def photograph_in(work: Path) -> Path:
    """Return the file of a photograph of 640x427 pixels, written if need be."""
    from sklearn.datasets import load_sample_image

    file = work / "china.png"
    if not file.is_file():
        Image.fromarray(load_sample_image("china.jpg")).save(file)
    return file


def called(arguments: Sequence[str]) -> dict[str, float]:
    """Run the program in a process of its own; return its seconds and its peak of memory."""
    started = time.perf_counter()
    process = os.posix_spawn(
        sys.executable, [sys.executable, "-m", "verydeep", *arguments], os.environ
    )
    _, status, used = os.wait4(process, 0)
    if status:
        raise SystemExit(f"verydeep {' '.join(arguments)} failed")
    return {
        "wall": time.perf_counter() - started,
        "user and system": used.ru_utime + used.ru_stime,
        "peak GiB": used.ru_maxrss / 2**20,
    }


def summary(rounds: Sequence[dict[str, float]]) -> dict[str, Any]:
    """Return medians, and all rounds."""
    medians = {key: statistics.median(one[key] for one in rounds) for key in rounds[0]}
    return {"median": medians, "rounds": [*rounds]}


def main() -> None:
    """Measure and print; write JSON if asked to."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--work", type=Path, default=Path("runs/explain"))
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--out", type=Path)
    options = parser.parse_args()
    options.work.mkdir(parents=True, exist_ok=True)
    model, picture = model_in(options.work), photograph_in(options.work)
    rounds: dict[str, list[dict[str, float]]] = {way: [] for way in WAYS}
    for _ in range(options.rounds):
        for way, flags in WAYS.items():
            with tempfile.TemporaryDirectory() as page:
                told = called(["explain", str(model), str(picture), "--out", page, *flags])
            rounds[way].append(told)
            print(way, {key: round(value, 2) for key, value in told.items()}, flush=True)
    report = {
        "what": "verydeep explain of net D, 1,000 classes, random weights, one photograph of "
        "640x427 pixels; seconds of the whole program, in fresh processes",
        "ways": {way: summary(found) for way, found in rounds.items()},
        "environment": describe_environment(choose_machine()),
    }
    if options.out:
        options.out.write_text(json.dumps(report, indent=2) + "\n")


if __name__ == "__main__":
    main()
