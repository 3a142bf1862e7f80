"""Check of a program of PyTorch before PyTorch loads it.

``torch.export.load`` unpickles whatever a file asks it to, and runs native code from it. So a file
is loaded only if it holds nothing but what ``verydeep export`` writes.
"""

from __future__ import annotations

import io
import json
import re
import zipfile
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from verydeep.errors import ModelError, printable
from verydeep.models.exported.pt2_program import UnexpectedContent, check_program
from verydeep.models.exported.reading import TORCH_ENTRY

_WEIGHTS, _CONSTANTS = "data/weights/", "data/constants/"
_CONFIGS = {
    f"{_WEIGHTS}model_weights_config.json": re.compile(r"weight_\d+", re.ASCII),
    f"{_CONSTANTS}model_constants_config.json": re.compile(r"tensor_\d+", re.ASCII),
}
"""Lists of tensors, with the names of the members that they may lie in."""

_PROGRAM, _EXAMPLE = "models/model.json", "data/sample_inputs/model.pt"

_OTHERS = frozenset(
    {
        *("archive_format", "archive_version", "byteorder", "version", f"extra/{TORCH_ENTRY}"),
        *(".data/version", ".data/serialization_id", ".format_version", ".storage_alignment"),
        *(_PROGRAM, _EXAMPLE, *_CONFIGS),
    }
)

_TENSOR = re.compile(rf"{_WEIGHTS}weight_\d+|{_CONSTANTS}tensor_\d+", re.ASCII)


def check_archive(path: Path) -> None:
    """Refuse a program of PyTorch that holds anything but what ``verydeep export`` writes.

    Nothing of the file is unpickled or run.

    Args:
        path: The ``.pt2`` file.

    Raises:
        ModelError: It holds something else.
        RuntimeError: It is no archive of PyTorch.
    """
    from torch.export.pt2_archive import PT2ArchiveReader

    reader = PT2ArchiveReader(str(path))
    try:
        _check_members(path, reader.get_file_names())
        for config, place in _CONFIGS.items():
            _check_tensors(json.loads(reader.read_bytes(config)), place)
        check_program(json.loads(reader.read_bytes(_PROGRAM)))
        _check_example(reader.read_bytes(_EXAMPLE))
    except (UnexpectedContent, zipfile.BadZipFile, UnicodeError, RecursionError) as error:
        raise ModelError(
            f"{printable(path)}: not written by verydeep export ({printable(str(error))}); "
            "loading such a file can run any code, so it is refused"
        ) from error


def _check_members(path: Path, members: Sequence[str]) -> None:
    """Refuse members of other names, and names that another reader of the archive does not find.

    PyTorch falls back to :mod:`zipfile` for archives of an older format.

    Raises:
        UnexpectedContent: There are such members.
    """
    for member in members:
        if member not in _OTHERS and not _TENSOR.fullmatch(member):
            raise UnexpectedContent(f"it contains {member[:100]!r}")
    with zipfile.ZipFile(path) as archive:
        entries = archive.infolist()
    root = entries[0].filename.partition("/")[0] if entries else ""
    names = sorted(entry.filename for entry in entries)
    if names != sorted(f"{root}/{member}" for member in members) or len({*names}) < len(names):
        raise UnexpectedContent("its members are ambiguous")
    for entry in entries:
        if entry.compress_type != zipfile.ZIP_STORED or entry.file_size != entry.compress_size:
            raise UnexpectedContent(f"{entry.filename[:100]!r} is compressed")
    if sum(entry.file_size for entry in entries) > path.stat().st_size:
        raise UnexpectedContent("its members overlap")


def _check_tensors(config: Any, place: re.Pattern[str]) -> None:
    """Refuse tensors that are pickled or lie elsewhere.

    Raises:
        UnexpectedContent: There are such tensors.
    """
    match config:
        case {"config": dict(tensors), **other} if not other:
            pass
        case _:
            raise UnexpectedContent("its tensors are not listed")
    for about in tensors.values():
        match about:
            case {"path_name": str(name), "use_pickle": False} if place.fullmatch(name):
                check_program(about)
            case _:
                raise UnexpectedContent("it contains pickled objects")
    check_program(dict.fromkeys(tensors))


def _check_example(data: bytes) -> None:
    """Refuse an example of the inputs that cannot be read without code.

    Raises:
        UnexpectedContent: PyTorch would unpickle it.
    """
    import torch

    try:
        torch.load(io.BytesIO(data), weights_only=True)
    except Exception as error:  # PyTorch would try again without limits, whatever it is
        raise UnexpectedContent("its example of inputs is pickled") from error
