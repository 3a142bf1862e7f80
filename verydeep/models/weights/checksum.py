"""Checksums of files."""

from __future__ import annotations

import hashlib
from pathlib import Path

from verydeep.system.progress import Progress

_CHUNK = 2**22
MEGABYTE = 10**6


def digest_of(path: Path, algorithm: str, progress: Progress | None = None) -> str:
    """Return the checksum of a file.

    Args:
        path: The file.
        algorithm: As :func:`hashlib.new` names it.
        progress: Progress reporting.

    Returns:
        Hexadecimal digits.
    """
    checksum = hashlib.new(algorithm, usedforsecurity=False)
    done, total = 0, path.stat().st_size
    progress = progress or Progress()
    with (
        path.open("rb") as file,
        progress.task(f"checking {path.name}, MB", total // MEGABYTE) as task,
    ):
        while chunk := file.read(_CHUNK):
            checksum.update(chunk)
            done += len(chunk)
            task.update(done / MEGABYTE)
    return checksum.hexdigest()


def is_digest(found: str, expected: str) -> bool:
    """Return whether a checksum is the expected one, which may be its leading digits.

    >>> is_digest("397923af8e79", "397923AF"), is_digest("397923af8e79", "97923af")
    (True, False)
    """
    return bool(expected) and found.startswith(expected.lower())
