"""What one file is: read once, to its end, as training would read it."""

from __future__ import annotations

import hashlib
from dataclasses import dataclass, replace
from typing import Literal

from PIL import Image, UnidentifiedImageError

from verydeep.checks.file_signature import sniff
from verydeep.checks.perceptual_hash import perceptual_hash
from verydeep.data.images.decode import (
    HEAD,
    SIDEWAYS,
    opened,
    orientation_of,
    reason_of,
    upright_rgb,
)
from verydeep.data.images.formats import FORMATS
from verydeep.data.images.limits import open_metered
from verydeep.data.images.member import ImageSource
from verydeep.data.pipeline.colour_statistics import Measure, Moments
from verydeep.errors import PictureError, PictureTooLarge, VeryDeepError

Fault = Literal["empty", "no-picture", "too-large", "broken", "unreadable"]

_NAMES = {"MPO": "JPEG", "HEIF": "HEIC"}  # as they are known, where Pillow's name is another

ENOUGH = 128
"""Pixels a side that a JPEG keeps at least where its full size is not asked for."""


@dataclass(frozen=True, slots=True)
class FileFacts:
    """What a file is.

    Attributes:
        length: In bytes.
        digest: Hash of its bytes; empty if they cannot be read.
        fault: Why training cannot use it; None if it can.
        reason: The same in words.
        format: Pillow's name of what it holds, whatever its ending; None if that is unknown.
        mode: Pillow's mode of its pixels.
        width: Of the upright image, pixels; 0 if unknown.
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
class FileTask:
    """One file to look at; with ``colours`` all of its pixels are decoded and measured."""

    path: ImageSource
    colours: bool


def examine(task: FileTask) -> tuple[FileFacts, Moments | None]:
    """Look at a file, and measure its colours if that is asked for. Nothing is raised."""
    try:
        with open_metered(task.path) as stream:
            head = stream.read(HEAD)
            stream.seek(0)
            digest = hashlib.file_digest(stream, "blake2b").digest()[:16]
            facts = FileFacts(length=stream.length, digest=digest)
    except PictureTooLarge as refusal:
        return FileFacts(fault="too-large", reason=str(refusal)), None
    except PictureError as refusal:
        return FileFacts(fault="unreadable", reason=str(refusal)), None
    except (OSError, ValueError) as error:  # a name with a zero byte is a ValueError
        return FileFacts(fault="unreadable", reason=reason_of(error)), None
    if not head:
        return FileFacts(fault="empty", reason="the file is empty"), None
    return _examine(task, facts, head)


def _examine(task: FileTask, facts: FileFacts, head: bytes) -> tuple[FileFacts, Moments | None]:
    facts, upright = _decode(task, facts, head)
    if upright is None:
        return facts, None
    moments = Measure(keep=False, largest_scale=None)(upright)[0] if task.colours else None
    return replace(facts, hash=perceptual_hash(upright)), moments


def _decode(task: FileTask, facts: FileFacts, head: bytes) -> tuple[FileFacts, Image.Image | None]:
    """Return what a file is, and its upright image, at a reduced size unless it is measured."""
    try:
        with opened(task.path) as picture:
            facts = _from_header(facts, picture)
            return _from_pixels(facts, picture, whole=task.colours)
    except PictureTooLarge as refusal:
        return replace(facts, fault="too-large", reason=str(refusal)), None
    except PictureError as refusal:
        return replace(facts, fault="broken", reason=str(refusal)), None
    except VeryDeepError:  # a signal's doing, not the image's
        raise
    except Exception as error:  # a broken file can make Pillow raise almost anything
        return _broken(facts, head, error), None


def _from_header(facts: FileFacts, picture: Image.Image) -> FileFacts:
    """Add what the header says."""
    width, height = picture.size
    return replace(
        facts,
        format=_NAMES.get(str(picture.format), picture.format),
        mode=picture.mode,
        width=width,
        height=height,
        deep=any(";16" in str(tile[3]) for tile in getattr(picture, "tile", ()))
        or picture.mode.startswith("I;16"),
        alpha=picture.has_transparency_data,
    )


def _from_pixels(
    facts: FileFacts, picture: Image.Image, whole: bool
) -> tuple[FileFacts, Image.Image | None]:
    """Add what is known once the pixels are read; a reduced JPEG too is read to its end."""
    if not whole and facts.format == "JPEG":  # of others it may be a thumbnail in the file
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


def _broken(facts: FileFacts, head: bytes, error: Exception) -> FileFacts:
    reason = reason_of(error)
    if isinstance(error, Image.DecompressionBombError):
        return replace(facts, fault="too-large", reason=reason)
    if not isinstance(error, UnidentifiedImageError):
        return replace(facts, fault="broken", reason=reason)
    content = sniff(head)
    if content is None:
        return replace(facts, fault="no-picture", reason=reason)
    if content in FORMATS:
        return replace(facts, fault="broken", format=content, reason=f"{content}, but {reason}")
    return replace(facts, fault="no-picture", reason=f"it holds {content}, which cannot be decoded")
