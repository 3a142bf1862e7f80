"""A folder whose images are named into a table."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from verydeep.serve.service import Service


@dataclass(frozen=True)
class Watched:
    folder: Path
    out: Path

    @classmethod
    def of(cls, watch: str | Path | None, out: str | Path | None) -> Watched | None:
        return None

    async def run(self, service: Service) -> None:
        pass
