"""Summaries of the runs in a folder, read from their small files without torch."""

from __future__ import annotations

import json
import time
from collections.abc import Iterator
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any, Literal

from verydeep.errors import ModelError
from verydeep.system.yaml import parse_yaml

State = Literal["finished", "unfinished", "broken"]

DEPTH = 3
"""Search depth in levels of subfolders."""


NAMES = {"top-1": "top1", "localization": "localization", "mAP": "map"}
"""Beginning of the keys of an error in metrics and logs, by kind of error."""


@dataclass(frozen=True)
class RunSummary:
    """Summary of a run.

    Attributes:
        run: Folder of the run.
        state: ``finished``, ``unfinished`` (can be resumed) or ``broken``.
        net: Column of Table 1; None if unknown.
        data: Training data set.
        epochs: Finished epochs.
        error: Top-1 error of the final test, in percent; for a box regressor, its localization
            error; for a multi-label classifier, 100 − mean average precision. For an unfinished
            run, the best validation error.
        interval: 95 % interval of the final test's error.
        measure: Kind of error: ``top-1``, ``localization`` or ``mAP``.
        split: Split on which the error was measured.
        images: Number of images in this measurement.
        date: Last change, ISO 8601, local time.
        fault: Reason why a run is broken.
    """

    run: str
    state: State
    net: str | None = None
    data: str | None = None
    epochs: int = 0
    error: float | None = None
    interval: tuple[float, float] | None = None
    measure: str = "top-1"
    split: str | None = None
    images: int | None = None
    date: str = ""
    fault: str | None = None

    def to_dict(self) -> dict[str, Any]:
        """Return plain values."""
        return asdict(self)


def list_runs(folder: Path) -> list[RunSummary]:
    """Return the runs in a folder and below, best first, unfinished and broken ones last.

    Raises:
        ModelError: The folder does not exist.
    """
    if not folder.is_dir():
        raise ModelError(f"{folder}: no such folder; give a folder that contains runs")
    order: tuple[State, ...] = ("finished", "unfinished", "broken")
    return sorted(
        (summarize(run) for run in find_runs(folder)),
        key=lambda one: (
            order.index(one.state),
            one.measure,
            one.error is None,
            one.error or 0.0,
            one.run,
        ),
    )


def find_runs(folder: Path, depth: int = DEPTH) -> Iterator[Path]:
    """Yield the run folders in a folder and below, including the folder itself."""
    if (folder / "recipe.yaml").is_file() or (folder / "metrics.json").is_file():
        yield folder
    if not depth:
        return
    try:
        inside = sorted(path for path in folder.iterdir() if path.is_dir())
    except OSError:
        return
    for path in inside:
        skipped = path.name in ("model", "checkpoints") or path.name.startswith(".")
        if not skipped and not path.is_symlink():
            yield from find_runs(path, depth - 1)


def summarize(run: Path) -> RunSummary:
    """Return the summary of a run, with a fault if it is broken."""
    date = time.strftime("%Y-%m-%dT%H:%M:%S", time.localtime(_changed(run)))
    try:
        recipe = parse_yaml((run / "recipe.yaml").read_text("utf-8"))
        return _read(run, dict(recipe), date)
    except Exception as error:  # files of other people's runs may contain anything
        fault = f"{type(error).__name__}: {error}".splitlines()[0]
        return RunSummary(str(run), "broken", date=date, fault=fault)


def _read(run: Path, recipe: dict[str, Any], date: str) -> RunSummary:
    data = run / "data.json"
    common: dict[str, Any] = {
        "run": str(run),
        "net": str(recipe["net"]["name"]),
        "data": str(_json(data)["data"]) if data.is_file() else None,
        "date": date,
        "measure": _measure(recipe),
    }
    metrics = run / "metrics.json"
    if metrics.is_file():
        return _finished(_json(metrics), common)
    rows = _rows(run / "log.jsonl")
    key = f"val_{NAMES[common['measure']]}_error"
    errors = [float(row[key]) for row in rows if key in row]
    best = min(errors, default=None)
    return RunSummary(**common, state="unfinished", epochs=len(rows), error=best, split="val")


def _measure(recipe: dict[str, Any]) -> str:
    if recipe.get("localization"):
        return "localization"
    return "mAP" if recipe.get("data", {}).get("task") == "multi-label" else "top-1"


def _finished(metrics: dict[str, Any], common: dict[str, Any]) -> RunSummary:
    if common["measure"] == "mAP":
        metrics = {**metrics, **_as_error(metrics)}
    name = NAMES[common["measure"]]
    low, high = metrics[f"{name}_interval"]
    return RunSummary(
        **common,
        state="finished",
        epochs=int(metrics["epochs"]),
        error=float(metrics[f"{name}_error"]),
        interval=(float(low), float(high)),
        split=str(metrics["split"]),
        images=int(metrics["images"]),
    )


def _as_error(metrics: dict[str, Any]) -> dict[str, Any]:
    """Return the mean average precision as an error, which is better if it is lower."""
    low, high = metrics["mean_average_precision_interval"]
    if low is None:
        return {"map_error": 100.0, "map_interval": (0.0, 100.0)}
    error = 100 - metrics["mean_average_precision"]
    return {"map_error": error, "map_interval": (100 - high, 100 - low)}


def _json(path: Path) -> dict[str, Any]:
    try:
        return dict(json.loads(path.read_text("utf-8")))
    except ValueError as error:
        raise ValueError(f"{path.name} is damaged") from error


def _rows(path: Path) -> list[dict[str, Any]]:
    """Return the epochs of a log, whose last line may be truncated."""
    rows = []
    for line in path.read_text("utf-8").splitlines() if path.is_file() else ():
        try:
            rows.append(dict(json.loads(line)))
        except ValueError:
            break
    return rows


def _changed(run: Path) -> float:
    """Return the time of the run's last change."""
    files = [run / name for name in ("metrics.json", "log.jsonl", "recipe.yaml")]
    return max((path.stat().st_mtime for path in files if path.exists()), default=0.0)
