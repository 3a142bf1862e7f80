"""MATLAB 7.3 files (``save -v7.3``), which are HDF5 files, read within bounds.

Links out of the file, data in other files and data that unpack to far more than the file are
refused.
"""

from __future__ import annotations

from functools import partial
from math import prod
from pathlib import Path
from typing import Any

import numpy as np

from verydeep.errors import MissingExtra
from verydeep.models.weights.formats.matconvnet.matlab_values import (
    Budget,
    MatlabError,
    Numbers,
    Other,
)
from verydeep.models.weights.source import MOST_VALUES

HEADER = b"MATLAB 7.3 MAT-file"
MOST_CHARACTERS = 10_000

LEAST_UNPACKED = 2**20
MOST_UNPACKED = 16
"""A data set may become this many bytes, or this many times as long as it is stored."""

CLASSES = {
    **{"double": "f8", "single": "f4", "int8": "i1", "uint8": "u1", "int16": "i2", "uint16": "u2"},
    **{"int32": "i4", "uint32": "u4", "int64": "i8", "uint64": "u8", "logical": "u1"},
}


def is_mat73(head: bytes) -> bool:
    """Return whether a file begins with the header of a MATLAB 7.3 file."""
    return head.startswith(HEADER)


def read_mat73(path: Path) -> tuple[dict[str, Any], Any]:
    """Return the variables of a file by name, and the open file, which arrays are read from.

    Raises:
        MatlabError: The file is damaged, or holds what no net holds.
        MissingExtra: h5py is not installed.
    """
    try:
        import h5py
    except ImportError as error:
        raise MissingExtra("reading a MATLAB 7.3 file (h5py)", "matlab") from error
    try:
        file = h5py.File(path, "r")
    except (OSError, RuntimeError, ValueError) as error:
        raise MatlabError(f"no HDF5 file: {error}") from error
    try:
        return _File(h5py, file).read(), file
    except MatlabError:
        file.close()
        raise
    except Exception as error:  # the errors of h5py on a damaged file have no common base class
        file.close()
        raise MatlabError(f"{type(error).__name__}: {error}") from error


class _File:
    def __init__(self, h5py: Any, file: Any) -> None:
        self.h5py, self.file = h5py, file
        self.budget = Budget()

    def read(self) -> dict[str, Any]:
        return {
            name: self._value(self._member(self.file, name), 0)
            for name in self.file
            if not name.startswith("#")  # where MATLAB keeps what cells refer to
        }

    def _member(self, group: Any, name: str) -> Any:
        if not isinstance(group.get(name, getlink=True), self.h5py.HardLink):
            raise MatlabError("a link to another place")
        return group[name]

    def _value(self, item: Any, depth: int) -> Any:
        self.budget.spend(1, depth)
        kind = item.attrs.get("MATLAB_class", b"")
        kind = kind.decode("ascii", "replace") if isinstance(kind, bytes) else str(kind)
        if isinstance(item, self.h5py.Group):
            return self._struct(item, depth) if kind == "struct" else Other()
        if not isinstance(item, self.h5py.Dataset):
            return Other()
        if item.attrs.get("MATLAB_empty", 0):
            return "" if kind == "char" else [] if kind == "cell" else _nothing()
        if item.dtype == self.h5py.ref_dtype:
            return self._referred(item, depth)
        if kind == "char" and item.dtype.kind == "u" and item.size <= MOST_CHARACTERS:
            return "".join(map(chr, self._read(item).ravel()))
        if kind in CLASSES and item.dtype.kind in "fiu":
            dtype = np.dtype(CLASSES[kind])
            return Numbers(item.shape[::-1], dtype, partial(self._load, item, dtype))
        return Other()

    def _struct(self, group: Any, depth: int) -> Any:
        names = list(group)
        self.budget.spend(len(names), depth)
        fields = {name: self._member(group, name) for name in names}
        arrays = [self._is_array_of_structs(item) for item in fields.values()]
        values = {name: self._value(item, depth + 1) for name, item in fields.items()}
        if not arrays or not all(arrays):
            return values
        count = min(map(len, values.values()))
        return [{name: value[place] for name, value in values.items()} for place in range(count)]

    def _is_array_of_structs(self, item: Any) -> bool:
        """Return whether a field of a struct holds references to one value for each struct."""
        is_data = isinstance(item, self.h5py.Dataset)
        return is_data and item.dtype == self.h5py.ref_dtype and "MATLAB_class" not in item.attrs

    def _referred(self, item: Any, depth: int) -> list[Any]:
        self.budget.spend(item.size, depth)
        references = self._read(item).ravel()
        return [self._value(self.file[one], depth + 1) if one else Other() for one in references]

    def _load(self, item: Any, dtype: np.dtype) -> np.ndarray:
        try:
            return np.asarray(self._read(item), dtype).T
        except MatlabError:
            raise
        except Exception as error:  # the errors of h5py on damaged data have no common base class
            raise MatlabError(f"{type(error).__name__}: {error}") from error

    def _read(self, item: Any) -> Any:
        """Return the numbers of a data set that lies in this file and is not much longer than it.

        Raises:
            MatlabError: It lies elsewhere, or unpacks to too many bytes.
        """
        if item.is_virtual or item.external or item.compression not in (None, "gzip"):
            raise MatlabError("data in another file, or packed in a way that MATLAB does not use")
        size = prod(item.shape) * item.dtype.itemsize
        allowed = max(LEAST_UNPACKED, MOST_UNPACKED * item.id.get_storage_size())
        if prod(item.shape) > MOST_VALUES or size > allowed:
            raise MatlabError(f"data of {size:,} bytes in {item.id.get_storage_size():,}")
        return item[()]


def _nothing() -> Numbers:
    return Numbers((0, 0), np.dtype("f8"), partial(np.zeros, (0, 0)))
