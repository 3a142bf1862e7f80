"""Summary of a finished job."""

from __future__ import annotations

from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

NAME = "summary.json"


@dataclass(frozen=True)
class BulkResult:
    """Summary of a finished job; one row of the table ``out/parts`` per image.

    Attributes:
        out: Output folder.
        verb: ``predict`` or ``features``.
        source: Source of the images.
        model: Model.
        rows: Number of images.
        errors: Number of images that could not be read; they have a row with the reason.
        parts: Number of files.
        earlier: Rows that were there when this run began.
        seconds: Duration of this run, without start of Ray and loading of the model.
        actors: Number of actors.
        cores_per_actor: Cores of each.
        retried: Attempts that failed: lost actors, and parts tried again.
        device: Device of the actors.
        settings: Settings of the results, with engine and precision.
        versions: Versions of the packages.
    """

    out: Path
    verb: str
    source: str
    model: str
    rows: int
    errors: int
    parts: int
    earlier: int
    seconds: float
    actors: int
    cores_per_actor: int
    retried: int
    device: str
    settings: dict[str, Any]
    versions: dict[str, str | None]

    @property
    def images_per_second(self) -> float:
        """Images per second of this run."""
        return (self.rows - self.earlier) / self.seconds if self.seconds else 0.0

    def to_dict(self) -> dict[str, Any]:
        """Return plain values for JSON."""
        return asdict(self) | {
            "out": str(self.out),
            "seconds": round(self.seconds, 3),
            "images_per_second": round(self.images_per_second, 2),
        }
