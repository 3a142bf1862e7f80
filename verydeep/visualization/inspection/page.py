"""The page that explains: ``index.html``, its drawings as files beside it, ``explain.json``."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
from PIL import Image

from verydeep.inspection.subject import Subject
from verydeep.nets.table import STRIDE
from verydeep.system.files import write_atomically, write_json, write_text
from verydeep.system.pages import render
from verydeep.visualization.inspection.section import Panel, Section
from verydeep.visualization.inspection.tiles import DOTS
from verydeep.visualization.plots.style import darken, save_picture

LIKELIEST = 5
"""Classes that the page names of an image."""


@dataclass(frozen=True)
class Shown:
    """A drawing on the page.

    Attributes:
        panel: Its name.
        title: Above it.
        alt: What it shows, in words.
        caption: Below it.
        file: Relative to the page.
        dark: The same for a dark page.
        width: In pixels.
        height: In pixels.
    """

    panel: str
    title: str
    alt: str
    caption: str
    file: str
    dark: str
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


class Likely(NamedTuple):
    """A class and its probability.

    Attributes:
        name: Of the class, for people.
        probability: From 0 to 1.
        asked: Whether it is the one that is asked about.
    """

    name: str
    probability: float
    asked: bool


@dataclass(frozen=True)
class PictureSections:
    """What the page says of one image.

    Attributes:
        key: Its folder, and its anchor on the page.
        name: Of the image, for people.
        source: Where it came from.
        file: The image as the net was shown it, relative to the page.
        height: Of that, in pixels.
        width: Likewise.
        positions: Rows and columns of the map of scores.
        asked: The class that is asked about.
        ranking: The likeliest classes, and that one.
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
    ranking: tuple[Likely, ...]
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
            "ranking": [
                {"class": one.name, "probability": one.probability} for one in self.ranking
            ],
            "sections": sections_as_dict(self.sections),
        }


@dataclass(frozen=True)
class Head:
    """What the page says of the whole.

    Attributes:
        model: Where it came from.
        net: A column of Table 1.
        classes: Number of classes K.
        input_size: Of the net, in pixels.
        scale: Smallest side that the images were rescaled to, in pixels.
        center: Whether the net was shown the central square alone.
        device: Where it computed.
        precision: ``bf16`` or ``fp32``, of its answers.
        measured: Its error, as the model has it; None if it was never measured.
        command: What was called; None if Python was.
        left_out: Sections that could not be made, with reasons.
        unreadable: Images that could not be, with reasons.
    """

    model: str
    net: str
    classes: int
    input_size: int
    scale: int
    center: bool
    device: str
    precision: str
    measured: Mapping[str, Any] | None
    command: str | None
    left_out: tuple[str, ...]
    unreadable: tuple[str, ...]


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
    """Write the drawings of a section into the page's folder, each for a light and a dark page.

    Their names are ``key/PANEL.png`` and ``key/PANEL-dark.png``.
    """
    panels = tuple(_write_panel(panel, folder, key) for panel in section.panels)
    return Written(section.name, section.title, section.lead, panels, section.facts)


def _write_panel(panel: Panel, folder: Path, key: str) -> Shown:
    file, dark = f"{key}/{panel.name}.png", f"{key}/{panel.name}-dark.png"
    notes = {"Title": panel.title, "Description": panel.alt}
    save_picture(panel.figure, folder / file, dots=DOTS, notes=notes)
    darken(panel.figure)
    save_picture(panel.figure, folder / dark, dots=DOTS, notes=notes)
    with Image.open(folder / file) as image:
        width, height = image.size
    return Shown(panel.name, panel.title, panel.alt, panel.caption, file, dark, width, height)


def write_part(
    subject: Subject, source: str, key: str, sections: Sequence[Written], folder: Path
) -> PictureSections:
    """Write the image as the net is shown it, and return what the page says of it."""
    file = f"{key}/picture.png"
    picture = Image.fromarray(np.ascontiguousarray(subject.pixels.permute(1, 2, 0).numpy()))
    write_atomically(folder / file, lambda path: picture.save(path, format="PNG"))
    net = subject.model.net
    return PictureSections(
        key=key,
        name=subject.name,
        source=source,
        file=file,
        height=picture.height,
        width=picture.width,
        positions=(
            picture.height // STRIDE - net.final_map + 1,
            picture.width // STRIDE - net.final_map + 1,
        ),
        asked=subject.title,
        ranking=_ranking(subject),
        sections=tuple(sections),
    )


def _ranking(subject: Subject) -> tuple[Likely, ...]:
    likely = subject.probabilities.argsort(descending=True, stable=True)[:LIKELIEST].tolist()
    return tuple(
        Likely(
            subject.model.title(label),
            float(subject.probabilities[label]),
            label == subject.label,
        )
        for label in dict.fromkeys([*likely, subject.label])
    )


def write_page(
    head: Head,
    parts: Sequence[PictureSections],
    net: Sequence[Written],
    folder: Path,
    *,
    seconds: float,
) -> dict[str, Any]:
    """Write ``index.html`` and ``explain.json``.

    Args:
        head: What is said of the whole.
        parts: What is said of each image.
        net: Sections about the net alone.
        folder: The page's.
        seconds: That it took.

    Returns:
        What ``explain.json`` holds.
    """
    value = {
        "out": str(folder),
        **asdict(head),
        "left_out": [*head.left_out],
        "unreadable": [*head.unreadable],
        "pictures": [part.to_dict() for part in parts],
        "net_sections": sections_as_dict(net),
        "seconds": seconds,
    }
    page = render(
        "verydeep.visualization.inspection",
        "page.html",
        head=head,
        measured=measured_in_words(head.measured),
        parts=parts,
        net=net,
    )
    write_json(folder / "explain.json", value)
    write_text(folder / "index.html", page)
    return value


def measured_in_words(measured: Mapping[str, Any] | None) -> str | None:
    """Return what a model's folder says of its errors; None if it says nothing.

    Args:
        measured: The result of a test; or, of a run that goes on or was interrupted, what the
            validation behind its best epoch found.

    >>> measured_in_words({"top1_error": 12.34, "protocol": "dense", "images": 1000})
    '12.3 % top-1 error (dense, 1,000 images)'
    >>> measured_in_words({"epoch": 3, "val_loss": 1.2, "val_top1_error": 40.0})
    'not tested yet; 40.0 % top-1 error of validation behind epoch 3'
    """
    if not measured:
        return None
    if "top1_error" in measured:
        how = [str(measured["protocol"])] if "protocol" in measured else []
        how += [f"{measured['images']:,} images"] if "images" in measured else []
        behind = f" ({', '.join(how)})" if how else ""
        return f"{measured['top1_error']:.1f} % top-1 error{behind}"
    if "val_top1_error" in measured:
        behind = f" behind epoch {measured['epoch']}" if "epoch" in measured else ""
        return (
            f"not tested yet; {measured['val_top1_error']:.1f} % top-1 error of validation{behind}"
        )
    return "not tested yet"
