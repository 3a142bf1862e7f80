"""Atomic writing of files: temporary name, fsync, rename."""

from __future__ import annotations

import contextlib
import errno
import json
import os
import re
import shutil
import tempfile
import threading
from collections.abc import Callable, Iterable, Iterator
from pathlib import Path
from typing import Any, TypeVar

from verydeep.errors import DiskError, InputError, VeryDeepError

T = TypeVar("T")

TEMPORARY = ".tmp"

_FULL = frozenset({errno.ENOSPC, errno.EDQUOT, errno.EFBIG})
"""Full disk, used-up quota, or file size limit."""

_FAILING = frozenset({errno.EIO, errno.ENOMEM, errno.ESTALE, errno.ETIMEDOUT, errno.ENODEV})
"""Hardware and system faults; other errors mean that the file may not be written there."""

_PROBE = 2**20


def write_atomically(path: Path, write: Callable[[Path], object]) -> None:
    """Let ``write`` fill a temporary file beside ``path``, then rename it.

    Readers see the old file or the new one, even if the machine crashes in between.

    Raises:
        DiskError: The disk is full or failing; the old file is unchanged.
        InputError: The path is not writable.
    """
    with explained_write_errors(path):
        path.parent.mkdir(parents=True, exist_ok=True)
        prefix = f".{path.name[:40]}."  # the whole name may be as long as a name can be
        handle, name = tempfile.mkstemp(prefix=prefix, suffix=TEMPORARY, dir=path.parent)
        os.close(handle)
        temporary = Path(name)
        try:
            with explained_write_errors(path, probe=temporary):
                write(temporary)
            move_into_place(temporary, path)
        finally:
            with contextlib.suppress(OSError):
                temporary.unlink(missing_ok=True)


def move_into_place(finished: Path, path: Path) -> None:
    """Bring a finished file to the disk, and then rename it.

    Raises:
        DiskError: The disk is full or failing; an older file at ``path`` is unchanged.
        InputError: The path is not writable.
    """
    with explained_write_errors(path):
        sync(finished)
        finished.chmod(usual_mode())
        finished.replace(path)
        sync(path.parent)


@contextlib.contextmanager
def explained_write_errors(path: Path, *, probe: Path | None = None) -> Iterator[None]:
    """Convert an error on writing to a path into one of ours.

    Args:
        path: The file, or the folder of several files.
        probe: File beside it for a test write if a library fails without giving the reason.

    Raises:
        DiskError: The disk is full or failing.
        InputError: The path is not writable.
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
    """Return the error for a path that cannot be written, from the system's error number."""
    reason = os.strerror(number)
    if number in _FULL:
        return DiskError(
            f"{path}: no space on the disk ({reason}{_free(path)}); nothing was written, and an "
            "existing file is unchanged. Free some space, or choose another folder"
        )
    if number in _FAILING:
        return DiskError(f"{path}: the disk is failing ({reason}); nothing was written")
    return InputError(
        f"{path}: cannot be written ({reason}): make it writable, or choose another folder"
    )


def is_disk_full(error: OSError) -> bool:
    """Return whether the disk is full or a quota used up."""
    return error.errno in _FULL


def _number_of(error: Exception) -> int | None:
    """Return the system's error number; other libraries only mention it in their message."""
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
    place = path.absolute()
    for folder in (place, *place.parents):
        with contextlib.suppress(OSError):
            return f", {shutil.disk_usage(folder).free / 1e6:,.0f} MB free"
    return ""


def make_folder(path: Path) -> None:
    """Make a folder, and check before any other work that it is writable.

    Raises:
        InputError: The folder cannot be made or is not writable.
        DiskError: The disk is full or failing.
    """
    with explained_write_errors(path):
        path.mkdir(parents=True, exist_ok=True)
        with tempfile.TemporaryFile(dir=path) as file:
            file.write(b"room")


@contextlib.contextmanager
def made_folder(path: Path) -> Iterator[None]:
    """Make a folder as :func:`make_folder` does; after a failure before its first file, remove it.

    Folders above it that were made for it are removed, too.
    """
    missing = [folder for folder in (path, *path.parents) if not folder.exists()]
    try:
        make_folder(path)
        yield
    except BaseException:
        with contextlib.suppress(OSError):  # the first one with a file in it ends this
            for folder in missing:
                folder.rmdir()
        raise


