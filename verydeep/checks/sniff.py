"""What a file that is no picture is instead, from its first bytes."""

from __future__ import annotations

FORMAT_OF_SUFFIX = {
    ".jpg": "JPEG",
    ".jpeg": "JPEG",
    ".jfif": "JPEG",
    ".png": "PNG",
    ".webp": "WEBP",
    ".bmp": "BMP",
    ".gif": "GIF",
    ".tif": "TIFF",
    ".tiff": "TIFF",
}
"""What the content should be, by the ending in lower case."""

HEAD = 64
"""Bytes that are looked at."""

_STARTS = (
    (b"\xff\xd8\xff", "JPEG"),
    (b"\x89PNG\r\n\x1a\n", "PNG"),
    (b"GIF8", "GIF"),
    (b"BM", "BMP"),
    (b"II*\0", "TIFF"),
    (b"MM\0*", "TIFF"),
    (b"%PDF", "PDF"),
    (b"8BPS", "Photoshop"),
    (b"PK\x03\x04", "a ZIP archive"),
    (b"\x1f\x8b", "gzip"),
)

PICTURES = frozenset({*FORMAT_OF_SUFFIX.values(), "AVIF", "HEIC", "Photoshop"})
"""What :func:`sniff` may answer that is a picture."""


def sniff(head: bytes) -> str | None:
    """Return what a file seems to hold, from its first bytes; None if they tell nothing.

    >>> sniff(b"<!DOCTYPE html>"), sniff(b"RIFF0000WEBP"), sniff(bytes(16))
    ('a web page or XML', 'WEBP', None)
    """
    if head[:4] == b"RIFF" and head[8:12] == b"WEBP":
        return "WEBP"
    if head[4:8] == b"ftyp":
        return "AVIF" if head[8:12] in (b"avif", b"avis") else "HEIC"
    for start, name in _STARTS:
        if head.startswith(start):
            return name
    text = head.lstrip(b"\xef\xbb\xbf \t\r\n")
    if text.startswith(b"<"):
        return "a web page or XML"
    if text and all(byte >= 32 or byte in b"\t\r\n" for byte in text):
        return "text"
    return None
