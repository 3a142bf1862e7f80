"""Output of the lecture figures: PNG and SVG files, ``figures.json`` and an HTML page."""

from __future__ import annotations

import json
from collections.abc import Iterable, Sequence
from pathlib import Path
from typing import Any

import numpy as np
from PIL import Image
from PIL.PngImagePlugin import PngInfo

from verydeep.errors import InputError, MissingExtra, ModelError
from verydeep.inspection.subject import Subject
from verydeep.system.files import expanded, write_atomically, write_json, write_text
from verydeep.system.locks import hold
from verydeep.system.pages import render
from verydeep.system.progress import Progress, ProgressWish, choose_progress
from verydeep.visualization.lecture.figures import (
    FIGURES,
    LectureFigure,
    chosen,
    chosen_of_photograph,
)
from verydeep.visualization.lecture.photograph.drawing import Drawing
from verydeep.visualization.lecture.photograph.figures import PHOTOGRAPH_FIGURES, PhotographFigure
from verydeep.visualization.lecture.theme import theme
from verydeep.visualization.plots.style import save_figure

FORMATS = ("png", "svg")

SAMPLE = 30_000
"""Number of pixels from which a palette is made."""

AnyFigure = LectureFigure | PhotographFigure


def write_figures(
    out: str | Path,
    only: Iterable[str] = (),
    *,
    dark: bool = False,
    subject: Subject | None = None,
    progress: ProgressWish = None,
) -> dict[str, Any]:
    """Draw lecture figures into a folder.

    ``figures.json`` and ``index.html`` list all figures in the folder, including earlier ones.

    Args:
        out: Output folder, created if missing.
        only: Names of figures; if empty, all are drawn.
        dark: Whether to draw for a dark page.
        subject: A trained net and a photograph; the figures that show these are drawn instead of
            the others.
        progress: Progress reporter; None reports in notebooks and terminals, False never, True
            always.

    Returns:
        ``out``; ``figures``, the drawn figures with name, title, texts and files; ``files``, all
        written files; ``left_out``, figures that need a head or blocks that the net lacks, or an
        extra that is not installed, with the reason.

    Raises:
        InputError: A figure is unknown, or the folder is not writable.
        ModelError: A figure of ``only`` needs classes or blocks that the net does not have.
        MissingExtra: A figure of ``only`` needs an extra that is not installed.
    """
    progress = choose_progress(progress)
    names = tuple(only)
    wanted: Sequence[AnyFigure] = chosen_of_photograph(names) if subject else chosen(names)
    folder = expanded(out)
    with hold(folder):
        return _write(folder, wanted, names, subject, dark=dark, progress=progress)


def _write(
    folder: Path,
    wanted: Sequence[AnyFigure],
    names: Sequence[str],
    subject: Subject | None,
    *,
    dark: bool,
    progress: Progress,
) -> dict[str, Any]:
    left_out: dict[str, str] = {}
    described: list[dict[str, Any]] = []
    try:
        with progress.task("figures", len(wanted)) as task:
            for done, figure in enumerate(wanted, start=1):
                try:
                    alt = _write_figure(figure, subject, folder, dark=dark)
                    described.append(_describe(figure, alt))
                except (MissingExtra, ModelError) as missing:
                    if names:
                        raise
                    left_out[figure.name] = str(missing)
                task.update(done, figure.name)
        _write_page(folder, described, dark=dark)
    except OSError as error:
        raise InputError(f"{folder}: cannot write the figures ({error})") from error
    pictures = [file for figure in described for file in figure["files"]]
    return {
        "out": str(folder),
        "figures": described,
        "files": [*pictures, "figures.json", "index.html"],
        "left_out": left_out,
    }


def _write_figure(figure: AnyFigure, subject: Subject | None, folder: Path, *, dark: bool) -> str:
    """Write a figure, and return its text alternative."""
    png = folder / f"{figure.name}.png"
    with theme(dark=dark):
        drawn, alt = _draw(figure, subject)
        notes = {"Title": figure.title, "Description": alt}
        save_figure(drawn, png, notes=notes)
        # Without a date, the file is reproducible.
        save_figure(drawn, folder / f"{figure.name}.svg", notes={**notes, "Date": None})
    if isinstance(figure, PhotographFigure):
        reduce_colours(png)
    return alt


def _draw(figure: AnyFigure, subject: Subject | None) -> Drawing:
    if isinstance(figure, LectureFigure):
        return Drawing(figure.draw(), figure.alt)
    assert subject, "figures of a photograph are chosen only if there is one"
    return figure.draw(subject)


def reduce_colours(path: Path, count: int = 256) -> None:
    """Rewrite a PNG with a palette, which makes one that shows photographs several times smaller.

    Args:
        path: The file; its title and description are kept.
        count: Number of colours.
    """
    with Image.open(path) as image:
        texts = PngInfo()
        for key, value in image.info.items():
            if isinstance(value, str):
                texts.add_itxt(str(key), value)
        dots = image.info.get("dpi", (150, 150))
        small = _with_palette(image.convert("RGB"), count)
    write_atomically(
        path, lambda file: small.save(file, "PNG", optimize=True, pnginfo=texts, dpi=dots)
    )


def _with_palette(image: Image.Image, count: int) -> Image.Image:
    """Return an image with a palette that also has the colours of small areas, such as eyes."""
    pixels = np.asarray(image).reshape(-1, 3)
    sample = Image.fromarray(pixels[:: max(1, len(pixels) // SAMPLE)][None])  # all would take long
    palette = sample.quantize(count, Image.Quantize.MAXCOVERAGE, kmeans=1)
    small = image.quantize(palette=palette, dither=Image.Dither.NONE)
    # The background must be exactly that of the page.
    page, index = image.getpixel((0, 0)), np.asarray(small)[0, 0]
    values = np.asarray(small.getpalette()).reshape(-1, 3)
    values[index] = page
    small.putpalette(values.astype(np.uint8).tobytes())
    return small


def _write_page(folder: Path, drawn: Sequence[dict[str, Any]], *, dark: bool) -> None:
    of_photograph = _listed(folder) | {figure["name"]: figure for figure in drawn}
    entries = [_describe(figure, figure.alt) for figure in FIGURES]
    entries += [of_photograph[one.name] for one in PHOTOGRAPH_FIGURES if one.name in of_photograph]
    present = [entry for entry in entries if (folder / f"{entry['name']}.png").is_file()]
    write_json(folder / "figures.json", {"figures": present})
    page = render("verydeep.visualization.lecture", "index.html", figures=present, dark=dark)
    write_text(folder / "index.html", page)


def _listed(folder: Path) -> dict[str, dict[str, Any]]:
    """Return the figures of an earlier call, whose texts depend on its net and photograph."""
    try:
        earlier = json.loads((folder / "figures.json").read_text("utf-8"))
        return {str(figure["name"]): figure for figure in earlier["figures"]}
    except (OSError, ValueError, KeyError, TypeError):
        return {}


def _describe(figure: AnyFigure, alt: str) -> dict[str, Any]:
    return {
        "name": figure.name,
        "title": figure.title,
        "shows": figure.shows,
        "section": figure.section,
        "alt": alt,
        "files": [f"{figure.name}.{ending}" for ending in FORMATS],
    }
