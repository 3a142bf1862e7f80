"""Planted wrong labels: how many are found, and how many of those found were planted.

    verydeep features models/d tiny-10 --no-flip --out tiny10-d.npz
    python benchmarks/label_errors.py tiny-10 tiny10-d.npz --out docs/results/label_errors.json

For each share and seed, as many labels of all images are replaced by another class, each as likely
as any other. A logistic regression in five folds judges them as ``verydeep check --features`` does.
The data set has wrong and doubtful labels of its own: those found with nothing planted count as
false alarms here. Nothing is fetched.
"""

from __future__ import annotations

import argparse
import random
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np

from verydeep import Features, read_dataset
from verydeep.checks.confident_learning import METHODS
from verydeep.checks.label_errors import Judged, LabelErrors, judge_labels
from verydeep.data.dataset import Dataset, relative_name
from verydeep.data.samples import Samples
from verydeep.data.split import deal_folds
from verydeep.system.device import choose_machine, describe_environment
from verydeep.system.files import write_json
from verydeep.transfer.out_of_fold import out_of_fold_posteriors
from verydeep.transfer.storage import read_features

FOLDS = 5
PRECISION = 0.9
"""Precision at which recall is given, along the list."""


def plant(dataset: Dataset, share: float, seed: int) -> tuple[Samples, dict[str, str]]:
    """Return all images, some with a wrong label, and the true classes of these by name."""
    drawn = random.Random(seed)
    samples = [one for split in dataset.splits.values() for one in split]
    wrong = {}
    for number in drawn.sample(range(len(samples)), round(share * len(samples))):
        true = samples[number].label
        others = [label for label in range(len(dataset.classes)) if label != true]
        samples[number] = replace(samples[number], label=drawn.choice(others))
        wrong[relative_name(samples[number].path, dataset.root)] = dataset.classes[true]
    return Samples.of(samples), wrong


def judged(dataset: Dataset, samples: Samples, features: Features) -> Judged:
    """Return the images with the posteriors of a regression that was not fitted to them."""
    names = [relative_name(path, dataset.root) for path in samples.paths]
    rows = {name: row for row, name in enumerate(features.files.tolist())}
    folds = deal_folds(samples, dataset.root, FOLDS, seed=0)
    labels = samples.labels.astype(np.int64)
    likely = out_of_fold_posteriors(features.vectors[[rows[one] for one in names]], labels, folds)
    return Judged(names, [""] * len(names), samples, likely, dataset.classes)


def score(found: LabelErrors, wrong: dict[str, str]) -> dict[str, Any]:
    """Return precision and recall of a list, and the recall at a stated precision along it."""
    hits = np.array([error.image in wrong for error in found.errors], bool)
    right = sum(wrong.get(error.image) == error.suggested for error in found.errors)
    along = np.cumsum(hits) / np.maximum(1, np.arange(1, len(hits) + 1))
    enough = np.flatnonzero(along >= PRECISION)
    first = int(enough[-1]) + 1 if len(enough) else 0
    planted = max(1, len(wrong))
    return {
        "listed": len(hits),
        "found": int(hits.sum()),
        "precision": float(hits.mean()) if len(hits) else None,
        "recall": float(hits.sum() / planted) if wrong else None,
        f"recall_at_precision_{PRECISION}": float(hits[:first].sum() / planted) if wrong else None,
        "suggestion_right": right / int(hits.sum()) if hits.any() else None,
        "estimated": found.estimated,
    }


def measure(
    dataset: Dataset, features: Features, shares: list[float], seeds: int
) -> Iterator[dict[str, Any]]:
    """Yield a row for each share, seed and method."""
    for share in shares:
        for seed in range(seeds if share else 1):
            samples, wrong = plant(dataset, share, seed)
            one = judged(dataset, samples, features)
            for method in METHODS:
                found = judge_labels(one, data="", source="", method=method)
                row = {"share": share, "seed": seed, "method": method, "planted": len(wrong)}
                yield row | {"top1_error": found.top1_error} | score(found, wrong)
                print(share, seed, method, score(found, wrong), flush=True)


def main() -> None:
    """Measure, and write the result."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("data")
    parser.add_argument("features", type=Path)
    parser.add_argument("--shares", type=float, nargs="+", default=[0.0, 0.05, 0.1])
    parser.add_argument("--seeds", type=int, default=3)
    parser.add_argument("--out", type=Path)
    given = parser.parse_args()
    features = read_features(given.features)
    dataset = read_dataset(given.data, draw=False)
    rows = list(measure(dataset, features, given.shares, given.seeds))
    about = {k: v for k, v in features.about.to_dict().items() if k not in ("model", "data")}
    environment = describe_environment(choose_machine("cpu", None))
    environment.pop("command", None)
    result = {
        "what": (__doc__ or "").partition("\n")[0],
        "images": sum(map(len, dataset.splits.values())),
        "classes": len(dataset.classes),
        "features": about,
        "folds": FOLDS,
        "environment": environment,
        "rows": rows,
    }
    if given.out:
        write_json(given.out, result)


if __name__ == "__main__":
    main()
