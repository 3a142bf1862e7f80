"""What one file is: read once, to its end, as training would read it."""

from __future__ import annotations

import hashlib
import stat
from dataclasses import dataclass, replace
from pathlib import Path
from typing import BinaryIO, Literal

from PIL import Image, UnidentifiedImageError

from verydeep.checks.hashes import perceptual_hash
from verydeep.checks.sniff import HEAD, sniff
from verydeep.data.bounds import MAX_PIXELS
from verydeep.data.decode import FORMATS, QUIET, SIDEWAYS, orientation_of, reason_of, upright_rgb
from verydeep.data.samples import Box
from verydeep.data.statistics import Measure, Moments
from verydeep.errors import PictureError, VeryDeepError

Fault = Literal["empty", "no-picture", "too-large", "broken", "unreadable"]

ENOUGH = 128
"""Pixels a side that a JPEG keeps at least where its full size is not asked for."""


@dataclass(frozen=True, slots=True)
class Facts:
    """What a file is.

    Attributes:
        length: In bytes.
        digest: Hash of its bytes; empty if they cannot be read.
        fault: Why training cannot use it; None if it can.
        reason: The same in words.
        format: Pillow's name of what it holds, whatever its ending; None if that is unknown.
        mode: Pillow's mode of its pixels.
        width: Of the upright picture, pixels; 0 if unknown.
        height: Likewise.
        animated: Whether it has several frames or pages.
        turned: Whether EXIF says that it must be turned or mirrored.
        deep: Whether it has 16 bits a channel.
        alpha: Whether parts of it can be transparent.
        hash: Perceptual hash; None if it is broken or nearly one colour.
    """

    length: int = 0
    digest: bytes = b""
    fault: Fault | None = None
    reason: str = ""
    format: str | None = None
    mode: str = ""
    width: int = 0
    height: int = 0
    animated: bool = False
    turned: bool = False
    deep: bool = False
    alpha: bool = False
    hash: int | None = None


@dataclass(frozen=True, slots=True)
class Picture:
    """A file of the data set, with its place in it.

    Attributes:
        path: Where it is.
        name: Its path within the data set.
        split: Name of the split.
        label: Number of the class.
        box: Where the object is, if known.
        facts: What the file is.
    """

    path: Path
    name: str
    split: str
    label: int
    box: Box | None
    facts: Facts


@dataclass(frozen=True, slots=True)
class Task:
    """One file to look at; with ``colours`` all of its pixels are decoded and measured."""

    path: Path
    colours: bool


def examine(task: Task) -> tuple[Facts, Moments | None]:
    """Look at a file, and measure its colours if that is asked for. Nothing is raised."""
    try:
        status = task.path.stat()
        if not stat.S_ISREG(status.st_mode):
            return Facts(fault="unreadable", reason="no regular file"), None
        with task.path.open("rb") as stream:
            return _examine(stream, Facts(length=status.st_size), task.colours)
    except OSError as error:
        return Facts(fault="unreadable", reason=reason_of(error)), None


def _examine(stream: BinaryIO, facts: Facts, colours: bool) -> tuple[Facts, Moments | None]:
    if not facts.length:
        return replace(facts, fault="empty", reason="the file is empty"), None
    digest = hashlib.file_digest(stream, "blake2b").digest()[:16]  # type: ignore[arg-type]
    stream.seek(0)
    facts, upright = _decode(stream, replace(facts, digest=digest), colours)
    if upright is None:
        return facts, None
    moments = Measure(keep=False, largest_scale=None)(upright)[0] if colours else None
    return replace(facts, hash=perceptual_hash(upright)), moments


def _decode(stream: BinaryIO, facts: Facts, whole: bool) -> tuple[Facts, Image.Image | None]:
    """Return what a file is, and its upright picture, at a reduced size unless ``whole``."""
    try:
        with QUIET, Image.open(stream, formats=FORMATS) as picture:
            facts = _from_header(facts, picture)
            return (facts, None) if facts.fault else _from_pixels(facts, picture, whole)
    except PictureError as refusal:
        return replace(facts, fault="broken", reason=str(refusal)), None
    except VeryDeepError:  # a signal's doing, not the picture's
        raise
    except Exception as error:  # a broken file can make Pillow raise almost anything
        return _broken(facts, stream, error), None


def _from_header(facts: Facts, picture: Image.Image) -> Facts:
    """Add what the header says."""
    width, height = picture.size
    facts = replace(
        facts,
        format="JPEG" if picture.format == "MPO" else picture.format,
        mode=picture.mode,
        width=width,
        height=height,
        deep=any(";16" in str(tile[3]) for tile in getattr(picture, "tile", ()))
        or picture.mode.startswith("I;16"),
        alpha=picture.has_transparency_data,
    )
    if width * height <= MAX_PIXELS:
        return facts
    reason = f"{width}x{height} is {width * height:,} pixels, more than the {MAX_PIXELS:,} allowed"
    return replace(facts, fault="too-large", reason=reason)


def _from_pixels(
    facts: Facts, picture: Image.Image, whole: bool
) -> tuple[Facts, Image.Image | None]:
    """Add what is known once the pixels are read; a reduced JPEG too is read to its end."""
    if not whole:
        picture.draft(None, (ENOUGH, ENOUGH))
    picture.load()
    upright = upright_rgb(picture)
    orientation = orientation_of(picture)
    if orientation in SIDEWAYS:
        facts = replace(facts, width=facts.height, height=facts.width)
    animated = facts.format != "JPEG" and _several(picture)
    return replace(facts, turned=orientation in range(2, 9), animated=animated), upright


def _several(picture: Image.Image) -> bool:
    """Return whether there is more than the first frame, which alone must be whole."""
    try:
        return bool(getattr(picture, "is_animated", False))
    except Exception:
        return True


def _broken(facts: Facts, stream: BinaryIO, error: Exception) -> Facts:
    reason = reason_of(error)
    if isinstance(error, Image.DecompressionBombError):
        return replace(facts, fault="too-large", reason=reason)
    if not isinstance(error, UnidentifiedImageError):
        return replace(facts, fault="broken", reason=reason)
    stream.seek(0)
    content = sniff(stream.read(HEAD))
    if content is None:
        return replace(facts, fault="no-picture", reason=reason)
    if content in FORMATS:
        return replace(facts, fault="broken", format=content, reason=f"{content}, but {reason}")
    return replace(facts, fault="no-picture", reason=f"it holds {content}, which cannot be decoded")
