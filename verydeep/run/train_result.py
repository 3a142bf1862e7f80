"""A finished training as Python hands it back."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from verydeep.html_table import html_table
from verydeep.mapping_result import MappingResult


@dataclass(frozen=True, repr=False, eq=False)
class TrainResult(MappingResult):
    """A finished run: where it is, and what ``metrics.json`` holds, by attribute or by key.

    Attributes:
        run: The run folder.
        metrics: What ``metrics.json`` holds.
    """

    run: Path
    metrics: Mapping[str, Any]

    @property
    def model(self) -> Path:
        """Folder of the best model, for :func:`verydeep.load`."""
        return self.run / "model"

    @property
    def report(self) -> Path:
        """The report, an HTML page."""
        return self.run / "report.html"

    @property
    def epochs(self) -> int:
        """Epochs trained."""
        return int(self.metrics["epochs"])

    @property
    def best_epoch(self) -> int:
        """The epoch whose model was kept, from 1."""
        return int(self.metrics["best_epoch"])

    @property
    def stopped_because(self) -> str:
        """Why the training ended."""
        return str(self.metrics["stopped_because"])

    @property
    def top1_error(self) -> float | None:
        """Top-1 error of the final test, in percent; None for a box net."""
        return self.metrics.get("top1_error")

    @property
    def interval(self) -> tuple[float, float] | None:
        """95 % interval of the error of the final test, in percent."""
        found = self.metrics.get("top1_interval") or self.metrics.get("localization_interval")
        return (found[0], found[1]) if found else None

    @property
    def localization_error(self) -> float | None:
        """Localization error of the final test, in percent; None for a classifier."""
        return self.metrics.get("localization_error")

    @property
    def images(self) -> int:
        """Images of the final test."""
        return int(self.metrics["images"])

    @property
    def split(self) -> str:
        """Split that was tested."""
        return str(self.metrics["split"])

    def to_dict(self) -> dict[str, Any]:
        """Return what ``metrics.json`` holds."""
        return dict(self.metrics)

    def __repr__(self) -> str:
        return (
            f"TrainResult({self._error()} on {self.images:,} images of {self.split}, "
            f"{self.epochs} epochs, run={str(self.run)!r})"
        )

    def _repr_html_(self) -> str:
        rows = [
            ("error", f"{self._error()} on {self.images:,} images of {self.split}"),
            ("epochs", f"{self.epochs} (best: {self.best_epoch}); {self.stopped_because}"),
            ("model", self.model),
            ("report", self.report),
        ]
        return html_table(rows)

    def _error(self) -> str:
        name = "top-1" if self.top1_error is not None else "localization"
        error = self.localization_error if self.top1_error is None else self.top1_error
        interval = "" if self.interval is None else " ({:.1f} to {:.1f})".format(*self.interval)
        return f"{name} error {error:.2f} %{interval}"
