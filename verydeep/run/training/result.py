"""Result of :func:`verydeep.train`."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from verydeep.errors import plural
from verydeep.system.mapping_result import MappingResult
from verydeep.system.summary import Rows, Summary, percent


@dataclass(frozen=True, repr=False, eq=False)
class TrainResult(Summary, MappingResult):
    """A finished run and its metrics, by attribute or by key.

    Attributes:
        run: The run folder.
        metrics: The content of ``metrics.json``.
    """

    run: Path
    metrics: Mapping[str, Any]

    @property
    def model(self) -> Path:
        """Folder of the kept model, for :func:`verydeep.load`."""
        return self.run / "model"

    @property
    def report(self) -> Path:
        """Path of the HTML report."""
        return self.run / "report.html"

    @property
    def epochs(self) -> int:
        """Number of epochs trained."""
        return int(self.metrics["epochs"])

    @property
    def best_epoch(self) -> int:
        """Epoch with the best validation result, from 1."""
        return int(self.metrics["best_epoch"])

    @property
    def kept_epoch(self) -> int:
        """Epoch whose weights were kept, from 1."""
        return int(self.metrics.get("kept_epoch", self.best_epoch))

    @property
    def stopped_because(self) -> str:
        """Reason why training ended."""
        return str(self.metrics["stopped_because"])

    @property
    def top1_error(self) -> float | None:
        """Top-1 error of the final test, in percent; None for other tasks."""
        return self.metrics.get("top1_error")

    @property
    def interval(self) -> tuple[float, float] | None:
        """95 % interval of the main measure of the final test, in percent."""
        kinds = ("top1", "localization", "mean_average_precision")
        found = next((one for kind in kinds if (one := self.metrics.get(f"{kind}_interval"))), None)
        return None if found is None or None in found else (found[0], found[1])

    @property
    def mean_average_precision(self) -> float | None:
        """Mean average precision of a multi-label classifier in the final test, in percent."""
        return self.metrics.get("mean_average_precision")

    @property
    def localization_error(self) -> float | None:
        """Localization error of the final test, in percent; None for a classifier."""
        return self.metrics.get("localization_error")

    @property
    def images(self) -> int:
        """Number of images in the final test."""
        return int(self.metrics["images"])

    @property
    def split(self) -> str:
        """Split of the final test."""
        return str(self.metrics["split"])

    def to_dict(self) -> dict[str, Any]:
        """Return the content of ``metrics.json``."""
        return dict(self.metrics)

    def facts(self) -> Rows:
        """Yield the facts to show."""
        if self.top1_error is not None:
            yield "top-1 error", percent(self.top1_error, self.interval)
        if self.localization_error is not None:
            yield "localization error", percent(self.localization_error, self.interval)
        if self.mean_average_precision is not None:
            yield "mean average precision", percent(self.mean_average_precision, self.interval)
        yield "tested on", f"{plural(self.images, 'image')} of {self.split}"
        yield "epochs", self.epochs
        yield "run", self.run
