"""Result of :func:`verydeep.explain`."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from verydeep.errors import plural
from verydeep.system.mapping_result import MappingResult
from verydeep.system.summary import Rows, Summary, listed


@dataclass(frozen=True, repr=False, eq=False)
class ExplainResult(Summary, MappingResult):
    """The written page and the content of ``explain.json``, by key.

    Attributes:
        out: Folder of the page and its figures.
        content: The content of ``explain.json``.
    """

    out: Path
    content: Mapping[str, Any]

    @property
    def page(self) -> Path:
        """Path of the page."""
        return self.out / "index.html"

    @property
    def pictures(self) -> list[dict[str, Any]]:
        """Facts of every image, by section."""
        return list(self.content["pictures"])

    @property
    def unreadable(self) -> list[str]:
        """Omitted images, with reasons."""
        return list(self.content["unreadable"])

    def to_dict(self) -> dict[str, Any]:
        """Return the content of ``explain.json``."""
        return dict(self.content)

    def facts(self) -> Rows:
        """Yield the facts to show."""
        yield "page", self.page
        yield plural(len(self.pictures), "image"), listed([one["name"] for one in self.pictures])
        if self.unreadable:
            yield "unreadable", len(self.unreadable)
