"""Sections of the explain page and their panels."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

from matplotlib.figure import Figure


@dataclass(frozen=True, eq=False)
class Panel:
    """A drawing with its texts.

    Attributes:
        name: File name without suffix: lower case letters, digits and hyphens.
        title: Title above the drawing.
        alt: Text alternative with the numbers.
        figure: The drawing.
        caption: Caption below the drawing, which says how to read it.
    """

    name: str
    title: str
    alt: str
    figure: Figure
    caption: str = ""


@dataclass(frozen=True, eq=False)
class Section:
    """A group of panels.

    Attributes:
        name: Unique name: lower case letters, digits and hyphens.
        title: Heading.
        lead: Introduction: the method and its source, in a few sentences.
        panels: Panels in order.
        facts: Numbers behind the drawings, as plain values.
    """

    name: str
    title: str
    lead: str
    panels: tuple[Panel, ...]
    facts: Mapping[str, Any] = field(default_factory=dict)
