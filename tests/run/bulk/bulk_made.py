"""A small model, many small images, and the rows of a finished job."""

from __future__ import annotations

import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import numpy as np
from leftovers import descendants
from PIL import Image
from random_nets import random_classifier

FAULTS = {"broken.png": b"\x89PNG\r\n\x1a\nand no more", "empty.jpg": b"", "text.jpg": b"no image"}
"""Files that cannot be read."""


def write_model(folder: Path) -> Path:
    """Write a narrow net with random weights."""
    random_classifier(name="A").save(folder)
    return folder


def write_photos(folder: Path, count: int, seed: int = 0) -> Path:
    """Write noisy images of several sizes, and among them the files that cannot be read."""
    generator = np.random.default_rng(seed)
    folder.mkdir(parents=True)
    for number in range(count):
        height, width = 34 + number % 3, 33 + number % 5
        pixels = generator.integers(0, 256, (height, width, 3), np.uint8)
        Image.fromarray(pixels).save(folder / f"{number:05}.png")
    for name, data in FAULTS.items():
        (folder / name).write_bytes(data)
    return folder


def rows_of(out: Path) -> list[dict[str, Any]]:
    """Return the rows of all parts, in the order of the files."""
    from pyarrow import parquet

    files = sorted((out / "parts").iterdir())
    return [row for file in files for row in parquet.read_table(file).to_pylist()]


def start_program(*words: object) -> subprocess.Popen[str]:
    """Start the program in a process of its own."""
    command = [sys.executable, "-m", "verydeep", *map(str, words)]
    return subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True)


def until(true: Callable[[], object], seconds: float = 60.0) -> None:
    """Wait until something is true."""
    deadline = time.monotonic() + seconds
    while not true():
        assert time.monotonic() < deadline, "it took too long"
        time.sleep(0.01)


def actors() -> Iterator[int]:
    """Yield the process ids of Ray's actors below this process."""
    for pid, words in descendants().items():
        if words.startswith("ray::Actor"):
            yield pid
