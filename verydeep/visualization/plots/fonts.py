"""Fonts for names in any script: a font of the system that has the signs, else a number.

Drawings are lettered in DejaVu Sans, which Matplotlib brings along. It has Latin, Greek, Cyrillic,
Hebrew and Arabic letters, but none of East or South Asia. For signs that it lacks, the fonts of the
system are searched. A name with signs that no font has is drawn as a number; so is one in a script
whose letters join or run from right to left, where Matplotlib (before 3.11) or Pillow (without
Raqm) would draw its letters apart or backwards.
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
"""Family of all letters that it has."""

JOINED = ((0x0900, 0x0DFF), (0x0F00, 0x109F), (0x1780, 0x18AF), (0x1A20, 0x1AAF))
"""Code points of scripts, besides those from right to left, that need their letters shaped."""

IGNORABLE = frozenset(map(chr, (*range(0x200B, 0x2010), 0x2060, 0xFEFF, *range(0xFE00, 0xFE10))))
"""Signs without an image of their own, which fonts need not have."""


@dataclass(frozen=True, slots=True)
class Face:
    """A font in a file.

    Attributes:
        family: Its name.
        path: Of the file.
        number: In the file, which may hold several, from 0.
    """

    family: str
    path: str
    number: int


def name_or_number(name: str, number: int, *, pillow: bool = False) -> str:
    """Return a name as it can be drawn, in one line; ``no. 3`` if no font has its letters.

    Args:
        name: Of a class or a file.
        number: What stands for it.
        pillow: Whether Pillow draws it, not Matplotlib.
    """
    text = " ".join(name.split())
    text = "".join(sign for sign in text if sign not in IGNORABLE or covers(main_face(), sign))
    text = (
        text if all(sign.isprintable() or sign in IGNORABLE for sign in text) else printable(text)
    )
    shaped = features.check("raqm") if pillow else _shapes()
    return text if can_draw(text) and (shaped or not _is_complex(text)) else f"no. {number}"


def key_to_numbers(names: Mapping[int, str]) -> str:
    """Return which names Matplotlib draws as numbers, as a sentence; empty if it draws them all.

    Args:
        names: By the numbers that may stand for them.
    """
    told = [
        f"{drawn} is {name}"
        for number, name in names.items()
        if (drawn := name_or_number(name, number)) == f"no. {number}"
    ]
    return f"No font of this machine has the letters of some names: {', '.join(told)}." * bool(told)


def can_draw(text: str) -> bool:
    """Return whether all signs of a text are in a font that is installed."""
    faces = faces_for(text)
    return all(any(covers(face, sign) for face in faces) for sign in _signs(text))


def faces_for(text: str) -> tuple[Face, ...]:
    """Return the main font, and fonts of the system that have the signs that it lacks."""
    missing = frozenset(sign for sign in _signs(text) if not covers(main_face(), sign))
    return (main_face(), *_fallbacks(missing)) if missing else (main_face(),)


def letter(figure: Figure) -> None:
    """Let the texts of a figure fall back to fonts of the system for signs that the main one lacks.

    Args:
        figure: With all of its texts.
    """
    texts = [text for text in figure.findobj(Text) if isinstance(text, Text)]
    axes = [axis for one in figure.axes for axis in (one.xaxis, one.yaxis)]
    ticks = [str(word) for axis in axes for word in getattr(axis.get_major_formatter(), "seq", ())]
    families = [
        face.family for face in faces_for("".join([*(t.get_text() for t in texts), *ticks]))
    ]
    if len(families) == 1:
        return
    for text in texts:
        text.set_fontfamily([*text.get_fontfamily(), *families[1:]])
    for axis in axes:
        own: Any = [*matplotlib.rcParams["font.family"], *families[1:]]
        axis.set_tick_params(labelfontfamily=own)


def runs(text: str) -> Iterator[tuple[str, Face]]:
    """Yield the parts of a text, each with the font that has its signs, as Pillow needs them."""
    faces = faces_for(text)
    part, used = "", faces[0]
    for cluster in _clusters(text):
        fits = [face for face in faces if all(covers(face, sign) for sign in _signs(cluster))]
        face = used if used in fits and cluster.isspace() else next(iter(fits), faces[0])
        if part and face != used:
            yield part, used
            part = ""
        part, used = part + cluster, face
    yield part, used


def main_face() -> Face:
    """Return the font that Matplotlib brings along."""
    return Face(MAIN, str(font_manager.findfont(MAIN)), 0)


@cache
def covers(face: Face, sign: str) -> bool:
    """Return whether a font has a sign, and draws something for it."""
    font = _open(face)
    if font is None or not font.get_char_index(ord(sign)):
        return False
    if sign.isspace() or unicodedata.category(sign) == "Cf":
        return True
    # A font of coloured bitmaps has signs without an outline.
    box: tuple[int, ...] = font.load_char(ord(sign)).bbox
    return box[2] > box[0] and box[3] > box[1]


def installed() -> list[Face]:
    """Return an upright font of normal weight of each family of the system, the plainest first."""
    best: dict[str, tuple[int, Face]] = {}
    for entry in font_manager.fontManager.ttflist:
        if entry.style != "normal" or "Last Resort" in entry.name:
            continue
        face = Face(entry.name, str(entry.fname), int(getattr(entry, "index", 0)))
        off = abs(_weight(entry.weight) - 400)
        if entry.name not in best or off < best[entry.name][0]:
            best[entry.name] = (off, face)
    return sorted((face for _, face in best.values()), key=_plainness)


@cache
def _fallbacks(missing: frozenset[str]) -> tuple[Face, ...]:
    """Return as few fonts as have the most of the signs."""
    found: list[Face] = []
    left = set(missing)
    for search in (installed, _just_installed):
        candidates = search() if left else []
        regional = _regional(missing)
        candidates = sorted(candidates, key=lambda face: regional not in face.family)
        while left:
            counts = [sum(covers(face, sign) for sign in left) for face in candidates]
            if not max(counts, default=0):
                break
            found.append(candidates[counts.index(max(counts))])
            left -= {sign for sign in left if covers(found[-1], sign)}
    return tuple(found)


def _just_installed() -> list[Face]:
    """Return the fonts again, with those that are newer than Matplotlib's list of them."""
    known = {Path(entry.fname) for entry in font_manager.fontManager.ttflist}
    for path in font_manager.findSystemFonts():
        if Path(path) not in known:
            # Bitmaps, and files that are no fonts, are refused in several ways.
            with contextlib.suppress(Exception):
                font_manager.fontManager.addfont(path)
    return installed()


