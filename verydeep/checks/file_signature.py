"""Content of a file, detected from its first bytes."""

from __future__ import annotations

from verydeep.data.images.formats import SUFFIXES_OF, box_format

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

PICTURES = frozenset({*SUFFIXES_OF, "Photoshop"})
"""Results of :func:`sniff` that are images."""


def sniff(head: bytes) -> str | None:
    """Return the content of a file, guessed from its first bytes; None if unknown.

    >>> sniff(b"<!DOCTYPE html>"), sniff(b"RIFF0000WEBP"), sniff(bytes(16))
    ('a web page or XML', 'WEBP', None)
    """
    if head[:4] == b"RIFF" and head[8:12] == b"WEBP":
        return "WEBP"
    if head[:1] == b"P" and head[1:2] in b"123456" and head[2:3].isspace():
        return "PPM"
    if boxes := box_format(head):
        return boxes
    for start, name in _STARTS:
        if head.startswith(start):
            return name
    text = head.lstrip(b"\xef\xbb\xbf \t\r\n")
    if text.startswith(b"<"):
        return "a web page or XML"
    if text and all(byte >= 32 or byte in b"\t\r\n" for byte in text):
        return "text"
    return None
