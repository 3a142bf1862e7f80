"""Fallback fonts for names in any script.

The main font is DejaVu Sans, which Matplotlib includes. It covers Latin, Greek, Cyrillic, Hebrew
and Arabic, but not East or South Asian scripts. System fonts are searched for missing characters. A
name that no font covers is replaced by a number, as is a name in a joined or right-to-left script
where Matplotlib (before 3.11) or Pillow (without Raqm) would draw its letters apart or backwards.
"""

from __future__ import annotations

import contextlib
import unicodedata
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from typing import Any

import matplotlib
from matplotlib import font_manager
from matplotlib.figure import Figure
from matplotlib.ft2font import FT2Font
from matplotlib.text import Text
from PIL import features

from verydeep.errors import printable

MAIN = "DejaVu Sans"
"""Family of the main font."""

JOINED = ((0x0900, 0x0DFF), (0x0F00, 0x109F), (0x1780, 0x18AF), (0x1A20, 0x1AAF))
"""Ranges of left-to-right scripts that need text shaping."""

IGNORABLE = frozenset(map(chr, (*range(0x200B, 0x2010), 0x2060, 0xFEFF, *range(0xFE00, 0xFE10))))
"""Invisible characters, which fonts need not cover."""


@dataclass(frozen=True, slots=True)
class Face:
    """A font.

    Attributes:
        family: Name of the font family.
        path: Font file.
        number: Index within the file, which may hold several fonts.
    """

    family: str
    path: str
    number: int


def name_or_number(name: str, number: int, *, pillow: bool = False) -> str:
    """Return a name in one line, or ``no. 3`` if it cannot be drawn.

    Args:
        name: Name of a class or a file.
        number: Number that may replace the name.
        pillow: Whether Pillow instead of Matplotlib draws the name.
    """
    text = " ".join(name.split())
    text = "".join(char for char in text if char not in IGNORABLE or covers(main_face(), char))
    text = (
        text if all(char.isprintable() or char in IGNORABLE for char in text) else printable(text)
    )
    shaped = features.check("raqm") if pillow else _shapes()
    return text if can_draw(text) and (shaped or not _is_complex(text)) else f"no. {number}"


def key_to_numbers(names: Mapping[int, str]) -> str:
    """Return a sentence about the names that are replaced by numbers; empty if there are none.

    Args:
        names: Names by the numbers that may replace them.
    """
    replaced = [
        f"{drawn} is {name}"
        for number, name in names.items()
        if (drawn := name_or_number(name, number)) == f"no. {number}"
    ]
    return f"Names without an installed font: {', '.join(replaced)}." if replaced else ""


def can_draw(text: str) -> bool:
    """Return whether the installed fonts cover a text."""
    faces = faces_for(text)
    return all(any(covers(face, char) for face in faces) for char in _visible(text))


def faces_for(text: str) -> tuple[Face, ...]:
    """Return the main font, and system fonts for the characters that it lacks."""
    missing = frozenset(char for char in _visible(text) if not covers(main_face(), char))
    return (main_face(), *_fallbacks(missing)) if missing else (main_face(),)


def use_fallback_fonts(figure: Figure) -> None:
    """Set system fonts as fallbacks for the characters of a finished figure."""
    texts = [text for text in figure.findobj(Text) if isinstance(text, Text)]
    axes = [axis for one in figure.axes for axis in (one.xaxis, one.yaxis)]
    labels = [str(label) for a in axes for label in getattr(a.get_major_formatter(), "seq", ())]
    _, *fallbacks = faces_for("".join([*(text.get_text() for text in texts), *labels]))
    if not fallbacks:
        return
    families = [face.family for face in fallbacks]
    for text in texts:
        text.set_fontfamily([*text.get_fontfamily(), *families])
    for axis in axes:
        tick_families: Any = [*matplotlib.rcParams["font.family"], *families]
        axis.set_tick_params(labelfontfamily=tick_families)


def runs(text: str) -> Iterator[tuple[str, Face]]:
    """Yield the pieces of a text that share a font, with the font (for Pillow)."""
    faces = faces_for(text)
    part, used = "", faces[0]
    for cluster in _clusters(text):
        fits = [face for face in faces if all(covers(face, char) for char in _visible(cluster))]
        face = used if used in fits and cluster.isspace() else next(iter(fits), faces[0])
        if part and face != used:
            yield part, used
            part = ""
        part, used = part + cluster, face
    yield part, used


