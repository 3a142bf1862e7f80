"""Transfer from one pretrained net: ``--recipe transfer`` beside what people do today.

    python benchmarks/transfer.py tiny-10 --source models/d --per-class 60 --out F.json

POOL has ``train/<class>`` and ``val/<class>``; the first ``--per-class`` training images by name
are taken, or all. Four ways to a classifier, each for every seed, tested on all images of ``val``:

- ``transfer``: ``verydeep train --recipe transfer --init-from SOURCE``.
- ``svm``: a linear SVM on ``pool5`` of SOURCE (appendix B), C by cross-validation.
- ``torchvision``: vgg16 with SOURCE's convolutions, frozen, and fc6 to fc8 from random weights,
  trained as in PyTorch's tutorial on transfer (SGD 0.001, momentum 0.9, a tenth of it every 7
  epochs, batches of 4, RandomResizedCrop), for the processor time that ``transfer`` took.
- ``nothing``: ``verydeep train --recipe auto``, from random weights.

Machines are shared: ``core_seconds`` is processor time, of all threads and workers.
"""

from __future__ import annotations

import argparse
import resource
import shutil
import statistics
import tempfile
import time
from collections.abc import Callable
from functools import cache
from pathlib import Path
from typing import Any, NamedTuple

import torch
from sklearn.model_selection import GridSearchCV
from sklearn.svm import LinearSVC
from torch import Tensor, nn
from torchvision import models
from torchvision.datasets import ImageFolder
from torchvision.transforms import v2

import verydeep
from verydeep.evaluation.protocol import TestProtocol
from verydeep.models.classifier import load_classifier
from verydeep.system.device import choose_machine, describe_environment
from verydeep.system.files import write_json
from verydeep.system.progress import PlainProgress
from verydeep.transfer.descriptor import Descriptor

BATCH, RATE, MOMENTUM, STEP = 4, 1e-3, 0.9, 7
"""Of the tutorial."""

COSTS = (0.01, 0.1, 1.0, 10.0)
"""C of the SVM, for features of length one."""


class Given(NamedTuple):
    """What every way is given."""

    data: Path
    source: Path
    seed: int
    settings: list[str]
    core_seconds: float
    """Processor time of ``transfer`` with this seed."""


def core_seconds() -> float:
    """Return the processor time of this process and its finished workers."""
    used = [resource.getrusage(who) for who in (resource.RUSAGE_SELF, resource.RUSAGE_CHILDREN)]
    return sum(one.ru_utime + one.ru_stime for one in used)


def transfer(given: Given) -> dict[str, Any]:
    """Train by the recipe ``transfer``."""
    return trained(given, "transfer", f"initialize.source={given.source}", *given.settings)


def nothing(given: Given) -> dict[str, Any]:
    """Train from random weights by the recipe that is chosen for the data."""
    return trained(given, "auto")


def trained(given: Given, recipe: str, *settings: str) -> dict[str, Any]:
    """Train, and return the error of the last test by the run's protocol."""
    with tempfile.TemporaryDirectory() as folder:
        run, used = Path(folder) / "run", core_seconds()
        metrics = verydeep.train(
            given.data,
            recipe,
            run,
            settings=[f"training.seed={given.seed}", *settings],
            progress=PlainProgress(),
        ).metrics
        used = core_seconds() - used
        multi = verydeep.evaluate(run, given.data, TestProtocol("dense", "multi"), split="val")
    assert isinstance(multi, verydeep.EvaluationResult)
    return {
        "error": metrics["top1_error"],
        "multi_scale_error": multi.top1_error,
        "core_seconds": used,  # of training and its tests, without the one at several scales
    }


@cache
def described(source: Path, data: Path) -> tuple[Any, float]:
    """Return the features of all images, the same for every seed, and their processor time."""
    used = core_seconds()
    found = verydeep.features(source, data, Descriptor(), progress=False)
    return found, core_seconds() - used


def svm(given: Given) -> dict[str, Any]:
    """Fit a linear SVM on pool5; the processor time of its features counts for every seed."""
    found, described_in = described(given.source, given.data)
    used = core_seconds()
    (x, y), (xv, yv) = ((part.vectors, part.labels) for part in map(found.split, ("train", "val")))
    search = GridSearchCV(LinearSVC(random_state=given.seed), {"C": list(COSTS)}, cv=5)
    search.fit(x, y)
    error = 100 * float((search.predict(xv) != yv).mean())
    cost = described_in + core_seconds() - used
    return {"error": error, "core_seconds": cost, **search.best_params_}


