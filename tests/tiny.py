"""What many tests need: tiny folders of images, a tiny recipe, the program as a function."""

from __future__ import annotations

import contextlib
import json
import multiprocessing
import shutil
import sys
from collections.abc import Callable, Sequence
from multiprocessing.process import BaseProcess
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
import pytest
import torch
from PIL import Image

from verydeep.data.dataset import Dataset
from verydeep.recipe.recipe import Recipe, load_recipe

COLOURS = {"blue": (40, 60, 200), "green": (40, 180, 60), "red": (200, 50, 40)}
SIZES = ((40, 48), (48, 40), (44, 44), (60, 41))

SETTINGS = (
    "net.name=A",
    "net.input_size=32",
    "net.width=0.125",
    "net.hidden=64",
    "data.train_scale=[32, 40]",
    "training.batch=8",
    "training.micro_batch=4",
    "training.learning_rate=0.02",
    "training.epochs=3",
    "training.device=cpu",
)
"""A net of 146 K weights that takes images from 32 pixels on; dropout 0.5 as in the paper."""


def recipe(*settings: str) -> Recipe:
    """Return the tiny recipe, with other settings given as for ``--set``."""
    return load_recipe("paper", [*SETTINGS, *settings])


def flags(*settings: str) -> list[str]:
    """Return the tiny recipe as arguments of ``verydeep train``."""
    chosen = [part for setting in (*SETTINGS, *settings) for part in ("--set", setting)]
    return ["--recipe", "paper", *chosen]


def find_chromium() -> str:
    """Return the path of a Chromium or Chrome, or skip the test."""
    found = filter(None, map(shutil.which, ("chromium", "chromium-browser", "google-chrome")))
    return next(found, None) or pytest.skip("there is no Chromium")


def write_class_folders(root: Path, count: int = 12, seed: int = 0, names: Any = COLOURS) -> Path:
    """Write noisy images of a few sizes, whose colour tells their class."""
    generator = np.random.default_rng(seed)
    for name in names:
        (root / name).mkdir(parents=True)
        for number in range(count):
            height, width = SIZES[number % len(SIZES)]
            noise = generator.normal(0, 40, (height, width, 3))
            pixels = np.clip(np.array(COLOURS[name]) + noise, 0, 255).astype(np.uint8)
            Image.fromarray(pixels).save(root / name / f"{number:02}.png")
    return root


def write_splits(root: Path, train: int = 8, val: int = 4, test: int = 4) -> Path:
    """Write one folder per class in each split."""
    for seed, (split, count) in enumerate({"train": train, "val": val, "test": test}.items()):
        if count:
            write_class_folders(root / split, count, seed)
    return root


def plant(root: Path, *names: str) -> Path:
    """Make empty files, and folders where a name ends in a stroke."""
    for name in names:
        path = root / name
        if name.endswith("/"):
            path.mkdir(parents=True, exist_ok=True)
        else:
            path.parent.mkdir(parents=True, exist_ok=True)
            path.touch()
    return root


def listed(dataset: Dataset, split: str) -> list[tuple[str, str]]:
    """The name of every image of a split and the name of its class."""
    return [
        (sample.path.relative_to(dataset.root).as_posix(), dataset.classes[sample.label])
        for sample in dataset.split(split)
    ]


def counts(dataset: Dataset) -> dict[str, tuple[int, ...]]:
    return {split: dataset.count(split) for split in dataset.splits}


def strict_json(text: str) -> Any:
    """Read JSON as the standard has it, which knows no NaN."""

    def refuse(constant: str) -> None:
        raise ValueError(f"{constant} is not JSON")

    return json.loads(text, parse_constant=refuse)


class Outcome(NamedTuple):
    """How the program ended and what it printed."""

    code: int
    out: str
    err: str


def run_program(arguments: Sequence[str]) -> int:
    """Run the program in this process and return its exit code."""
    from verydeep.cli.app import main

    before, sys.argv = sys.argv, ["verydeep", *arguments]
    try:
        main()
    except SystemExit as end:
        return int(end.code or 0)
    finally:
        sys.argv = before
    return 0


def apart(target: Callable[..., object], *arguments: object) -> BaseProcess:
    """Start a process of its own, from a fork server that has the slow imports behind it."""
    context = multiprocessing.get_context("forkserver")
    context.set_forkserver_preload(
        [
            "verydeep.cli.app",
            "verydeep.run.training.train",
            "torch._dynamo",
        ]  # which optimisers import
    )
    process = context.Process(target=_by_itself, args=(target, *arguments))
    process.start()
    return process


def _by_itself(target: Callable[..., object], *arguments: object) -> None:
    """Call a function in a process of a fork server as in one that was started by hand.

    Such a process would start its own ones by another fork server, which has nothing imported.
    """
    multiprocessing.set_start_method(None, force=True)
    target(*arguments)


def be_the_program(arguments: Sequence[str], errors: Path) -> None:
    """Be a process that runs the program; stderr goes to a file."""
    torch.set_num_threads(1)
    with errors.open("w") as file, contextlib.redirect_stderr(file):
        sys.exit(run_program(arguments))


def write_boxed(root: Path, count: int = 24, without_box: int = 0, seed: int = 0) -> Path:
    """Write grey noise with a square of the class's colour, and a table with its box.

    Returns:
        The table; the first ``without_box`` images of the training split have no box in it.
    """
    generator = np.random.default_rng(seed)
    root.mkdir(parents=True, exist_ok=True)
    rows = ["file,label,split,x0,y0,x1,y1"]
    for split, share in {"train": 1.0, "val": 0.5, "test": 0.5}.items():
        for number in range(int(count * share)):
            name = [*COLOURS][number % len(COLOURS)]
            height, width = SIZES[number % len(SIZES)]
            pixels = generator.normal(128, 20, (height, width, 3)).clip(0, 255).astype(np.uint8)
            side = int(generator.integers(14, 24))
            x, y = (int(generator.integers(0, size - side)) for size in (width, height))
            pixels[y : y + side, x : x + side] = COLOURS[name]
            file = f"{split}{number:03}.png"
            Image.fromarray(pixels).save(root / file)
            box = f"{x},{y},{x + side},{y + side}"
            known = split != "train" or number >= without_box
            rows.append(f"{file},{name},{split},{box if known else ',,,'}")
    (root / "boxes.csv").write_text("\n".join(rows) + "\n", "utf-8")
    return root / "boxes.csv"
