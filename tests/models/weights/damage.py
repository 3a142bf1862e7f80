"""See that a damaged file of weights is read or refused in one line, whatever is in it."""

from __future__ import annotations

import io
import os
import zipfile
from pathlib import Path

from hypothesis import HealthCheck, settings

from verydeep.errors import ModelError
from verydeep.models.weights.recognize import Reader

EXAMPLES = int(os.environ.get("VERYDEEP_DAMAGED_FILES", "150"))
"""Number of damaged files for each test; more when hunting for faults."""

patient = settings(
    max_examples=EXAMPLES, suppress_health_check=[HealthCheck.function_scoped_fixture]
)


def refusal(reader: Reader, path: Path) -> str:
    """Read a file that may be damaged and return the message, or nothing if it can be read."""
    if not reader.matches(path.read_bytes()[:4096], path):
        return ""
    try:
        found = reader.read(path)
    except ModelError as error:
        return str(error)
    assert sum(layer.weight.numel() for layer in found.layers) < 10_000
    return ""


def try_to_read(reader: Reader, path: Path) -> None:
    """Read a file and check the message, if there is one."""
    text = refusal(reader, path)
    assert "\n" not in text
    assert not text or text.startswith(f"{path}: ")


def assert_damage_named(reader: Reader, path: Path, what: str) -> None:
    """Check the one message that all formats have for a file that cannot be read."""
    text = refusal(reader, path)
    assert text.startswith(f"{path}: not {what}, or a damaged one (")
    assert text.endswith("); copy or save it again")


def encrypted(archive: bytes) -> bytes:
    """Return a zip archive whose members are marked as encrypted."""
    marked = bytearray(archive)
    for signature, flags in ((b"PK\x03\x04", 6), (b"PK\x01\x02", 8)):
        place = -1
        while (place := archive.find(signature, place + 1)) >= 0:
            marked[place + flags] |= 1
    assert all(one.flag_bits & 1 for one in zipfile.ZipFile(io.BytesIO(marked)).infolist())
    return bytes(marked)
