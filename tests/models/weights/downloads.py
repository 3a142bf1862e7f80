"""What tests of downloads share: a file, its published entry, and a listening progress."""

from __future__ import annotations

import dataclasses
import hashlib
from pathlib import Path
from typing import Any

from file_server import Behaviour
from progresses import Listening

from verydeep.models.weights import download
from verydeep.models.weights.caches import own_file
from verydeep.models.weights.published import Published, find_published
from verydeep.system.progress import Progress

CONTENT = bytes(range(256)) * 9000 + b"the end"  # several chunks
SHA256 = hashlib.sha256(CONTENT).hexdigest()


class Log(Listening):
    """Keeps lines and tasks."""

    def __init__(self) -> None:
        super().__init__()
        self.tasks: list[tuple[str, int]] = []

    def task(self, title: str, total: int) -> Any:
        self.tasks.append((title, total))
        return super().task(title, total)


def weights(server: Behaviour, **changes: Any) -> Published:
    values = {
        "name": "onnx/vgg16",
        "url": f"{server.url}/a/net.onnx",
        "mirrors": (),
        "algorithm": "sha256",
        "digest": SHA256,
        "size": len(CONTENT),
        "size_about": len(CONTENT),
    }
    return dataclasses.replace(find_published("onnx/vgg16"), **{**values, **changes})


def fetch(one: Published, progress: Progress | None = None) -> Path:
    """Return the file of published weights."""
    return download.fetch(one, progress).path


def files(folder: Path) -> set[str]:
    return {path.name for path in folder.iterdir()} if folder.exists() else set()


def part_of(one: Published) -> Path:
    """Return the partial file of a download."""
    return own_file(one).with_name(f"{own_file(one).name}.part")


def put(path: Path, content: bytes = CONTENT) -> Path:
    """Write a file into a folder that need not exist."""
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_bytes(content)
    return path
