"""Figures of the lecture: light and dark drawing with a caption.

A page links only the light image, ``![…](../images/lecture/NAME.png)``; title and caption come
from ``verydeep figures``, so that each has one source.
"""

from __future__ import annotations

import logging
import re
from html import escape
from pathlib import Path
from typing import Any

from PIL import Image

from verydeep.visualization.lecture.figures import FIGURES
from verydeep.visualization.lecture.photograph.figures import PHOTOGRAPH_FIGURES

FIGURE = re.compile(r'<p><img alt="([^"]*)" src="([^"]*?)images/lecture/([\w-]+)\.png" ?/?></p>')
KNOWN = {figure.name: figure for figure in (*FIGURES, *PHOTOGRAPH_FIGURES)}
DOTS = 150
"""Resolution of a figure in pixels per inch."""

DARK = Path(__file__).resolve().parents[1] / "images" / "lecture-dark"

# A warning makes a strict build fail.
log = logging.getLogger("mkdocs.hooks.figures")


def on_page_content(html: str, **kwargs: Any) -> str:
    """Replace such images by a figure with a caption and a link to its full size."""
    return FIGURE.sub(_figure, html)


def _figure(found: re.Match[str]) -> str:
    alt, root, name = found.groups()
    if name not in KNOWN or not (DARK / f"{name}.png").is_file():
        log.warning("the figure %r is not one of `verydeep figures`, or has no dark drawing", name)
        return found[0]
    light, dark = (f"{root}images/{folder}/{name}.png" for folder in ("lecture", "lecture-dark"))
    figure = KNOWN[name]
    return (
        f'<figure class="lecture" style="--inches: {_inches(name):g}">'
        f'<a href="{light}" title="Full size">'
        f'<img alt="{alt}" src="{light}#only-light"><img alt="{alt}" src="{dark}#only-dark"></a>'
        f"<figcaption><strong>{escape(figure.title)}.</strong> {escape(figure.shows)}</figcaption>"
        "</figure>"
    )


def _inches(name: str) -> float:
    """Return the width of a figure in inches, which determines a readable size of its text."""
    with Image.open(DARK / f"{name}.png") as picture:
        return float(picture.width) / DOTS
