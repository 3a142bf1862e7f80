"""What came after 1989, step by step: the net of LeCun et al. on its 7,291 and 2,007 digits.

    python benchmarks/lecun1989.py --seeds 3 --out docs/results/lecun1989.json

Every row adds one change to the recipe ``lecun1989`` and keeps those above it. Its settings are
those of ``verydeep train digits-1989 --recipe lecun1989 --set …``. ``--only`` takes single rows;
those that FILE has already stay. Nets, augmentation, losses and
optimisers are the package's; the loop here only leaves out checkpoints, validation and logs, which
would take most of the time where an update is one image. No setting was chosen on the
test images: the rates of the first row, of softmax and of AdamW were the best on split val of two
(after two passes), four (after two) and three (after five) with one seed.
"""

from __future__ import annotations

import argparse
import json
import statistics
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import Tensor

import verydeep
from verydeep.data.images.decode import decode
from verydeep.data.pipeline.augment import Augmentation, cut_batch, draw_crop, sample_generator
from verydeep.data.pipeline.micro_batch import MicroBatch
from verydeep.models.preprocessing import Preprocessing
from verydeep.nets.initialize import initialize
from verydeep.nets.interface import Net
from verydeep.nets.registry import build
from verydeep.recipe.recipe import Recipe, load_recipe
from verydeep.run.training.net_and_optimizer import make_optimizer
from verydeep.system.device import choose_machine, describe_environment
from verydeep.system.files import write_json
from verydeep.training.objective import Classification, SquaredError

STEPS: tuple[tuple[str, dict[str, Any]], ...] = (
    ("as published", {}),
    (
        "softmax",
        {
            "net.output": "linear",
            "training.loss": "cross-entropy",
            "training.learning_rate": 0.01,
        },
    ),
    (
        "AdamW, batches of 32",
        {
            "training.optimizer": "adamw",
            "training.batch": 32,
            "training.learning_rate": 3e-3,
            "training.momentum": 0.9,
            "training.weight_decay": 0.01,
        },
    ),
    ("ReLU", {"net.activation": "relu", "initialize.scheme": "he"}),
    ("dropout", {"net.dropout": 0.25}),
    ("augmentation", {"data.train_scale": [16, 18], "data.crop": "random"}),
)
"""Name of a change, and its settings."""

DIGITS, SIDE = 10, 16
AT_ONCE = 1024