def main_face() -> Face:
    """Return the main font."""
    return Face(MAIN, str(font_manager.findfont(MAIN)), 0)


@cache
def covers(face: Face, char: str) -> bool:
    """Return whether a font has a visible glyph for a character."""
    font = _open(face)
    if font is None or not font.get_char_index(ord(char)):
        return False
    if char.isspace() or unicodedata.category(char) == "Cf":
        return True
    # Colour bitmap fonts have glyphs without an outline.
    box: tuple[int, ...] = font.load_char(ord(char)).bbox
    return box[2] > box[0] and box[3] > box[1]


def installed() -> list[Face]:
    """Return an upright font of regular weight per installed family, the plainest first."""
    best: dict[str, tuple[int, Face]] = {}
    for entry in font_manager.fontManager.ttflist:
        if entry.style != "normal" or "Last Resort" in entry.name:
            continue
        face = Face(entry.name, str(entry.fname), int(getattr(entry, "index", 0)))
        weight: Any = entry.weight
        off = abs(int(font_manager.weight_dict.get(weight, weight)) - 400)
        if entry.name not in best or off < best[entry.name][0]:
            best[entry.name] = (off, face)
    return sorted((face for _, face in best.values()), key=_plainness)


@cache
def _fallbacks(missing: frozenset[str]) -> tuple[Face, ...]:
    """Return few fonts that together cover as many of the characters as possible (greedy)."""
    fonts: list[Face] = []
    left = set(missing)
    for search in (installed, _just_installed):
        candidates = search() if left else []
        regional = _regional(missing)
        candidates = sorted(candidates, key=lambda face: regional not in face.family)
        while left:
            counts = [sum(covers(face, char) for char in left) for face in candidates]
            if not max(counts, default=0):
                break
            fonts.append(candidates[counts.index(max(counts))])
            left -= {char for char in left if covers(fonts[-1], char)}
    return tuple(fonts)


def _just_installed() -> list[Face]:
    """Return the installed fonts after adding those that Matplotlib's cached list lacks."""
    known = {Path(entry.fname) for entry in font_manager.fontManager.ttflist}
    for path in font_manager.findSystemFonts():
        if Path(path) not in known:
            # Bitmap fonts and invalid files raise various exceptions.
            with contextlib.suppress(Exception):
                font_manager.fontManager.addfont(path)
    return installed()


@cache
def _open(face: Face) -> FT2Font | None:
    try:
        font = FT2Font(face.path, face_index=face.number) if face.number else FT2Font(face.path)
        font.set_size(12, 72)
    except Exception:  # FreeType raises various errors for damaged fonts
        return None
    return font


def _regional(chars: frozenset[str]) -> str:
    """Return the suffix of East Asian font families for the region of the characters."""
    if any("\u3040" <= char <= "\u30ff" for char in chars):
        return " JP"
    return " KR" if any("\uac00" <= char <= "\ud7a3" for char in chars) else " SC"


def _plainness(face: Face) -> tuple[bool, bool, str]:
    name = face.family.lower()
    fancy = any(part in name for part in ("serif", "mono", "display", "condensed", "light"))
    return fancy, "sans" not in name, face.family


def _shapes() -> bool:
    """Return whether this Matplotlib supports text shaping."""
    major, minor = matplotlib.__version__.split(".")[:2]
    return (int(major), int(minor)) >= (3, 11)


def _is_complex(text: str) -> bool:
    return any(
        unicodedata.bidirectional(char) in ("R", "AL", "AN")
        or any(low <= ord(char) <= high for low, high in JOINED)
        for char in text
    )


def _visible(text: str) -> set[str]:
    return {char for char in text if char not in "\n\t " and char not in IGNORABLE}


def _clusters(text: str) -> Sequence[str]:
    """Return characters together with their combining marks."""
    clusters: list[str] = []
    for char in text:
        if clusters and (char in IGNORABLE or unicodedata.category(char).startswith("M")):
            clusters[-1] += char
        else:
            clusters.append(char)
    return clusters
