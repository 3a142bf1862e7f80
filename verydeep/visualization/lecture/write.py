"""Output of the lecture figures: PNG and SVG files, ``figures.json`` and an HTML page."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from pathlib import Path
from typing import Any

from verydeep.errors import InputError, MissingExtra
from verydeep.system.files import write_json, write_text
from verydeep.system.locks import hold
from verydeep.system.pages import render
from verydeep.system.progress import Progress, ProgressWish, choose_progress
from verydeep.visualization.lecture.figures import FIGURES, LectureFigure, chosen
from verydeep.visualization.lecture.theme import theme
from verydeep.visualization.plots.style import save_figure

FORMATS = ("png", "svg")


def write_figures(
    out: str | Path,
    only: Iterable[str] = (),
    *,
    dark: bool = False,
    progress: ProgressWish = None,
) -> dict[str, Any]:
    """Draw lecture figures into a folder.

    ``figures.json`` and ``index.html`` list all figures in the folder, including earlier ones.

    Args:
        out: Output folder, created if missing.
        only: Names of figures; if empty, all are drawn.
        dark: Whether to draw for a dark page.
        progress: Progress reporter; None reports in notebooks and terminals, False never, True
            always.

    Returns:
        ``out``; ``figures``, the drawn figures with name, title, texts and files; ``files``, all
        written files; ``left_out``, figures that need an extra which is not installed, with the
        remedy.

    Raises:
        InputError: A figure is unknown, or the folder is not writable.
        MissingExtra: A figure of ``only`` needs an extra that is not installed.
    """
    progress = choose_progress(progress)
    names = tuple(only)
    wanted, folder = chosen(names), Path(out).expanduser()
    with hold(folder):
        return _write(folder, wanted, names, dark=dark, progress=progress)


def _write(
    folder: Path,
    wanted: Sequence[LectureFigure],
    names: Sequence[str],
    *,
    dark: bool,
    progress: Progress,
) -> dict[str, Any]:
    left_out: dict[str, str] = {}
    try:
        with progress.task("figures", len(wanted)) as task:
            for done, figure in enumerate(wanted, start=1):
                try:
                    _write_figure(figure, folder, dark=dark)
                except MissingExtra as missing:
                    if names:
                        raise
                    left_out[figure.name] = str(missing)
                task.update(done, figure.name)
        _write_page(folder, dark=dark)
    except OSError as error:
        raise InputError(f"{folder}: cannot write the figures ({error})") from error
    described = [_describe(figure) for figure in wanted if figure.name not in left_out]
    pictures = [file for figure in described for file in figure["files"]]
    return {
        "out": str(folder),
        "figures": described,
        "files": [*pictures, "figures.json", "index.html"],
        "left_out": left_out,
    }


def _write_figure(figure: LectureFigure, folder: Path, *, dark: bool) -> None:
    notes = {"Title": figure.title, "Description": figure.alt}
    with theme(dark=dark):
        drawn = figure.draw()
        save_figure(drawn, folder / f"{figure.name}.png", notes=notes)
        # Without a date, the file is reproducible.
        save_figure(drawn, folder / f"{figure.name}.svg", notes={**notes, "Date": None})


def _write_page(folder: Path, *, dark: bool) -> None:
    present = [_describe(figure) for figure in FIGURES if (folder / f"{figure.name}.png").is_file()]
    write_json(folder / "figures.json", {"figures": present})
    page = render("verydeep.visualization.lecture", "index.html", figures=present, dark=dark)
    write_text(folder / "index.html", page)


def _describe(figure: LectureFigure) -> dict[str, Any]:
    return {
        "name": figure.name,
        "title": figure.title,
        "shows": figure.shows,
        "section": figure.section,
        "alt": figure.alt,
        "files": [f"{figure.name}.{ending}" for ending in FORMATS],
    }
