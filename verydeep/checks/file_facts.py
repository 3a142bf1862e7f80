"""Facts of one file, from reading it to the end as training would."""

from __future__ import annotations

import hashlib
from dataclasses import dataclass, replace
from typing import Literal

from PIL import Image, UnidentifiedImageError

from verydeep.checks.file_signature import sniff
from verydeep.checks.perceptual_hash import perceptual_hash
from verydeep.data.images.decode import (
    HEAD,
    opened,
    reason_of,
    rgb_of,
)
from verydeep.data.images.formats import FORMATS
from verydeep.data.images.limits import open_metered
from verydeep.data.images.member import ImageSource
from verydeep.data.images.orientation import UPRIGHT, orientation_of
from verydeep.data.pipeline.colour_statistics import Measure, Moments
from verydeep.errors import PictureError, PictureTooLarge, VeryDeepError

Fault = Literal["empty", "no-picture", "too-large", "broken", "unreadable"]

_NAMES = {"MPO": "JPEG", "HEIF": "HEIC"}  # common names of Pillow's formats

ENOUGH = 128
"""Minimum side in pixels of a JPEG decoded at a reduced size."""


@dataclass(frozen=True, slots=True)
class FileFacts:
    """The facts of a file.

    Attributes:
        length: Size in bytes.
        digest: Hash of the bytes; empty if they cannot be read.
        fault: Why training cannot use it; None if it can.
        reason: The fault in words.
        format: Image format, whatever the extension; None if unknown.
        mode: Pillow's mode.
        width: Width of the upright image in pixels; 0 if unknown.
        height: Height of the upright image in pixels; 0 if unknown.
        animated: Whether it has several frames or pages.
        turned: Whether EXIF requires turning or mirroring.
        deep: Whether it has 16 bits per channel.
        alpha: Whether it can have transparent parts.
        hash: Perceptual hash; None if broken or nearly one colour.
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


def examine(path: ImageSource, colours: bool) -> tuple[FileFacts, Moments | None]:
    """Examine a file without raising.

    Args:
        path: Location of the file.
        colours: Whether to decode all of its pixels and measure its colours.
    """
    try:
        with open_metered(path) as stream:
            head = stream.read(HEAD)
            stream.seek(0)
            digest = hashlib.file_digest(stream, "blake2b").digest()[:16]
            facts = FileFacts(length=stream.length, digest=digest)
    except PictureTooLarge as refusal:
        return FileFacts(fault="too-large", reason=str(refusal)), None
    except PictureError as refusal:
        return FileFacts(fault="unreadable", reason=str(refusal)), None
    except (OSError, ValueError) as error:  # a name with a null byte is a ValueError
        return FileFacts(fault="unreadable", reason=reason_of(error)), None
    if not head:
        return FileFacts(fault="empty", reason="the file is empty"), None
    facts, upright = _decode(path, facts, head, whole=colours)
    if upright is None:
        return facts, None
    moments = Measure(keep=False, largest_scale=None)(upright)[0] if colours else None
    return replace(facts, hash=perceptual_hash(upright)), moments


def _decode(
    path: ImageSource, facts: FileFacts, head: bytes, *, whole: bool
) -> tuple[FileFacts, Image.Image | None]:
    """Return the facts and the upright image, at a reduced size unless ``whole``."""
    try:
        with opened(path) as picture:
            facts = _from_header(facts, picture)
            return _from_pixels(facts, picture, whole=whole)
    except PictureTooLarge as refusal:
        return replace(facts, fault="too-large", reason=str(refusal)), None
    except PictureError as refusal:
        return replace(facts, fault="broken", reason=str(refusal)), None
    except VeryDeepError:  # raised by a signal handler, not by the image
        raise
    except Exception as error:  # a broken file can make Pillow raise almost anything
        return _broken(facts, head, error), None


def _from_header(facts: FileFacts, picture: Image.Image) -> FileFacts:
    """Add the facts in the header."""
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
    """Add the facts from decoding; a reduced JPEG is also read to its end."""
    if not whole and facts.format == "JPEG":  # in other formats a draft may be a thumbnail
        picture.draft(None, (ENOUGH, ENOUGH))
    picture.load()
    orientation = orientation_of(picture)
    upright = orientation.upright(rgb_of(picture))
    if orientation.swap:
        facts = replace(facts, width=facts.height, height=facts.width)
    animated = facts.format != "JPEG" and _several(picture)
    return replace(facts, turned=orientation != UPRIGHT, animated=animated), upright


def _several(picture: Image.Image) -> bool:
    """Return whether there is more than the first frame; only that one must be intact."""
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
    return replace(facts, fault="no-picture", reason=f"it is {content}, which cannot be decoded")
