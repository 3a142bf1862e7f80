"""Recognition of exported nets by their files, without any runtime."""

from __future__ import annotations

import html
import lzma
import re
import zipfile
import zlib
from pathlib import Path

from verydeep.errors import ModelError, printable
from verydeep.models.exported.metadata import KEY, Metadata
from verydeep.models.weights.formats.protobuf_wire import WireError, map_file, outline
from verydeep.system.files import expanded

SUFFIXES = {".onnx": "onnx", ".xml": "openvino", ".pt2": "torch"}
"""Targets by the ends of file names."""

ENTRY = 14
"""Number of a metadata entry in an ONNX model."""

LARGEST = 64 * 2**20
"""Bytes of the largest XML file, and of the largest description in a program, that are read."""

TORCH_ENTRY = f"{KEY}.json"
"""Name of the description within a program of PyTorch."""


def is_exported(model: object) -> bool:
    """Return whether a value is the path of a file that this package exported.

    A damaged description counts too; :func:`read_metadata` says what is wrong.
    """
    if not isinstance(model, str | Path):
        return False
    path = expanded(model)
    return path.suffix.lower() in SUFFIXES and path.is_file() and _text_in(path) is not None


def weights_beside(path: Path) -> Path | None:
    """Return the file beside an exported one that its weights may lie in, which need not exist.

    Those of OpenVINO always do, and those of large graphs of ONNX; None for other kinds of files.
    """
    match path.suffix.lower():
        case ".xml":
            return path.with_suffix(".bin")
        case ".onnx":
            return path.with_name(f"{path.name}.data")
        case _:
            return None


def read_metadata(path: Path) -> Metadata:
    """Return the description of an exported net.

    Raises:
        ModelError: The file is not one of this package's exports, or is damaged.
    """
    if path.suffix.lower() not in SUFFIXES:
        raise ModelError(
            f"{printable(path)}: no exported net; their names end in {', '.join(SUFFIXES)}"
        )
    text = _text_in(path)
    if text is None:
        raise ModelError(
            f"{printable(path)}: not exported by verydeep, so its classes and preprocessing are "
            "not known; verydeep import makes a model of a VGG net in an ONNX file"
        )
    try:
        return Metadata.from_json(text)
    except (ValueError, TypeError) as error:
        raise ModelError(
            f"{printable(path)}: its description is damaged or from a later version ({error}); "
            "export the net again"
        ) from error


def _text_in(path: Path) -> str | None:
    """Return the description in a file; None if there is none."""
    match SUFFIXES[path.suffix.lower()]:
        case "onnx":
            return _in_onnx(path)
        case "openvino":
            return _in_xml(path)
        case _:
            return _in_program(path)


def _in_onnx(path: Path) -> str | None:
    data = map_file(path)
    try:
        for field in outline(data):
            if field.number == ENTRY and field.wire == 2 and field.end <= len(data):
                entry = data[field.start : field.end]
                inside = {one.number: bytes(entry[one.start : one.end]) for one in outline(entry)}
                if inside.get(1) == KEY.encode():
                    return inside.get(2, b"").decode("utf-8", "replace")
    except WireError:
        return None
    return None


def _in_xml(path: Path) -> str | None:
    if path.stat().st_size > LARGEST:
        return None
    found = re.search(rf'<{KEY} value="([^"]*)"', path.read_text("utf-8", "replace"))
    return None if found is None else html.unescape(found[1])


def _in_program(path: Path) -> str | None:
    try:
        with zipfile.ZipFile(path) as archive:
            entries = archive.infolist()
            found = next((one for one in entries if one.filename.endswith(f"/{TORCH_ENTRY}")), None)
            if found is None:
                return None
            with archive.open(found) as file:  # its size may be a lie
                data = file.read(LARGEST + 1)
    except _DAMAGED:
        return None
    return None if len(data) > LARGEST else data.decode("utf-8", "replace")


_DAMAGED = (
    *(zipfile.BadZipFile, zlib.error, lzma.LZMAError, OSError, EOFError),
    RuntimeError,  # encryption, and unknown methods of compression
)
"""Errors of :mod:`zipfile` for damaged and odd archives."""
