"""Files and messages of whole runs."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from tiny import strict_json

QUICK = ("training.epochs=1", "training.precision=fp32")


def weights(run: Path) -> bytes:
    return (run / "model" / "model.safetensors").read_bytes()


def metrics(run: Path) -> Any:
    return strict_json((run / "metrics.json").read_text("utf-8"))


def log(run: Path) -> list[dict[str, Any]]:
    return [strict_json(line) for line in (run / "log.jsonl").read_text("utf-8").splitlines()]
