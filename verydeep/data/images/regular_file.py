"""Safe opening of regular files: named pipes and devices in a data set are refused.

Opening a pipe blocks until its other end is opened, and opening a device may have side effects.
Either can have the name of a shard, an image or an annotation.
"""

from __future__ import annotations

import errno
import io
import os
import stat
from collections.abc import Callable
from pathlib import Path

_KINDS: tuple[tuple[Callable[[int], bool], str], ...] = (
    (stat.S_ISDIR, "Is a directory"),
    (stat.S_ISFIFO, "a named pipe, not a file"),
    (stat.S_ISSOCK, "a socket, not a file"),
    (lambda mode: not stat.S_ISREG(mode), "a device, not a file"),
)


def open_regular(path: str | Path) -> io.FileIO:
    """Open a regular file for unbuffered reading.

    Raises:
        OSError: It is missing or not a regular file; ``strerror`` gives the reason.
    """
    check_regular(path)
    file = io.FileIO(path, "rb", opener=_open_nonblocking)
    try:
        # It may have been replaced meanwhile.
        _check_mode(os.fstat(file.fileno()).st_mode, path)
    except OSError:
        file.close()
        raise
    return file


def check_regular(path: str | Path) -> None:
    """Refuse anything but a regular file, before another library opens it and blocks.

    Raises:
        OSError: It is missing or not a regular file; ``strerror`` gives the reason.
    """
    try:
        mode = Path(path).stat().st_mode
    except FileNotFoundError as error:
        if Path(path).is_symlink():
            target = str(Path(path).readlink())
            reason = f"a link to {target!r}, which does not exist"
            raise FileNotFoundError(errno.ENOENT, reason, str(path)) from error
        raise
    _check_mode(mode, path)


def _check_mode(mode: int, path: str | Path) -> None:
    for is_kind, reason in _KINDS:
        if is_kind(mode):
            raise OSError(errno.EINVAL, reason, str(path))


def _open_nonblocking(path: str, flags: int) -> int:
    return os.open(path, flags | getattr(os, "O_NONBLOCK", 0))
