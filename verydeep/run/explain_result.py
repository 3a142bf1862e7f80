"""A look inside a net as Python hands it back."""

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
    """The page that was written, and what ``explain.json`` holds, by key.

    Attributes:
        out: Folder of the page and its drawings.
        content: What ``explain.json`` holds.
    """

    out: Path
    content: Mapping[str, Any]

    @property
    def page(self) -> Path:
        """The page to open."""
        return self.out / "index.html"

    @property
    def pictures(self) -> list[dict[str, Any]]:
        """The facts of every image, section by section."""
        return list(self.content["pictures"])

    @property
    def unreadable(self) -> list[str]:
        """Images that were left out, with reasons."""
        return list(self.content["unreadable"])

    def to_dict(self) -> dict[str, Any]:
        """Return what ``explain.json`` holds."""
        return dict(self.content)

    def facts(self) -> Rows:
        """Yield the facts to show."""
        yield "page", self.page
        yield plural(len(self.pictures), "image"), listed([one["name"] for one in self.pictures])
        if self.unreadable:
            yield "unreadable", len(self.unreadable)