def make_output_folder(path: Path, data: Path) -> Path:
    """Make and return a folder for output, which must be outside of the data.

    Raises:
        InputError: The folder is inside the data, cannot be made, or is not writable.
        DiskError: The disk is full or failing.
    """
    path = expanded(path)
    if lies_within(path, data):
        raise InputError(f"{path} is inside the data set, which must not change: choose another")
    make_folder(path)
    return path


def check_writable(folder: Path) -> None:
    """Check, before any other work, that a folder can be made or written to.

    Raises:
        InputError: The folder is not writable.
        DiskError: The disk is full or failing.
    """
    there = next((path for path in (folder, *folder.absolute().parents) if path.exists()), folder)
    with explained_write_errors(folder), tempfile.TemporaryFile(dir=there) as file:
        file.write(b"room")


def expanded(path: str | Path) -> Path:
    """Return a path that someone gave, with their home folder for ``~``.

    Unlike :meth:`pathlib.Path.expanduser`, it keeps a name like ``~nobody`` for which there is no
    home folder.
    """
    return Path(os.path.expanduser(path))  # noqa: PTH111


def from_anywhere(place: T) -> T | Path:
    """Return the path of a file or folder as it holds in any working directory.

    Args:
        place: Whatever else it is, such as a name or a loaded data set, is returned as it is.
    """
    if isinstance(place, str | Path) and (path := expanded(place)).exists():
        return path.absolute()
    return place


def lies_within(path: Path, folder: Path) -> bool:
    """Return whether a path, which need not exist, is a folder or inside it.

    Raises:
        InputError: The path is a circular link.
    """
    try:
        return path.resolve().is_relative_to(folder.resolve())
    except (RuntimeError, OSError) as error:  # the former until Python 3.12
        raise InputError(f"{path}: a circular link: choose another folder") from error


def clear_temporaries(folder: Path) -> None:
    """Remove the temporary files of killed writes from a folder, if allowed."""
    for path in folder.glob(f".*{TEMPORARY}"):
        with contextlib.suppress(OSError):
            path.unlink(missing_ok=True)


def encodable(text: str) -> str:
    r"""Return text that UTF-8 can hold: surrogates, from file names in other encodings, as escapes.

    >>> print(encodable("caf\udce9.jpg"))
    caf\udce9.jpg
    """
    return text.encode("utf-8", "backslashreplace").decode("utf-8")


def write_text(path: Path, text: str) -> None:
    """Write a text file in UTF-8 atomically.

    Surrogates (from file names in other encodings) are written as escapes, which JSON reads back
    unchanged.
    """
    content = text.encode("utf-8", "backslashreplace")
    write_atomically(path, lambda temporary: temporary.write_bytes(content))


def write_json(path: Path, value: Any) -> None:
    """Write a value as indented JSON atomically."""
    write_text(path, json.dumps(value, indent=2, ensure_ascii=False) + "\n")


def write_json_lines(path: Path, values: Iterable[Any]) -> None:
    """Write values as JSON lines atomically."""
    write_text(path, "".join(json.dumps(value, ensure_ascii=False) + "\n" for value in values))


def sync(path: Path) -> None:
    """Bring a file, or the names in a folder, to the disk."""
    descriptor = os.open(path, os.O_RDONLY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)


def usual_mode() -> int:
    """Return the permissions of a new file; temporary files are private instead."""
    return 0o666 & ~_umask()


def _umask() -> int:
    """Return the mask of the permissions of new files.

    On Linux it is read. Elsewhere it can only be set, and for a moment that is the mask of files
    that other threads make.
    """
    with contextlib.suppress(OSError, StopIteration):
        lines = Path("/proc/self/status").read_text().splitlines()
        return int(next(line for line in lines if line.startswith("Umask:")).split()[1], 8)
    with _MASK_GUARD:
        mask = os.umask(0o077)
        os.umask(mask)
    return mask


_MASK_GUARD = threading.Lock()
