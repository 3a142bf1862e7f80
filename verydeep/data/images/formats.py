"""Image formats: those that can be read, and those only recognised by name.

Pillow reads JPEG, PNG, WEBP, BMP, GIF, TIFF, PPM and, depending on its build, AVIF;
``pillow-heif`` (the extra ``verydeep[heic]``) reads HEIC.
"""

from __future__ import annotations

import importlib.util
from collections.abc import Iterable

from PIL import features

HEIC, AVIF = "HEIC", "AVIF"

SUFFIXES_OF = {
    "JPEG": (".jpg", ".jpeg", ".jpe", ".jfif", ".jif", ".pjpeg", ".pjp", ".mpo"),
    "PNG": (".png", ".apng"),
    "WEBP": (".webp",),
    "BMP": (".bmp", ".dib"),
    "GIF": (".gif",),
    "TIFF": (".tif", ".tiff"),
    "PPM": (".ppm", ".pgm", ".pbm", ".pnm"),
    AVIF: (".avif", ".avifs"),
    HEIC: (".heic", ".heif", ".hif", ".heics"),
}
"""Lower-case extensions of each format."""

JPEGS = ("JPEG", "MPO")
"""Pillow's names of JPEG files; MPO has several images, of which the first is read."""

FORMAT_OF_SUFFIX = {suffix: name for name, endings in SUFFIXES_OF.items() for suffix in endings}
"""Format that a lower-case extension stands for."""

OTHERS = frozenset(
    (
        ".jxl", ".jp2", ".j2k", ".j2c", ".jpf", ".jpx", ".jxr", ".wdp", ".psd", ".psb", ".svg",
        ".svgz", ".tga", ".ico", ".icns", ".exr", ".hdr", ".dds", ".eps", ".xcf", ".emf", ".wmf",
        ".pcx", ".pict", ".qoi", ".raw", ".cr2", ".cr3", ".crw", ".nef", ".nrw", ".arw", ".srf",
        ".sr2", ".dng", ".orf", ".rw2", ".raf", ".pef", ".srw", ".x3f", ".3fr", ".iiq", ".erf",
        ".mrw", ".kdc", ".dcr", ".dcm",
    )
)  # fmt: skip
"""Extensions of images that cannot be read."""

_HEIC_BRANDS = frozenset(
    (b"heic", b"heix", b"heim", b"heis", b"hevc", b"hevx", b"hevm", b"hevs", b"mif1", b"msf1")
)
_AVIF_BRANDS = frozenset((b"avif", b"avis"))


def can_read_heic() -> bool:
    """Return whether the extra for HEIC is installed, without importing it."""
    return importlib.util.find_spec("pillow_heif") is not None


_READABLE = tuple(
    name
    for name in SUFFIXES_OF
    if (name != HEIC or can_read_heic()) and (name != AVIF or features.check("avif"))
)

FORMATS = tuple(name for name in _READABLE if name != HEIC)
"""Pillow's names of the formats; its other parsers never see the bytes."""

SUFFIXES = frozenset(suffix for name in _READABLE for suffix in SUFFIXES_OF[name])
"""Lower-case extensions of files that count as images."""


def is_picture_name(suffix: str) -> bool:
    """Return whether a lower-case extension is that of an image, readable or not.

    >>> is_picture_name(".heic"), is_picture_name(".cr2"), is_picture_name(".txt")
    (True, True, False)
    """
    return suffix in FORMAT_OF_SUFFIX or suffix in OTHERS


def remedy(suffixes: Iterable[str]) -> str:
    """Return how to make images with these extensions readable; empty if some already are.

    >>> remedy([".cr2"])
    'convert them to .jpg or .png'
    >>> remedy([".txt"])
    ''
    """
    unread = {suffix for suffix in suffixes if is_picture_name(suffix)} - SUFFIXES
    if not unread:
        return ""
    if unread <= {*SUFFIXES_OF[HEIC]}:
        return INSTALL_HEIC
    if unread <= {*SUFFIXES_OF[AVIF]}:
        return "update Pillow: pip install -U pillow"
    return "convert them to .jpg or .png"


INSTALL_HEIC = "pip install 'verydeep[heic]' reads them"


def box_format(head: bytes) -> str | None:
    """Return the format of an ISO base media file, from its first bytes.

    Returns:
        ``AVIF``, ``HEIC``, or ``a video``; None if it is not an ISO base media file.

    >>> box_format(bytes([0, 0, 0, 20]) + b"ftypmif1" + bytes(4) + b"heic")
    'HEIC'
    """
    if head[4:8] != b"ftyp":
        return None
    end = min(len(head), int.from_bytes(head[:4]))
    brands = {head[8:12], *(head[place : place + 4] for place in range(16, end, 4))}
    if brands & _AVIF_BRANDS:
        return AVIF
    return HEIC if brands & _HEIC_BRANDS else "a video"
