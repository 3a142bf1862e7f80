"""Files and messages of whole runs."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from tiny import strict_json

from verydeep.system.progress import Progress

QUICK = ("training.epochs=1", "training.precision=fp32")


class Said(Progress):
    """Remembers what is said."""

    def __init__(self) -> None:
        self.lines: list[str] = []

    def log(self, message: str) -> None:
        self.lines.append(message)

    @contextmanager
    def task(self, title: str, total: int) -> Iterator[Any]:
        with super().task(title, total) as silent:
            yield silent


def weights(run: Path) -> bytes:
    return (run / "model" / "model.safetensors").read_bytes()


def metrics(run: Path) -> Any:
    return strict_json((run / "metrics.json").read_text("utf-8"))


def log(run: Path) -> list[dict[str, Any]]:
    return [strict_json(line) for line in (run / "log.jsonl").read_text("utf-8").splitlines()]
