"""The parts of a page that explains: a section holds panels, a panel is one drawing."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

from matplotlib.figure import Figure


@dataclass(frozen=True, eq=False)
class Panel:
    """One drawing.

    Attributes:
        name: Of its file, without an ending: lower case, digits and hyphens.
        title: Stands above it.
        alt: What it shows, with its numbers, for those who cannot see it.
        figure: The drawing.
        caption: How to read it; stands below it.
    """

    name: str
    title: str
    alt: str
    figure: Figure
    caption: str = ""


@dataclass(frozen=True, eq=False)
class Section:
    """Drawings that belong together.

    Attributes:
        name: Lower case, digits and hyphens; unique on the page.
        title: Its heading.
        lead: What is seen here and how it was made, in a sentence or two, with its source.
        panels: In order.
        facts: The numbers behind the drawings, as plain values.
    """

    name: str
    title: str
    lead: str
    panels: tuple[Panel, ...]
    facts: Mapping[str, Any] = field(default_factory=dict)
