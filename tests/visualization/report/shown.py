"""Synthetic runs with predictions and images for report tests."""

from __future__ import annotations

import json
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
import torch
from PIL import Image

from verydeep.data.geometry import Box
from verydeep.evaluation.predictions_log import Record
from verydeep.evaluation.result import Answers, make_result
from verydeep.localization.detect import Guess, Located
from verydeep.localization.predictions_log import located_rows
from verydeep.localization.protocol import BoxProtocol
from verydeep.localization.result import LocatedSample, make_localization_result

ENDING = {
    "epochs": 4,
    "best_epoch": 3,
    "drops": 2,
    "stopped_because": "no improvement for 5 epochs after 2 drops",
    "training_seconds": 90.0,
    "unreadable_in_training": [],
    "selected_on": "val",
}


class Described:
    """Stub of a net for results."""

    name = "A"
    input_size = 32
    calibration = None
    abstention = None
    familiarity = None
    train_scale = (32, 32)
    dimensions = 2

    def __getattr__(self, name: str) -> Any:
        return None


def write_json(path: Path, value: Any) -> None:
    path.write_text(json.dumps(value), "utf-8")


def write_lines(path: Path, rows: Any) -> None:
    path.write_text("".join(json.dumps(row) + "\n" for row in rows), "utf-8")


def begin_run(folder: Path, data: Path, classes: Sequence[str], error: str = "top1_error") -> Path:
    """Write a run without its tests."""
    folder.mkdir(parents=True)
    (folder / "recipe.yaml").write_text("training:\n  seed: 17\n", "utf-8")
    environment = {
        "processor": "a <b>processor</b>",
        "amx": False,
        "versions": {"verydeep": "0.1.0"},
        "command": ["/opt/bin/verydeep", "train", "https://me:secret@example.org/x.tar?token=1"],
    }
    write_json(folder / "environment.json", environment)
    record = {
        "data": str(data),
        "root": str(data),
        "layout": "one folder per class",
        "classes": list(classes),
        "titles": {},
        "counts": {"train": 10, "test": 10},
        "fingerprint": "f00d",
        "colours": {"mean": [1.25, 2.5, 3.75]},
        "unreadable": [],
        "drawn": None,
    }
    write_json(folder / "data.json", record)
    rows = [
        {
            "epoch": epoch,
            "learning_rate": 0.01 / 10**drops,
            "train_loss": 2.0 / epoch,
            f"train_{error}": 50.0 / epoch,
            "val_loss": 2.0 / epoch + (epoch == 4),
            f"val_{error}": 60.0 / epoch,
            "drops": drops,
            "images_per_second": 100.0,
            "seconds": 20.0,
        }
        for epoch, drops in ((1, 0), (2, 1), (3, 1), (4, 2))
    ]
    write_lines(folder / "log.jsonl", rows)
    return folder


def save_picture(path: Path, seed: int, size: tuple[int, int] = (60, 40)) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    pixels = np.random.default_rng(seed).integers(0, 256, (size[1], size[0], 3), np.uint8)
    Image.fromarray(pixels).save(path)


def random_answers(
    images: int, classes: Sequence[str], names: Sequence[str] | None = None, seed: int = 0
) -> Answers:
    generator = torch.Generator().manual_seed(seed)
    labels = torch.arange(images) % len(classes)
    scores = torch.randn(images, len(classes), generator=generator)
    scores[torch.arange(images), labels] += 2.0
    names = names or [f"test/p{number:05}.png" for number in range(images)]
    return Answers(tuple(names), labels.numpy(), scores.softmax(1).numpy(), tuple(classes))


def classified(folder: Path, data: Path, answers: Answers) -> Path:
    """Write a finished run of a classifier."""
    from verydeep.evaluation.protocol import TestProtocol

    begin_run(folder, data, answers.classes)
    protocol = TestProtocol("center", (32,), flip=False)
    result = make_result(
        [Described()], [protocol], answers, unreadable=(), split="test", seconds=1.5
    ).to_dict()
    write_json(folder / "metrics.json", {**result, **ENDING, "tests": [result]})
    write_lines(folder / "answers.jsonl", Record.of(answers).rows())
    return folder


def random_boxes(
    images: int, seed: int = 0, size: tuple[int, int] = (40, 60)
) -> list[LocatedSample]:
    """Return boxes of all qualities; every tenth image has none."""
    generator = np.random.default_rng(seed)
    located = []
    for number in range(images):
        x, y = generator.uniform(0, 20, 2)
        true = Box(x, y, x + 18, y + 15)
        dx, dy = generator.normal(0, 6, 2)
        found = None if number % 10 == 9 else Box(x + dx, y + dy, x + dx + 18, y + dy + 15)
        guess = Guess(number % 3, None, found, 0.0)
        name = f"test/p{number:05}.png"
        located.append(LocatedSample(name, number % 3, (true,), Located(size, (), guess)))
    return located


def boxed(folder: Path, data: Path, answers: Sequence[LocatedSample]) -> Path:
    """Write a finished run of a box regressor."""
    classes = ("cat", "dog", "owl")
    begin_run(folder, data, classes, "localization_error")
    result = make_localization_result(
        answers,
        BoxProtocol("center", (32,), flip=True),
        fitted={"mean_box": torch.tensor([0.5, 0.5, 0.4, 0.4], dtype=torch.float64)},
        unreadable=(),
        without_box=0,
        split="test",
        models=(),
        nets=("A",),
        seconds=1.0,
    ).to_dict()
    write_json(folder / "metrics.json", {**result, **ENDING, "tests": [result]})
    write_lines(folder / "answers.jsonl", located_rows(answers, classes))
    return folder