@cache
def _open(face: Face) -> FT2Font | None:
    try:
        font = FT2Font(face.path, face_index=face.number) if face.number else FT2Font(face.path)
        font.set_size(12, 72)
    except Exception:  # a damaged font is passed over, whatever FreeType says of it
        return None
    return font


def _regional(signs: frozenset[str]) -> str:
    """Return the end of a family's name for the East Asian letter forms that the signs call for."""
    if any("\u3040" <= sign <= "\u30ff" for sign in signs):
        return " JP"
    return " KR" if any("\uac00" <= sign <= "\ud7a3" for sign in signs) else " SC"


def _plainness(face: Face) -> tuple[bool, bool, str]:
    name = face.family.lower()
    fancy = any(word in name for word in ("serif", "mono", "display", "condensed", "light"))
    return fancy, "sans" not in name, face.family


def _weight(weight: Any) -> int:
    return int(font_manager.weight_dict.get(weight, weight))


def _shapes() -> bool:
    """Return whether this Matplotlib joins and orders letters as their script needs it."""
    major, minor = matplotlib.__version__.split(".")[:2]
    return (int(major), int(minor)) >= (3, 11)


def _is_complex(text: str) -> bool:
    return any(
        unicodedata.bidirectional(sign) in ("R", "AL", "AN")
        or any(low <= ord(sign) <= high for low, high in JOINED)
        for sign in text
    )


def _signs(text: str) -> set[str]:
    return {sign for sign in text if sign not in "\n\t " and sign not in IGNORABLE}


def _clusters(text: str) -> Sequence[str]:
    """Return letters together with the marks that stand on them."""
    clusters: list[str] = []
    for sign in text:
        if clusters and (sign in IGNORABLE or unicodedata.category(sign).startswith("M")):
            clusters[-1] += sign
        else:
            clusters.append(sign)
    return clusters
