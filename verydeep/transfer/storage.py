"""Feature files: Parquet for most tools, or NumPy's ``.npz``, which needs no extra.

Both are written in parts and atomically. A Parquet file has the columns ``file``, ``split``,
``label`` and ``vector`` (a list of D float32), and metadata as JSON under the key ``verydeep``. An
``.npz`` has the arrays ``file``, ``split``, ``label``, ``vector`` (N, D), and the same JSON as
``about``.

N images, D features.
"""

from __future__ import annotations

import json
import shutil
import tempfile
import zipfile
from collections.abc import Iterable, Iterator
from dataclasses import replace
from functools import partial
from pathlib import Path
from typing import IO, Any

import numpy as np
from pydantic import ValidationError

from verydeep.errors import DataError, InputError, MissingExtra, plural
from verydeep.system.files import expanded, write_atomically
from verydeep.transfer.extract import FeaturePart
from verydeep.transfer.features import FORMAT, LABELS_FORMAT, About, Features

KEY = b"verydeep"
ENDINGS = (".parquet", ".npz")
COLUMNS = ("file", "split", "label")


def check_target(path: Path) -> None:
    """Check an output file before features are computed.

    Raises:
        InputError: The suffix is unknown, or the path is a folder.
        MissingExtra: It is a Parquet file, and pyarrow is not installed.
    """
    if path.suffix.lower() not in ENDINGS:
        raise InputError(
            f"{path}: features are written as {' or '.join(ENDINGS)}, got {path.suffix!r} instead"
        )
    if path.is_dir():
        raise InputError(f"{path} is a folder: name a file in it")
    if path.suffix.lower() == ".parquet":
        _parquet(path)


def write_features(path: Path, parts: Iterable[FeaturePart], about: About) -> About:
    """Write features part by part.

    Args:
        path: Output file, ``.parquet`` or ``.npz``.
        parts: Parts of dimension ``about.dimension``.
        about: Metadata.

    Returns:
        The metadata with the names of unreadable images.

    Raises:
        InputError: The file cannot be written.
        DiskError: The disk is full.
        MissingExtra: pyarrow is needed but not installed.
    """
    check_target(path)
    write = _write_parquet if path.suffix.lower() == ".parquet" else _write_npz
    unreadable: list[str] = []
    watched = _collecting(parts, unreadable)
    write_atomically(path, partial(write, parts=watched, about=about, unreadable=unreadable))
    return replace(about, unreadable=tuple(unreadable))


def read_features(path: str | Path) -> Features:
    """Read a file of features.

    Raises:
        DataError: The file does not exist or is invalid.
        MissingExtra: It is a Parquet file, and pyarrow is not installed.
    """
    path = expanded(path)
    if not path.is_file():
        raise DataError(f"{path}: no such file; verydeep features writes one")
    if path.suffix.lower() not in ENDINGS:
        raise DataError(f"{path}: feature files end in {' or '.join(ENDINGS)}")
    read = _read_parquet if path.suffix.lower() == ".parquet" else _read_npz
    about, columns, vectors = read(path)
    if vectors.dtype.kind != "f":
        raise DataError(f"{path}: vectors must be floats, got {vectors.dtype} instead")
    files, splits, labels = (np.asarray(column, np.str_) for column in columns)
    features = Features(files, splits, labels, np.asarray(vectors, np.float32), _about(about, path))
    shapes = {column.shape for column in (files, splits, labels)}
    if shapes != {vectors.shape[:1]} or vectors.shape[1:] != (features.about.dimension,):
        raise DataError(
            f"{path}: vectors of shape {vectors.shape} for {plural(files.size, 'file')} "
            f"of {features.about.dimension} features each"
        )
    if not np.isfinite(features.vectors).all():
        raise DataError(f"{path}: contains infinite values or NaN")
    return features


def _collecting(parts: Iterable[FeaturePart], unreadable: list[str]) -> Iterator[FeaturePart]:
    """Yield parts and collect the names of unreadable images."""
    for part in parts:
        unreadable += part.unreadable
        yield part


