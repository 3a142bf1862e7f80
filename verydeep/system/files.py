"""Files written whole or not at all: a temporary name, fsync, rename."""

from __future__ import annotations

import contextlib
import errno
import json
import os
import re
import shutil
import tempfile
from collections.abc import Callable, Iterable, Iterator
from pathlib import Path
from typing import Any

from verydeep.errors import DiskError, InputError, VeryDeepError

TEMPORARY = ".tmp"

_FULL = frozenset({errno.ENOSPC, errno.EDQUOT, errno.EFBIG})
"""No room on the disk, for this user, or in a file of this size."""

_FAILING = frozenset({errno.EIO, errno.ENOMEM, errno.ESTALE, errno.ETIMEDOUT, errno.ENODEV})
"""Faults of the machine; any other is that the file may not be written, or that its name is bad."""

_PROBE = 2**20


def write_atomically(path: Path, write: Callable[[Path], object]) -> None:
    """Let ``write`` fill a temporary file beside ``path``, then put it in place in one step.

    A reader sees the old file or the new one, also when the machine stops in between.

    Raises:
        DiskError: There is no room, or the disk fails; the file is as it was.
        InputError: Nothing may be written there.
    """
    with told_of(path):
        path.parent.mkdir(parents=True, exist_ok=True)
        handle, name = tempfile.mkstemp(prefix=f".{path.name}.", suffix=TEMPORARY, dir=path.parent)
        os.close(handle)
        temporary = Path(name)
        try:
            with told_of(path, probe=temporary):
                write(temporary)
                _sync(temporary)
            temporary.chmod(0o666 & ~_umask())
            temporary.replace(path)
            _sync(path.parent)
        finally:
            with contextlib.suppress(OSError):
                temporary.unlink(missing_ok=True)


@contextlib.contextmanager
def told_of(path: Path, *, probe: Path | None = None) -> Iterator[None]:
    """Say in a message of ours what keeps the system from writing to a path.

    Args:
        path: What is being written: a file, or the folder of several.
        probe: A file beside it to write to if a library has failed without saying why.

    Raises:
        DiskError: There is no room, or the disk fails.
        InputError: Nothing may be written there.
    """
    try:
        yield
    except VeryDeepError:
        raise
    except Exception as error:
        number = _number_of(error)
        if number is None and probe is not None:
            number = _fault_of_disk(probe)
        if number is None:
            raise
        raise write_error(path, number) from error


def write_error(path: Path, number: int) -> VeryDeepError:
    """Return the error for a path that cannot be written, from the system's number of the fault."""
    reason = os.strerror(number)
    if number in _FULL:
        return DiskError(
            f"{path}: no room on the disk ({reason}{_free(path)}); it has not been written, and "
            "what stood there before is whole. Make room, or choose another folder"
        )
    if number in _FAILING:
        return DiskError(f"{path}: the disk fails ({reason}); it has not been written")
    return InputError(
        f"{path}: cannot be written ({reason}): make it writable, or choose another folder"
    )


def is_no_room(error: OSError) -> bool:
    """Return whether a disk is full, or a quota used up."""
    return error.errno in _FULL


def _number_of(error: Exception) -> int | None:
    """Return the system's number of a fault; other libraries only have it in their words."""
    if isinstance(error, OSError) and error.errno is not None:
        return error.errno
    found = re.search(r"\(os error (\d+)\)|\[Errno (\d+)\]", str(error))
    return int(found[1] or found[2]) if found else None


def _fault_of_disk(probe: Path) -> int | None:
    try:
        with probe.open("ab") as file:
            file.write(bytes(_PROBE))
            file.flush()
            os.fsync(file.fileno())
    except OSError as error:
        return error.errno
    return None


def _free(path: Path) -> str:
    for folder in path.absolute().parents:
        with contextlib.suppress(OSError):
            return f", {shutil.disk_usage(folder).free / 1e6:,.0f} MB free"
    return ""


def make_folder(path: Path) -> None:
    """Make a folder to write to, and find out whether that can be done, before any other work.

    Raises:
        InputError: It cannot be made, or nothing can be written there.
        DiskError: There is no room.
    """
    try:
        path.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        if error.errno in _FULL:
            raise write_error(path, error.errno) from error
        raise InputError(f"{path}: no folder can be made there ({error.strerror})") from error
    try:
        with tempfile.TemporaryFile(dir=path) as file:
            file.write(b"room")
    except OSError as error:
        if error.errno in _FULL:
            raise write_error(path, error.errno) from error
        raise InputError(
            f"{path}: nothing can be written there ({error.strerror}): choose another folder"
        ) from error


def check_writable(folder: Path) -> None:
    """Find out, before any other work, whether a folder can be made or written to.

    Raises:
        InputError: Nothing can be written there.
        DiskError: There is no room.
    """
    there = next((path for path in (folder, *folder.absolute().parents) if path.exists()), folder)
    with told_of(folder), tempfile.TemporaryFile(dir=there) as file:
        file.write(b"room")


def lies_within(path: Path, folder: Path) -> bool:
    """Return whether a path, which need not exist, is a folder or lies in it.

    Raises:
        InputError: It is a link that leads to itself.
    """
    try:
        return path.resolve().is_relative_to(folder.resolve())
    except (RuntimeError, OSError) as error:  # the former until Python 3.12
        raise InputError(f"{path}: a link that leads to itself: choose another folder") from error


def clear_temporaries(folder: Path) -> None:
    """Remove what writes that were killed left in a folder, if that is allowed."""
    for path in folder.glob(f".*{TEMPORARY}"):
        with contextlib.suppress(OSError):
            path.unlink(missing_ok=True)


def write_text(path: Path, text: str) -> None:
    """Write a text file in UTF-8, whole or not at all.

    What UTF-8 has no bytes for (parts of file names in another encoding) is written as an escape,
    which JSON reads back as it was.
    """
    content = text.encode("utf-8", "backslashreplace")
    write_atomically(path, lambda temporary: temporary.write_bytes(content))


def write_json(path: Path, value: Any) -> None:
    """Write a value as indented JSON, whole or not at all."""
    write_text(path, json.dumps(value, indent=2, ensure_ascii=False) + "\n")


def write_json_lines(path: Path, values: Iterable[Any]) -> None:
    """Write values as JSON, a line each, whole or not at all."""
    write_text(path, "".join(json.dumps(value, ensure_ascii=False) + "\n" for value in values))


def _sync(path: Path) -> None:
    descriptor = os.open(path, os.O_RDONLY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)


def _umask() -> int:
    mask = os.umask(0)
    os.umask(mask)
    return mask
