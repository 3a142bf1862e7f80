"""``report.html`` of a run: one file that opens from disk, with nothing to load."""

from __future__ import annotations

import json
from importlib import resources
from pathlib import Path
from typing import Any

from jinja2 import Environment, StrictUndefined

from verydeep.errors import ModelError
from verydeep.evaluation.titles import TITLES, error_of
from verydeep.files import write_text
from verydeep.insight.curves import learning_curves


def write_report(run: str | Path) -> Path:
    """Write the report of a run from the files in its folder.

    Args:
        run: The run folder; after its first epoch at the earliest.

    Returns:
        The path of ``report.html``.

    Raises:
        ModelError: It is no run folder, or no epoch has ended yet.
    """
    folder = Path(run).expanduser()
    if not (folder / "recipe.yaml").is_file():
        raise ModelError(f"{folder}: not a run folder")
    history = [_json(folder / "log.jsonl", x) for x in _text(folder / "log.jsonl").splitlines()]
    if not history:
        raise ModelError(f"{folder}: no epoch has ended yet, so there is nothing to report")
    metrics = _json(folder / "metrics.json", _text(folder / "metrics.json") or "{}")
    data = _json(folder / "data.json", _text(folder / "data.json"))
    error = error_of(history[0], "val_")
    page = _template().render(
        title=folder.name,
        recipe=_text(folder / "recipe.yaml"),
        environment=_json(folder / "environment.json", _text(folder / "environment.json")),
        data=data,
        history=history,
        metrics=metrics,
        tests=metrics.get("tests", []),
        best=_best(history, metrics),
        error=error,
        error_title=TITLES[error],
        curves=learning_curves(history),
    )
    write_text(folder / "report.html", page)
    return folder / "report.html"


def _template() -> Any:
    text = (resources.files("verydeep.insight") / "report.html").read_text("utf-8")
    environment = Environment(autoescape=True, undefined=StrictUndefined, trim_blocks=True)
    return environment.from_string(text)


def _best(history: list[dict[str, Any]], metrics: dict[str, Any]) -> dict[str, Any]:
    epoch = metrics.get("best_epoch")
    by_loss = min(history, key=lambda row: float(row["val_loss"]))
    return next((row for row in history if row["epoch"] == epoch), by_loss)


def _json(path: Path, text: str) -> Any:
    try:
        return json.loads(text)
    except ValueError as error:
        raise ModelError(f"{path}: cannot be read ({error})") from error


def _text(path: Path) -> str:
    return path.read_text("utf-8") if path.is_file() else ""
