"""Output of ``verydeep explain``: ``index.html``, ``explain.json`` and the drawings as files."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
import torch
from PIL import Image
from torch import Tensor
from torch.nn import functional as F

from verydeep.inspection.subject import Subject
from verydeep.nets.dimensions import INPUT_WORDS, InputWords
from verydeep.system.files import write_atomically, write_json, write_text
from verydeep.system.pages import render
from verydeep.system.summary import percent
from verydeep.visualization.inspection.section import Panel, Section
from verydeep.visualization.inspection.tiles import DOTS
from verydeep.visualization.plots.style import darken, save_figure

LIKELIEST = 5
"""Number of classes listed per image."""


@dataclass(frozen=True)
class WrittenPanel:
    """A panel whose drawing has been written; see :class:`Panel`.

    Attributes:
        title: Title above the drawing.
        alt: Text alternative.
        caption: Caption below the drawing.
        file: Image file, relative to the page.
        dark: Image file for a dark page.
        width: Width in pixels.
        height: Height in pixels.
    """

    title: str
    alt: str
    caption: str
    file: str
    dark: str
    width: int
    height: int


@dataclass(frozen=True)
class WrittenSection:
    """A section whose drawings have been written; see :class:`Section`."""

    name: str
    title: str
    lead: str
    panels: tuple[WrittenPanel, ...]
    facts: Mapping[str, Any]


class Likely(NamedTuple):
    """A class and its probability.

    Attributes:
        name: Display name of the class.
        probability: Probability, 0 to 1.
        explained: Whether the page explains this class.
    """

    name: str
    probability: float
    explained: bool


@dataclass(frozen=True)
class ImagePart:
    """Part of the page about one image.

    Attributes:
        key: Folder of its files and anchor on the page.
        name: Display name of the image.
        source: Source of the image.
        file: Input of the net as an image file, relative to the page.
        height: Height of that file, in pixels.
        width: Width of that file, in pixels.
        sides: Height and width of the input; of a volume depth, height and width.
        positions: Rows and columns of the score map; of a volume slices, rows and columns.
        explained: The explained class.
        ranking: The most likely classes and the explained one.
        sections: Sections about the image.
    """

    key: str
    name: str
    source: str
    file: str
    height: int
    width: int
    sides: tuple[int, ...]
    positions: tuple[int, ...]
    explained: str
    ranking: tuple[Likely, ...]
    sections: tuple[WrittenSection, ...]

    def to_dict(self) -> dict[str, Any]:
        """Return plain values."""
        return {
            "name": self.name,
            "source": self.source,
            "folder": self.key,
            "height": self.sides[-2],
            "width": self.sides[-1],
            **({"depth": self.sides[0]} if len(self.sides) == 3 else {}),
            "positions": list(self.positions),
            "class": self.explained,
            "ranking": [
                {"class": one.name, "probability": one.probability} for one in self.ranking
            ],
            "sections": sections_as_dict(self.sections),
        }


@dataclass(frozen=True)
class Head:
    """Header of the page.

    Attributes:
        model: Source of the model.
        net: Column of Table 1.
        classes: Number of classes K.
        input_size: Input size of the net, in pixels.
        scale: Smallest side of the rescaled images, in pixels.
        center: Whether the input is the central square only.
        device: Device of the computation.
        precision: Precision of the forward pass, ``bf16`` or ``fp32``.
        measured: Test metrics stored with the model; None if it was never tested.
        command: Command line; None if called from Python.
        left_out: Reasons for sections left out.
        unreadable: Unreadable images with reasons.
        dimensions: 2 for images, 3 for volumes.
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
    dimensions: int = 2

    @property
    def words(self) -> InputWords:
        """Words for an input: image and pixels, or volume and voxels."""
        return INPUT_WORDS[self.dimensions]

    @property
    def input_in_words(self) -> str:
        """Size of the net's smallest input."""
        return f"{'x'.join([str(self.input_size)] * self.dimensions)} {self.words.unit}"


def sections_as_dict(sections: Iterable[WrittenSection]) -> dict[str, Any]:
    """Return the facts and files of sections by name."""
    return {
        section.name: {
            "title": section.title,
            "files": [panel.file for panel in section.panels],
            **section.facts,
        }
        for section in sections
    }


