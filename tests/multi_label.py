"""Multi-label data for tests: stripes of colours on noise, and a run that was trained on them."""

from __future__ import annotations

import itertools
from pathlib import Path

import numpy as np
from PIL import Image
from tiny import COLOURS

SETS = [some for size in range(4) for some in itertools.combinations([*COLOURS], size)]
"""All subsets of the colours, the empty one first."""


def write_stripes(root: Path, train: int = 24, val: int = 16, test: int = 16) -> Path:
    """Write images with a horizontal stripe of each colour of a set, and a table of their labels.

    Returns:
        The table; the sets come in turn in each split.
    """
    generator = np.random.default_rng(0)
    root.mkdir(parents=True)
    rows = ["file,labels,split"]
    for split, count in {"train": train, "val": val, "test": test}.items():
        for number in range(count):
            names = SETS[number % len(SETS)]
            pixels = generator.normal(128, 20, (44, 44, 3))
            for place, name in enumerate(names):
                pixels[14 * place + 1 : 14 * place + 13] = COLOURS[name]
            file = f"{split}{number:02}.png"
            Image.fromarray(pixels.clip(0, 255).astype(np.uint8)).save(root / file)
            rows.append(f"{file},{';'.join(names)},{split}")
    (root / "labels.csv").write_text("\n".join(rows) + "\n", "utf-8")
    return root / "labels.csv"
