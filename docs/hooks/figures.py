"""Figures of the lecture in its pages: the light and the dark drawing, and words below.

A page names the light image alone, ``![…](../images/lecture/NAME.png)``; the title and the
sentence below are those of ``verydeep figures``, so that each has one source.
"""

from __future__ import annotations

import logging
import re
from html import escape
from pathlib import Path
from typing import Any

from PIL import Image

from verydeep.visualization.lecture.figures import FIGURES

FIGURE = re.compile(r'<p><img alt="([^"]*)" src="([^"]*?)images/lecture/([\w-]+)\.png" ?/?></p>')
KNOWN = {figure.name: figure for figure in FIGURES}
DOTS = 150
"""Pixels of a figure for an inch."""

DARK = Path(__file__).resolve().parents[1] / "images" / "lecture-dark"

# A warning of mkdocs makes a strict build fail.
log = logging.getLogger("mkdocs.hooks.figures")


def on_page_content(html: str, **kwargs: Any) -> str:
    """Put a figure with a caption, a link to its full size, in the place of such images."""
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
        f'<a href="{light}" title="in full size">'
        f'<img alt="{alt}" src="{light}#only-light"><img alt="{alt}" src="{dark}#only-dark"></a>'
        f"<figcaption><strong>{escape(figure.title)}.</strong> {escape(figure.shows)}</figcaption>"
        "</figure>"
    )


def _inches(name: str) -> float:
    """Return how wide a figure was drawn, by which its letters can be kept large enough."""
    with Image.open(DARK / f"{name}.png") as picture:
        return float(picture.width) / DOTS
