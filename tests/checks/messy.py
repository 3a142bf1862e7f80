"""Images for tests of the checks: different smooth scenes, and copies of them."""

from __future__ import annotations

import hashlib
from pathlib import Path

import numpy as np
from PIL import Image

from verydeep.checks.facts_table import ImageFacts
from verydeep.checks.file_facts import examine
from verydeep.data.samples import Sample, Samples


def scene(seed: int, width: int = 120, height: int = 90) -> Image.Image:
    """Return a colourful image with structure at many scales, like a photograph's."""
    generator = np.random.default_rng(seed)
    total = np.zeros((height, width, 3))
    for cells in (2, 4, 8, 16):
        coarse = generator.integers(0, 256, (cells, cells, 3), dtype=np.uint8)
        layer = Image.fromarray(coarse).resize((width, height), Image.Resampling.BICUBIC)
        total += np.asarray(layer, dtype=np.float64) / cells
    return Image.fromarray(np.clip(total * 0.55, 0, 255).astype(np.uint8))


def save(picture: Image.Image, path: Path, **how: object) -> Path:
    """Save an image, and make the folders it stands in."""
    path.parent.mkdir(parents=True, exist_ok=True)
    picture.save(path, **how)
    return path


def clean_splits(root: Path, train: int = 12, val: int = 3) -> Path:
    """Write a data set of two classes with which nothing is wrong."""
    seed = 0
    for split, count in (("train", train), ("val", val)):
        for name in ("cat", "dog"):
            for number in range(count):
                seed += 1
                save(scene(seed), root / split / name / f"{number:02}.jpg", quality=92)
    return root


def seen(path: Path, split: str = "train", label: int = 0, *, colours: bool = True) -> ImageFacts:
    """Return a file with its facts."""
    facts, _ = examine(path, colours)
    return ImageFacts(Samples.of([Sample(path, label)]), 0, path.parent, split, label, facts)


def state(root: Path) -> dict[str, tuple[str, int, int]]:
    """Return content, time and mode of everything in a folder."""
    return {
        str(path.relative_to(root)): (
            hashlib.sha256(path.read_bytes()).hexdigest() if path.is_file() else "",
            path.stat().st_mtime_ns,
            path.stat().st_mode,
        )
        for path in sorted(root.rglob("*"))
    }