def main() -> None:
    """Train every row with every seed, and write the errors."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--seeds", type=int, default=3)
    parser.add_argument("--epochs", type=int, default=23)
    parser.add_argument("--out", type=Path, default=Path("docs/results/lecun1989.json"))
    parser.add_argument("--only", action="append", default=[], help="name of a row")
    parser.add_argument("--rate", type=float, help="learning rate instead of the recipe's")
    given = parser.parse_args()
    torch.set_num_threads(1)
    # oneDNN's set-up takes longer than so small a convolution.
    torch.backends.mkldnn.set_flags(False)  # type: ignore[no-untyped-call]
    images = {split: load(split) for split in ("train", "val", "test")}
    settings: dict[str, Any] = {"training.epochs": given.epochs}
    for name, changes in STEPS:
        settings |= changes
        if given.only and name not in given.only:
            continue
        rate = {"training.learning_rate": given.rate} if given.rate else {}
        recipe = load_recipe("lecun1989", {**settings, **rate})
        runs = [train(recipe, images, seed) for seed in range(given.seeds)]
        about = {"step": name, "passes": given.epochs, "changes": {**changes, **rate}}
        row = {**about, **summary(runs), "runs": runs}
        print(name, summary(runs), flush=True)
        write(given.out, row, {split: len(labels) for split, (_, labels) in images.items()})


def write(out: Path, row: dict[str, Any], counts: dict[str, int]) -> None:
    """Write a row; those of other steps that the file has already stay."""
    kept = json.loads(out.read_text())["rows"] if out.exists() else []
    rows = {one["step"]: one for one in (*kept, row)}
    ordered = [rows[name] for name, _ in STEPS if name in rows]
    environment = describe_environment(choose_machine("cpu", "fp32"))
    write_json(out, {"environment": environment, "images": counts, "rows": ordered})


def summary(runs: list[dict[str, Any]]) -> dict[str, float]:
    """Return mean errors over the seeds, and the deviation of the test error, in percent."""
    errors = [run["test_error"] for run in runs]
    return {
        "train_error": statistics.mean(run["train_error"] for run in runs),
        "val_error": statistics.mean(run["val_error"] for run in runs),
        "test_error": statistics.mean(errors),
        "test_std": statistics.stdev(errors) if len(errors) > 1 else 0.0,
    }


def load(split: str) -> tuple[Tensor, Tensor]:
    """Return all images of a split, uint8 (N, 3, 16, 16), and their labels, int64 (N,)."""
    samples = verydeep.read_dataset("digits-1989").split(split)
    pixels = np.stack([np.asarray(decode(path)) for path in samples.paths])
    labels = torch.tensor(samples.labels, dtype=torch.int64)
    return torch.from_numpy(pixels).permute(0, 3, 1, 2).contiguous(), labels


def train(recipe: Recipe, images: dict[str, tuple[Tensor, Tensor]], seed: int) -> dict[str, Any]:
    """Train one net, and return its errors in percent."""
    started = time.monotonic()
    torch.manual_seed(seed)
    net = build(num_classes=DIGITS, **recipe.net.settings)
    initialize(net, recipe.initialize.scheme)
    optimizer = make_optimizer(net, recipe)
    squared = recipe.training.loss == "squared-error"
    objective = (SquaredError if squared else Classification)(DIGITS)
    prepare = Preprocessing((recipe.data.mean or 0.0,) * 3, recipe.data.divisor, net.channels)
    net.train()
    for epoch in range(recipe.training.epochs):
        for batch in batches(recipe, prepare, *images["train"], seed, epoch):
            optimizer.zero_grad(set_to_none=True)
            objective.losses(net(batch.pictures), batch).mean().backward()  # type: ignore[no-untyped-call]
            optimizer.step()
    net.eval()
    errors = {f"{split}_error": error(net, prepare, *images[split]) for split in images}
    return {"seed": seed, **errors, "seconds": round(time.monotonic() - started, 1)}


def batches(
    recipe: Recipe,
    prepare: Preprocessing,
    pixels: Tensor,
    labels: Tensor,
    seed: int,
    epoch: int,
) -> Iterator[MicroBatch]:
    """Yield the batches of an epoch, in random order, augmented and preprocessed."""
    data = recipe.data
    augmentation = Augmentation(
        recipe.net.input_size, data.train_scale, data.crop == "random", data.flip, None
    )
    order = np.random.default_rng([seed, epoch]).permutation(len(labels))
    nothing = torch.zeros(1, 3)
    for begin in range(0, len(order), AT_ONCE):
        some = order[begin : begin + AT_ONCE]
        crops = [
            draw_crop(augmentation, SIDE, SIDE, sample_generator(seed, epoch, index))
            for index in some.tolist()
        ]
        cut = cut_batch(pixels[some], torch.full((len(some), 2), SIDE), crops)
        size = recipe.training.batch
        parts = zip(torch.split(prepare(cut), size), torch.split(labels[some], size), strict=True)
        for images, classes in parts:
            yield MicroBatch(images, classes, nothing, 0, len(classes), last=True)


@torch.inference_mode()
def error(net: Net, prepare: Preprocessing, pixels: Tensor, labels: Tensor) -> float:
    """Return the share of images whose class is wrong, in percent."""
    wrong = net(prepare(pixels)).argmax(1) != labels
    return 100 * float(wrong.float().mean())


if __name__ == "__main__":
    main()
