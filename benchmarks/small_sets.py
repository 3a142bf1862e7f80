"""Small sets: ``verydeep train`` as it comes against a plain torchvision resnet18 script.

    python benchmarks/small_sets.py tiny-10 --classes goldfish "Egyptian cat" lion --out F.json

POOL has ``train/<class>`` and ``val/<class>``. For each seed, ``--pictures`` of each class are
drawn from its training split and put into a folder a class. verydeep trains on them by the recipe
that it chooses (it holds a fifth back); the script trains on all of them for 30 epochs. Both are
then tested on all images of ``val`` of these classes, which neither has seen. Nothing is fetched.
"""

from __future__ import annotations

import argparse
import random
import shutil
import statistics
import tempfile
import time
from pathlib import Path
from typing import Any

import torch
from PIL import Image
from torch import Tensor, nn
from torchvision import models
from torchvision.transforms import v2

import verydeep
from verydeep.evaluation.significance import wilson_interval
from verydeep.system.device import choose_machine, describe_environment
from verydeep.system.files import write_json
from verydeep.system.progress import PlainProgress
from verydeep.system.settings import Compute

EPOCHS, BATCH, RATE, SIZE = 30, 32, 1e-3, 64
"""Of the script."""


def draw(pool: Path, classes: list[str], pictures: int, seed: int, out: Path) -> None:
    """Copy some training images of each class into a folder a class."""
    chance = random.Random(seed)
    for name in classes:
        (out / name).mkdir(parents=True)
        for path in chance.sample(sorted((pool / "train" / name).iterdir()), pictures):
            shutil.copy(path, out / name / path.name)


def pictures_of(folder: Path, classes: list[str]) -> tuple[Tensor, Tensor]:
    """Return all images of a folder a class, uint8 (N, 3, h, w), and their labels."""
    read = v2.Compose([v2.PILToTensor(), v2.Resize(SIZE), v2.CenterCrop(SIZE)])
    found = [
        (read(Image.open(path).convert("RGB")), label)
        for label, name in enumerate(classes)
        for path in sorted((folder / name).iterdir())
    ]
    return torch.stack([x for x, _ in found]), torch.tensor([y for _, y in found])


def resnet18(data: Path, held: Path, classes: list[str], seed: int) -> tuple[float, float]:
    """Train torchvision's resnet18 from scratch; return its error (percent) and the seconds."""
    torch.manual_seed(seed)
    augment = v2.Compose([v2.RandomCrop(SIZE, padding=8), v2.RandomHorizontalFlip()])
    scaled = v2.Compose(
        [
            v2.ToDtype(torch.float32, scale=True),
            v2.Normalize([0.485, 0.456, 0.406], [0.229, 0.224, 0.225]),
        ]
    )
    x, y = pictures_of(data, classes)
    net = models.resnet18(num_classes=len(classes))
    optimizer = torch.optim.Adam(net.parameters(), RATE)
    started = time.perf_counter()
    for _ in range(EPOCHS):
        net.train()
        for step in torch.split(torch.randperm(len(x)), BATCH):
            batch = scaled(torch.stack([augment(picture) for picture in x[step]]))
            optimizer.zero_grad()
            torch.autograd.backward(nn.functional.cross_entropy(net(batch), y[step]))
            optimizer.step()
    seconds = time.perf_counter() - started
    x, y = pictures_of(held, classes)
    net.eval()
    with torch.inference_mode():
        answers = torch.cat([net(scaled(part)).argmax(1) for part in torch.split(x, BATCH)])
    return 100 * float((answers != y).float().mean()), seconds


def ours(data: Path, held: Path, out: Path, seed: int) -> dict[str, Any]:
    """Train by recipe auto; return the true error, and what the run says of itself."""
    metrics = verydeep.train(
        data,
        out=out,
        settings=[f"training.seed={seed}", "training.device=cpu", "training.precision=fp32"],
        progress=PlainProgress(),
    )
    measured = verydeep.evaluate(out, held, compute=Compute(device="cpu", precision="fp32"))
    assert isinstance(measured, verydeep.EvaluationResult)
    low, high = wilson_interval(
        round(metrics["top1_error"] * metrics["images"] / 100), metrics["images"]
    )
    return {
        "error": measured.top1_error,
        "seconds": metrics["training_seconds"],
        "reported_error": metrics["top1_error"],
        "reported_on": metrics["images"],
        "reported_interval": [low, high],
        "selected_on": metrics["selected_on"],
    }


def main() -> None:
    """Run both for every seed, and write what came out."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("pool", type=Path)
    parser.add_argument("--classes", nargs="+", required=True)
    parser.add_argument("--pictures", type=int, default=60, help="of each class")
    parser.add_argument("--seeds", type=int, default=4)
    parser.add_argument("--out", type=Path, required=True)
    given = parser.parse_args()
    rows = []
    for seed in range(given.seeds):
        with tempfile.TemporaryDirectory() as folder:
            data, held = Path(folder) / "small", Path(folder) / "held"
            draw(given.pool, given.classes, given.pictures, seed, data)
            for name in given.classes:
                shutil.copytree(given.pool / "val" / name, held / name)
            found = ours(data, held, Path(folder) / "run", seed)
            error, seconds = resnet18(data, held, given.classes, seed)
        rows.append(
            {"seed": seed, "verydeep": found, "resnet18": {"error": error, "seconds": seconds}}
        )
        print(rows[-1], flush=True)
        write_json(given.out, summary(given, rows))


def summary(given: argparse.Namespace, rows: list[dict[str, Any]]) -> dict[str, Any]:
    """Return all that a reader needs to judge the figures."""

    def of(who: str, key: str) -> dict[str, float]:
        values = [row[who][key] for row in rows]
        spread = statistics.stdev(values) if len(values) > 1 else 0.0
        return {"mean": statistics.mean(values), "std": spread}

    return {
        "environment": describe_environment(choose_machine("cpu", "fp32")),
        "classes": given.classes,
        "pictures_a_class": given.pictures,
        "script": {"net": "resnet18", "epochs": EPOCHS, "batch": BATCH, "adam": RATE, "size": SIZE},
        **{
            who: {key: of(who, key) for key in ("error", "seconds")}
            for who in ("verydeep", "resnet18")
        },
        "reported_error": of("verydeep", "reported_error"),
        "runs": rows,
    }


if __name__ == "__main__":
    main()
