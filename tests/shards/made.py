"""Small shards for tests, of images identified by their pixels."""

from __future__ import annotations

import io
import tarfile
from collections.abc import Iterable, Sequence
from pathlib import Path

import numpy as np
from PIL import Image

from verydeep.data.shards.stream import ShardStream

Parts = Iterable[tuple[str, bytes]]


def png(number: int, side: int = 8) -> bytes:
    """Return an image of one colour, which holds a number below 2^16."""
    pixels = np.full((side, side, 3), (number // 256, number % 256, 0), np.uint8)
    buffer = io.BytesIO()
    Image.fromarray(pixels).save(buffer, "PNG")
    return buffer.getvalue()


def number_of(pixels: np.ndarray) -> int:
    """Return the number that a crop (3, h, w) of such an image holds."""
    return int(pixels[0, 0, 0]) * 256 + int(pixels[1, 0, 0])


def write_tar(path: Path, parts: Parts, form: int = tarfile.PAX_FORMAT) -> Path:
    """Write files into an archive."""
    with tarfile.open(path, "w", format=form) as archive:
        for name, data in parts:
            info = tarfile.TarInfo(name)
            info.size = len(data)
            archive.addfile(info, io.BytesIO(data))
    return path


def samples(numbers: Iterable[int], classes: int = 3) -> list[tuple[str, bytes]]:
    """Return the parts of samples with these numbers."""
    parts = []
    for number in numbers:
        parts += [
            (f"{number:05}.png", png(number)),
            (f"{number:05}.cls", b"%d" % (number % classes)),
        ]
    return parts


def write_stream(folder: Path, lengths: Sequence[int], classes: int = 3) -> ShardStream:
    """Write shards of these lengths, with samples numbered throughout, and return them."""
    folder.mkdir(parents=True, exist_ok=True)
    first, names = 0, []
    for shard, length in enumerate(lengths):
        names.append(f"train-{shard:03}.tar")
        write_tar(folder / names[-1], samples(range(first, first + length), classes))
        first += length
    counts = np.bincount(np.arange(first) % classes, minlength=classes)
    return ShardStream(
        tuple(str(folder / name) for name in names),
        tuple(names),
        tuple(lengths),
        {str(label): label for label in range(classes)},
        tuple(counts.tolist()),
    )
