"""Tell the format of a file of weights by looking into it, and read it."""

from __future__ import annotations

import importlib
from pathlib import Path
from typing import Protocol, cast

from verydeep.errors import ModelError, printable
from verydeep.models.weights.source import SourceFile

READERS = ("pytorch", "keras", "matconvnet", "onnx", "caffe")
"""Packages in ``formats``, asked in this order; protocol buffers have no signature, so last."""

KNOWN = (
    "PyTorch (.pth, .pt, .safetensors), Keras (.h5, .keras), Caffe (.caffemodel), MatConvNet "
    "(.mat) and ONNX (.onnx)"
)
HEAD_BYTES = 4096


class Reader(Protocol):
    """A module that reads one format."""

    def matches(self, head: bytes, path: Path) -> bool:
        """Return whether a file with these first bytes is of the format."""

    def read(self, path: Path) -> SourceFile:
        """Read a file of the format."""


def read_weights(path: Path) -> SourceFile:
    """Read a file of weights of any known format.

    Raises:
        ModelError: The file is of no known format, or broken.
        MissingExtra: The format needs a library that is not installed.
    """
    head = _head(path)
    for name in READERS:
        reader = cast(
            Reader, importlib.import_module(f"verydeep.models.weights.formats.{name}.reader")
        )
        if reader.matches(head, path):
            return reader.read(path)
    raise ModelError(f"{printable(path)}: no weights of a known format, which are {KNOWN}")


def _head(path: Path) -> bytes:
    if path.is_dir():
        raise ModelError(f"{printable(path)}: a folder, but neither of a model nor of a run")
    try:
        if not path.is_file():
            raise ModelError(f"{printable(path)}: no such file")
        with path.open("rb") as file:
            return file.read(HEAD_BYTES)
    except OSError as error:
        raise ModelError(f"{printable(path)}: cannot be read ({error.strerror})") from error