def torchvision(given: Given) -> dict[str, Any]:
    """Train a head for vgg16 as the tutorial does, for as much processor time as transfer took."""
    torch.manual_seed(given.seed)
    model = load_classifier(given.source)
    net = models.vgg16(weights=None, num_classes=len(ImageFolder(given.data / "train").classes))
    ours = [layer for layer in model.net.features.modules() if isinstance(layer, nn.Conv2d)]
    theirs = [layer for layer in net.features if isinstance(layer, nn.Conv2d)]
    for mine, other in zip(ours, theirs, strict=True):
        other.load_state_dict(mine.state_dict())
    net.features.requires_grad_(requires_grad=False)
    begin = core_seconds()
    epochs = 0
    optimizer = torch.optim.SGD(net.classifier.parameters(), RATE, MOMENTUM)
    scheduler = torch.optim.lr_scheduler.StepLR(optimizer, STEP, 0.1)
    pictures = images_of(given.data / "train", v2.RandomResizedCrop(224), v2.RandomHorizontalFlip())
    loader = torch.utils.data.DataLoader(pictures, BATCH, shuffle=True)
    while core_seconds() - begin < given.core_seconds:
        net.train()
        for x, y in loader:
            loss = nn.functional.cross_entropy(net(model.preprocessing(x)), y)
            optimizer.zero_grad()
            torch.autograd.backward(loss)
            optimizer.step()
            if core_seconds() - begin >= given.core_seconds:
                break
        scheduler.step()
        epochs += 1
    held = images_of(given.data / "val", v2.Resize(256), v2.CenterCrop(224))
    return {"error": error_of(net, model.preprocessing, held), "epochs_begun": epochs}


def images_of(folder: Path, *steps: nn.Module) -> ImageFolder:
    """Return a folder a class as images with values from 0 to 255, float32."""
    return ImageFolder(folder, v2.Compose([*steps, v2.PILToTensor(), v2.ToDtype(torch.float32)]))


def error_of(net: nn.Module, prepare: Callable[[Tensor], Tensor], held: ImageFolder) -> float:
    """Return the error on images, in percent."""
    net.eval()
    wrong = 0
    with torch.inference_mode():
        for x, y in torch.utils.data.DataLoader(held, 16):
            wrong += int((net(prepare(x)).argmax(1) != y).sum())
    return 100 * wrong / len(held)


WAYS = {"transfer": transfer, "svm": svm, "torchvision": torchvision, "nothing": nothing}


def take(pool: Path, per_class: int | None, out: Path) -> Path:
    """Copy the first training images of each class by name, and all of val."""
    for split in ("train", "val"):
        for folder in sorted((pool / split).iterdir()):
            (out / split / folder.name).mkdir(parents=True)
            files = sorted(folder.iterdir())
            for path in files[:per_class] if split == "train" else files:
                shutil.copy(path, out / split / folder.name / path.name)
    return out


def main() -> None:
    """Run every way for every seed, and write what came out after each."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").partition("\n")[0])
    parser.add_argument("pool", type=Path)
    parser.add_argument("--source", type=Path, required=True, help="model folder of net D")
    parser.add_argument("--per-class", type=int, default=None)
    parser.add_argument("--seeds", type=int, nargs="+", default=[0, 1, 2])
    parser.add_argument("--ways", nargs="+", choices=list(WAYS), default=list(WAYS))
    parser.add_argument("--set", dest="settings", action="append", default=[], help="of transfer")
    parser.add_argument("--out", type=Path, required=True)
    given = parser.parse_args()
    rows: list[dict[str, Any]] = []
    with tempfile.TemporaryDirectory() as folder:
        data = take(given.pool, given.per_class, Path(folder) / "data")
        for seed in given.seeds:
            took = 0.0
            for way in given.ways:
                begin, used = time.perf_counter(), core_seconds()
                found = WAYS[way](Given(data, given.source, seed, given.settings, took))
                cost = {
                    "seconds": time.perf_counter() - begin,
                    "core_seconds": core_seconds() - used,
                }
                row = {"way": way, "seed": seed, **cost, **found}
                took = row["core_seconds"] if way == "transfer" else took
                rows.append(row)
                print(row, flush=True)
                write_json(given.out, summary(given, rows))


def summary(given: argparse.Namespace, rows: list[dict[str, Any]]) -> dict[str, Any]:
    """Return all that a reader needs to judge the figures."""

    def spread(way: str, key: str) -> dict[str, float]:
        values = [row[key] for row in rows if row["way"] == way and key in row]
        deviation = statistics.stdev(values) if len(values) > 1 else 0.0
        return {"mean": statistics.mean(values), "std": deviation} if values else {}

    return {
        "environment": describe_environment(choose_machine()),
        "images_a_class": given.per_class,
        "settings": given.settings,
        **{
            way: {key: spread(way, key) for key in ("error", "multi_scale_error", "core_seconds")}
            for way in dict.fromkeys(row["way"] for row in rows)
        },
        "runs": rows,
    }


if __name__ == "__main__":
    main()
