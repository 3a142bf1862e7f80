"""Box regressors compared on a data set with boxes: Tables 8 and 9 of the paper, small.

    python benchmarks/localization.py DATA --out docs/results/localization.json

Takes a classifier of some classes of DATA, or trains one (net A, recipe small), and then box
regressors that begin with it, in the ways of Table 8: one box for all classes (SCR) or one a class
(PCR), with the fully connected layers alone fine-tuned or all of them. Tests each with the class
told (Testing 1), the best of them beside the classifier at one scale and at several, and fused
(Testing 2, Table 9). Runs, and the images with the classes chosen, are kept in WORK: started anew,
it goes on where it stopped.
"""

from __future__ import annotations

import argparse
import json
import time
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np

from verydeep import evaluate_localization, train
from verydeep.data.dataset import Dataset
from verydeep.data.read import read_dataset
from verydeep.data.shards.write import write_shards
from verydeep.localization.protocol import BoxProtocol
from verydeep.localization.result import LocalizationResult
from verydeep.recipe.recipe import load_recipe
from verydeep.system.device import choose_machine, describe_environment
from verydeep.system.progress import Progress, console_progress

TINY = "goldfish,lion,Egyptian cat,Arabian camel,dragonfly,gondola,pretzel,remote control,seashore"
WAYS = {
    "SCR, fully connected": ("localization.per_class=false", "localization.fine_tune=fc"),
    "PCR, fully connected": ("localization.per_class=true", "localization.fine_tune=fc"),
    "SCR, all layers": ("localization.per_class=false", "localization.fine_tune=all"),
    "PCR, all layers": ("localization.per_class=true", "localization.fine_tune=all"),
}


def some_classes(dataset: Dataset, wanted: Sequence[str]) -> Dataset:
    """Return a data set with these classes alone, by the first of their names."""
    titles = [dataset.title(label).split(",")[0] for label in range(len(dataset.classes))]
    missing = [name for name in wanted if name not in titles]
    if missing:
        raise SystemExit(f"no class {missing[0]!r}; there are {', '.join(titles)}")
    classes = sorted(wanted)
    new = [classes.index(name) if name in classes else -1 for name in titles]
    splits = {}
    for split, samples in dataset.splits.items():
        relabelled = samples.relabelled(new)
        splits[split] = relabelled.take(np.flatnonzero(relabelled.labels >= 0))
    return replace(dataset, classes=tuple(classes), splits=splits, titles={})


def chosen_data(options: argparse.Namespace, progress: Progress) -> Path:
    """Return a folder with the classes chosen, as shards."""
    folder: Path = options.work / "data"
    if not (folder / "dataset.json").is_file():
        whole = read_dataset(options.data, seed=options.seed)
        chosen = some_classes(whole, options.classes.split(","))
        write_shards(chosen, folder, seed=options.seed, progress=progress)
    return folder


def trained(
    data: Path, run: Path, recipe: str, settings: Sequence[str], progress: Progress
) -> dict[str, Any]:
    """Train a net, or go on with it, or read what came of it."""
    started = (run / "recipe.yaml").is_file()
    chosen = load_recipe(recipe, settings)
    return train(data, chosen, run, resume=started, progress=progress).to_dict()


def row(result: LocalizationResult, seconds: float | None = None) -> dict[str, Any]:
    """Return a line of a table."""
    value = result.to_dict()
    return value if seconds is None else {**value, "training_seconds": seconds}


def main() -> None:
    """Train, test and print; write JSON if asked to."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("data", help="a data set with boxes")
    parser.add_argument("--work", type=Path, default=Path("runs/localization"))
    parser.add_argument("--classes", default=f"{TINY},sports car", help="names, with commas")
    parser.add_argument("--classifier", type=Path, help="a run on these classes")
    parser.add_argument("--epochs", type=int, default=30, help="of the classifier, without one")
    parser.add_argument("--box-epochs", type=int, default=12)
    parser.add_argument("--rate", type=float, default=0.05, help="highest, of the box regressors")
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--out", type=Path)
    options = parser.parse_args()
    progress = console_progress()
    data = chosen_data(options, progress)
    seed = f"training.seed={options.seed}"
    classifier = options.classifier or options.work / "classifier"
    if options.classifier is None:
        small = [seed, f"training.epochs={options.epochs}"]
        trained(data, classifier, "small", small, progress)
    metrics = json.loads((classifier / "metrics.json").read_text())
    common = [
        seed,
        f"training.epochs={options.box_epochs}",
        f"training.learning_rate={options.rate}",
        "training.batch=64",
        "training.schedule=one-cycle",
        "net.dropout=0",
        "data.cache=device",
        "plateau.monitor=accuracy",
        f"initialize.source={classifier}",
    ]
    told: dict[str, Any] = {}
    for name, settings in WAYS.items():
        run = options.work / name.replace(", ", "-").replace(" ", "-").lower()
        started = time.monotonic()
        done = trained(data, run, "localization", [*common, *settings], progress)
        seconds = done.get("training_seconds", time.monotonic() - started)
        told[name] = row(
            evaluate_localization(run, protocol=BoxProtocol(scales=[64]), progress=progress),
            seconds,
        )
        print(name, told[name]["localization_error"], told[name]["mean_iou"], flush=True)
    best = options.work / "pcr-all-layers"
    found = {}
    for name, boxes, scales in (
        ("PCR, Q = 64", [best], [64]),
        ("PCR, Q = 64 and 96", [best], [64, 96]),
        ("PCR and SCR, Q = 64 and 96", [best, options.work / "scr-all-layers"], [64, 96]),
    ):
        result = evaluate_localization(
            classifier, boxes, protocol=BoxProtocol(scales=scales), progress=progress
        )
        found[name] = row(result)
        print(name, found[name]["localization_error"], found[name]["mean_iou"], flush=True)
    report = {
        "what": "box regressors on a small data set with boxes",
        "data": read_dataset(data).describe(),
        "classes": options.classes.split(","),
        "seed": options.seed,
        "settings": common[:-1],
        "classifier": {
            key: metrics[key]
            for key in ("top1_error", "top5_error", "protocol", "scales", "epochs")
        },
        "class told, central crop": told,
        "class unknown, dense": found,
        "environment": describe_environment(choose_machine()),
    }
    if options.out:
        options.out.write_text(json.dumps(report, indent=2) + "\n")


if __name__ == "__main__":
    main()
