"""The page that explains: ``index.html``, its drawings as files beside it, ``explain.json``."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from importlib import resources
from pathlib import Path
from typing import Any

import numpy as np
from jinja2 import Environment, StrictUndefined
from PIL import Image

from verydeep.files import write_atomically, write_json, write_text
from verydeep.inside.subject import Subject
from verydeep.insight.drawing import save_picture
from verydeep.insight.explain.section import Panel, Section
from verydeep.insight.explain.tiles import DOTS

LIKELIEST = 5
"""Classes that the page names of a picture."""


@dataclass(frozen=True)
class Shown:
    """A drawing on the page.

    Attributes:
        panel: Its name.
        title: Above it.
        alt: What it shows, in words.
        caption: Below it.
        file: Relative to the page.
        width: In pixels.
        height: In pixels.
    """

    panel: str
    title: str
    alt: str
    caption: str
    file: str
    width: int
    height: int


@dataclass(frozen=True)
class Written:
    """A section whose drawings lie in files; see :class:`Section`."""

    name: str
    title: str
    lead: str
    panels: tuple[Shown, ...]
    facts: Mapping[str, Any]


@dataclass(frozen=True)
class Part:
    """What the page says of one picture.

    Attributes:
        key: Its folder, and its anchor on the page.
        name: Of the picture, for people.
        source: Where it came from.
        file: The picture as the net was shown it, relative to the page.
        height: Of that, in pixels.
        width: Likewise.
        positions: Rows and columns of the map of scores.
        asked: The class that is asked about.
        ranking: The likeliest classes, and that one, with their probabilities.
        sections: What was found.
    """

    key: str
    name: str
    source: str
    file: str
    height: int
    width: int
    positions: tuple[int, int]
    asked: str
    ranking: tuple[tuple[str, float], ...]
    sections: tuple[Written, ...]

    def to_dict(self) -> dict[str, Any]:
        """Return plain values."""
        return {
            "name": self.name,
            "source": self.source,
            "folder": self.key,
            "height": self.height,
            "width": self.width,
            "positions": list(self.positions),
            "class": self.asked,
            "ranking": [{"class": name, "probability": p} for name, p in self.ranking],
            "sections": sections_as_dict(self.sections),
        }


def sections_as_dict(sections: Iterable[Written]) -> dict[str, Any]:
    """Return the facts of sections and the files of their drawings, by name."""
    return {
        section.name: {
            "title": section.title,
            "files": [panel.file for panel in section.panels],
            **section.facts,
        }
        for section in sections
    }


def write_section(section: Section, folder: Path, key: str) -> Written:
    """Write the drawings of a section as ``key/PANEL.png`` into the page's folder."""
    panels = tuple(_write_panel(panel, folder, key) for panel in section.panels)
    return Written(section.name, section.title, section.lead, panels, section.facts)


def _write_panel(panel: Panel, folder: Path, key: str) -> Shown:
    file = f"{key}/{panel.name}.png"
    notes = {"Title": panel.title, "Description": panel.alt}
    save_picture(panel.figure, folder / file, dots=DOTS, notes=notes)
    with Image.open(folder / file) as image:
        width, height = image.size
    return Shown(panel.name, panel.title, panel.alt, panel.caption, file, width, height)


def write_input(subject: Subject, folder: Path, key: str) -> str:
    """Write the picture as the net is shown it, and return its file relative to the page."""
    file = f"{key}/picture.png"
    picture = Image.fromarray(np.ascontiguousarray(subject.pixels.permute(1, 2, 0).numpy()))
    write_atomically(folder / file, lambda path: picture.save(path, format="PNG"))
    return file


def write_page(
    value: Mapping[str, Any], parts: Iterable[Part], net: Iterable[Written], folder: Path
) -> None:
    """Write ``index.html`` and ``explain.json``.

    Args:
        value: What is said of the whole, as ``--json`` prints it.
        parts: What is said of each picture.
        net: Sections about the net alone.
        folder: The page's.
    """
    text = (resources.files("verydeep.insight.explain") / "page.html").read_text("utf-8")
    environment = Environment(
        autoescape=True, undefined=StrictUndefined, trim_blocks=True, lstrip_blocks=True
    )
    page = environment.from_string(text).render(value=value, parts=[*parts], net=[*net])
    write_json(folder / "explain.json", value)
    write_text(folder / "index.html", page)
