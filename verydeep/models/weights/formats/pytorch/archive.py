"""Files of ``torch.save`` opened without running anything: zip archives and the older pickles."""

from __future__ import annotations

import io
import mmap
import struct
import zipfile
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import IO, Any

import torch
from torch import Tensor

from verydeep.errors import ModelError
from verydeep.models.weights.formats.pytorch.pickled import (
    LONGEST,
    Storage,
    StoredTensor,
    read_pickle,
)

ZIP = b"PK\x03\x04"
LEGACY = b"\x80\x02\x8a\nl\xfc\x9cF\xf9 j\xa8P\x19."
"""Beginning of a file of torch.save before version 1.6: a pickle of a number."""


@dataclass(frozen=True)
class Checkpoint:
    """An open file of ``torch.save``.

    Attributes:
        content: What was saved, as :func:`read_pickle` gives it.
        size: Size of the file in bytes.
        fill: Reads the bytes of a storage into a buffer as long as they are.
    """

    content: Any
    size: int
    fill: Callable[[Storage, memoryview], None]

    def tensor(self, stored: StoredTensor) -> Tensor:
        """Read a tensor, whose size has been checked.

        Raises:
            ModelError: Its numbers are of an unknown type.
            ValueError: The file does not hold all of its numbers.
        """
        dtype, numel = stored.storage.dtype, stored.storage.numel
        if dtype is None:
            raise ModelError(
                "holds numbers of an unusual type; save it with net.float().state_dict()"
            )
        numbers = torch.empty(numel, dtype=dtype)
        if numel:
            raw: Any = numbers.view(torch.uint8).numpy()
            self.fill(stored.storage, memoryview(raw))
        return numbers.as_strided(stored.size, stored.stride, stored.offset)


@contextmanager
def open_checkpoint(path: Path) -> Iterator[Checkpoint]:
    """Open a file of ``torch.save``.

    Raises:
        ModelError: The file is another kind of archive, or its tensors need a converter.
        ValueError, LookupError, TypeError, AttributeError, OSError: The file is damaged.
    """
    with path.open("rb") as file:
        zipped = file.read(len(ZIP)) == ZIP
    if zipped:
        with zipfile.ZipFile(path) as archive:
            yield _from_zip(archive, path.stat().st_size)
        return
    with path.open("rb") as file, mmap.mmap(file.fileno(), 0, access=mmap.ACCESS_READ) as whole:
        yield _from_pickles(file, whole)


def _from_zip(archive: zipfile.ZipFile, size: int) -> Checkpoint:
    names = archive.namelist()
    root = next((name[: -len("data.pkl")] for name in names if name.endswith("data.pkl")), None)
    if any(name.endswith("constants.pkl") for name in names):
        raise ModelError(
            "is a TorchScript program, not weights; save its weights alone: "
            'torch.save(torch.jit.load(FILE).state_dict(), "weights.pth")'
        )
    if root is None:
        raise ModelError(
            "is no file of torch.save: there is no data.pkl in it; save the weights with "
            'torch.save(net.state_dict(), "weights.pth")'
        )

    def fill(storage: Storage, target: memoryview) -> None:
        member = archive.getinfo(f"{root}data/{storage.key}")
        _check_stored(member, size)
        if member.file_size != len(target):
            raise ValueError("a tensor of another length than its numbers")
        with archive.open(member) as stream:
            _read_into(stream, target)

    if f"{root}byteorder" in names:
        _check_order(_member(archive, f"{root}byteorder", size) == b"little")
    content = read_pickle(io.BytesIO(_member(archive, f"{root}data.pkl", size)))
    return Checkpoint(content, size, fill)


def _member(archive: zipfile.ZipFile, name: str, size: int) -> bytes:
    member = archive.getinfo(name)
    _check_stored(member, min(size, LONGEST))
    return archive.read(member)


def _check_stored(member: zipfile.ZipInfo, most: int) -> None:
    """Refuse compressed members, which may unpack to any size: torch.save never writes them."""
    if member.compress_type != zipfile.ZIP_STORED:
        raise ModelError("its zip archive is compressed; unpack it and zip it without compression")
    if not member.file_size == member.compress_size <= most:
        raise ValueError(f"{member.filename} of {member.file_size:,} bytes")


def _check_order(little: bool) -> None:
    if not little:
        raise ModelError("holds big-endian numbers; load and save it on a usual machine")


def _read_into(stream: IO[bytes], target: memoryview) -> None:
    done = 0
    while done < len(target):
        part = stream.read(min(2**24, len(target) - done))
        if not part:
            raise ValueError("the numbers of a tensor end too early")
        target[done : done + len(part)] = part
        done += len(part)


def _from_pickles(file: IO[bytes], whole: mmap.mmap) -> Checkpoint:
    if whole[: len(LEGACY)] != LEGACY:
        raise ModelError(
            "is a Python pickle that torch.save did not write; unpickling it could run any code; "
            'where it comes from, save torch.save(net.state_dict(), "weights.pth")'
        )
    storages: dict[str, Storage] = {}
    place, parts = len(LEGACY), []
    for _ in range(4):  # protocol, system, what was saved, keys of its storages
        stream = io.BytesIO(whole[place : place + LONGEST])
        parts.append(read_pickle(stream, storages))
        place += stream.tell()
    _, system, content, keys = parts
    _check_order(not isinstance(system, dict) or system.get("little_endian", True) is True)
    places = _places(whole, place, [storages[key] for key in keys])

    def fill(storage: Storage, target: memoryview) -> None:
        file.seek(places[storage.key])
        _read_into(file, target)

    return Checkpoint(content, len(whole), fill)


def _places(whole: mmap.mmap, place: int, storages: list[Storage]) -> dict[str, int]:
    """Return where the storages begin: one after another, each behind its length."""
    places = {}
    for storage in storages:
        (numel,) = struct.unpack_from("<q", whole, place)
        if numel != storage.numel or storage.dtype is None:
            raise ValueError("a tensor of another length than its numbers")
        places[storage.key] = place + 8
        place += 8 + numel * storage.dtype.itemsize
    if place > len(whole):
        raise ValueError("the numbers of a tensor end too early")
    return places