def _write_parquet(
    path: Path, parts: Iterable[FeaturePart], about: About, unreadable: list[str]
) -> None:
    pyarrow, parquet = _parquet(path)
    vector = pyarrow.list_(pyarrow.float32(), about.dimension)
    schema = pyarrow.schema([*((name, pyarrow.string()) for name in COLUMNS), ("vector", vector)])
    with parquet.ParquetWriter(path, schema) as writer:
        for part in parts:
            numbers = pyarrow.array(part.vectors.ravel())
            rows = pyarrow.FixedSizeListArray.from_arrays(numbers, about.dimension)
            splits = [part.split] * len(part.files)
            texts = [pyarrow.array(c, pyarrow.string()) for c in (part.files, splits, part.labels)]
            writer.write_table(pyarrow.table([*texts, rows], schema=schema))
        whole = replace(about, unreadable=tuple(unreadable))
        writer.add_key_value_metadata({KEY: json.dumps(whole.to_dict()).encode()})


def _read_parquet(path: Path) -> tuple[Any, list[Any], Any]:
    pyarrow, parquet = _parquet(path)
    try:
        with parquet.ParquetFile(path) as file:
            text = (file.metadata.metadata or {}).get(KEY)
            if text is None:
                raise DataError(_OTHER.format(path=path))
            about = json.loads(text)
            table = file.read([*COLUMNS, "vector"])
            columns = [table[name].to_pylist() for name in COLUMNS]
            numbers = table["vector"].combine_chunks().flatten().to_numpy()
            return about, columns, numbers.reshape(len(table), -1 if len(table) else 0)
    except (pyarrow.ArrowException, OSError, ValueError, KeyError) as error:
        if isinstance(error, DataError):
            raise
        raise DataError(f"{path}: cannot be read ({error})") from error


def _write_npz(
    path: Path, parts: Iterable[FeaturePart], about: About, unreadable: list[str]
) -> None:
    files: list[str] = []
    splits: list[str] = []
    labels: list[str] = []
    with tempfile.TemporaryFile(dir=path.parent) as vectors:
        # The header needs their number, which is known only after the last part.
        for part in parts:
            vectors.write(part.vectors.tobytes())
            files += part.files
            splits += [part.split] * len(part.files)
            labels += part.labels
        whole = json.dumps(replace(about, unreadable=tuple(unreadable)).to_dict())
        with zipfile.ZipFile(path, "w", zipfile.ZIP_STORED) as archive:
            texts = dict(zip(COLUMNS, (files, splits, labels), strict=True))
            for name, column in (texts | {"about": whole}).items():
                with archive.open(f"{name}.npy", "w", force_zip64=True) as member:
                    np.lib.format.write_array(member, np.array(column, np.str_))
            with archive.open("vector.npy", "w", force_zip64=True) as member:
                _copy_array(vectors, member, (len(files), about.dimension))


def _copy_array(numbers: IO[bytes], member: IO[bytes], shape: tuple[int, int]) -> None:
    """Write float32 values from a file as an array in NumPy's format."""
    head = {"descr": "<f4", "fortran_order": False, "shape": shape}
    np.lib.format.write_array_header_1_0(member, head)
    numbers.seek(0)
    shutil.copyfileobj(numbers, member, 2**20)


def _read_npz(path: Path) -> tuple[Any, list[Any], Any]:
    if not zipfile.is_zipfile(path):  # NumPy would suggest allow_pickle
        raise DataError(f"{path}: cannot be read (not an .npz file, or truncated)")
    try:
        # NumPy would leave a damaged file open.
        with path.open("rb") as file, np.load(file, allow_pickle=False) as arrays:
            if "about" not in arrays:
                raise DataError(_OTHER.format(path=path))
            about = json.loads(str(arrays["about"]))
            return about, [arrays[name] for name in COLUMNS], arrays["vector"]
    except DataError:
        raise
    except Exception as error:  # depends on the damage
        raise DataError(f"{path}: cannot be read ({error})") from error


_OTHER = "{path}: not written by verydeep features (no metadata about its vectors)"


def _about(values: Any, path: Path) -> About:
    try:
        about = About.from_dict(values)
    except ValidationError as error:
        first = error.errors()[0]
        reason = f"{'.'.join(str(x) for x in first['loc'])}: {first['msg']}"
        raise DataError(f"{path}: invalid metadata about its vectors ({reason})") from error
    if about.format != (LABELS_FORMAT if about.multi_label else FORMAT):
        raise DataError(
            f"{path}: written in format {about.format} by verydeep {about.version}; this version "
            f"reads format {FORMAT}"
        )
    return about


def _parquet(path: Path) -> tuple[Any, Any]:
    try:
        import pyarrow
        from pyarrow import parquet
    except ImportError as error:
        raise MissingExtra(f"{path}: Parquet (.npz does not)", "parquet") from error
    return pyarrow, parquet