def write_section(section: Section, folder: Path, key: str) -> WrittenSection:
    """Write a section's drawings as ``key/PANEL.png`` (light) and ``key/PANEL-dark.png``."""
    panels = tuple(_write_panel(panel, folder, key) for panel in section.panels)
    return WrittenSection(section.name, section.title, section.lead, panels, section.facts)


def _write_panel(panel: Panel, folder: Path, key: str) -> WrittenPanel:
    file, dark = f"{key}/{panel.name}.png", f"{key}/{panel.name}-dark.png"
    notes = {"Title": panel.title, "Description": panel.alt}
    save_figure(panel.figure, folder / file, dots=DOTS, notes=notes)
    darken(panel.figure)
    save_figure(panel.figure, folder / dark, dots=DOTS, notes=notes)
    with Image.open(folder / file) as image:
        width, height = image.size
    return WrittenPanel(panel.title, panel.alt, panel.caption, file, dark, width, height)


def write_part(
    subject: Subject, source: str, key: str, sections: Sequence[WrittenSection], folder: Path
) -> ImagePart:
    """Write the input of the net as an image file and return the part about it."""
    file = f"{key}/picture.png"
    image = Image.fromarray(np.ascontiguousarray(picture_of(subject.pixels).numpy()))
    write_atomically(folder / file, lambda path: image.save(path, format="PNG"))
    net = subject.model.net
    return ImagePart(
        key=key,
        name=subject.name,
        source=source,
        file=file,
        height=image.height,
        width=image.width,
        sides=tuple(subject.pixels.shape[1:]),
        positions=net.map_size(*subject.pixels.shape[1:]),
        explained=subject.title,
        ranking=_ranking(subject),
        sections=tuple(sections),
    )


def picture_of(pixels: Tensor) -> Tensor:
    """Return an image (3, H, W) as (H, W, 3); of a volume (3, D, H, W) its middle slices in a row.

    They are those along its depth, its height and its width.
    """
    if pixels.dim() == 3:
        return pixels.permute(1, 2, 0)
    middle = [side // 2 for side in pixels.shape[1:]]
    slices = [pixels.select(axis, place) for axis, place in enumerate(middle, start=1)]
    height = max(one.shape[1] for one in slices)
    padded = [F.pad(one, (0, 2, 0, height - one.shape[1]), value=255) for one in slices]
    return torch.cat(padded, 2)[..., :-2].permute(1, 2, 0)


def _ranking(subject: Subject) -> tuple[Likely, ...]:
    if not subject.model.classes:
        return ()
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
    parts: Sequence[ImagePart],
    net: Sequence[WrittenSection],
    folder: Path,
    *,
    seconds: float,
) -> dict[str, Any]:
    """Write ``index.html`` and ``explain.json``.

    Args:
        head: Header of the page.
        parts: Parts about the images.
        net: Sections about the net.
        folder: Folder of the page.
        seconds: Duration, in seconds.

    Returns:
        Contents of ``explain.json``.
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
    """Return a model's main measure in words; None without metrics.

    Args:
        measured: Test metrics or, for an unfinished run, validation metrics of its best epoch.

    >>> measured_in_words({"top1_error": 12.34, "protocol": "dense", "images": 1000})
    '12.34 % top-1 error (dense, 1,000 images)'
    >>> measured_in_words({"epoch": 3, "val_loss": 1.2, "val_top1_error": 40.0})
    'not tested yet; 40.00 % top-1 validation error after epoch 3'
    """
    if not measured:
        return None
    kinds = {"top1_error": "top-1 error", "mean_average_precision": "mean average precision"}
    for key, title in kinds.items():
        if measured.get(key) is not None:
            how = [str(measured["protocol"])] if "protocol" in measured else []
            how += [f"{measured['images']:,} images"] if "images" in measured else []
            return f"{percent(measured[key])} {title}" + (f" ({', '.join(how)})" if how else "")
    if "val_top1_error" in measured:
        epoch = f" after epoch {measured['epoch']}" if "epoch" in measured else ""
        error = percent(measured["val_top1_error"])
        return f"not tested yet; {error} top-1 validation error{epoch}"
    return "not tested yet"
