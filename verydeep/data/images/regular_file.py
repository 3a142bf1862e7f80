"""Regular files, opened without waiting: a named pipe or a device in a data set is refused.

To open a pipe waits for its other end, to open a device may set it going. What has the name of a
shard, an image or an annotation may be one of them all the same.
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
    """Open a regular file to be read, without a buffer.

    Raises:
        OSError: There is none, or it is something else; ``strerror`` says what.
    """
    check_regular(path)
    file = io.FileIO(path, "rb", opener=_open_at_once)
    try:
        # Something else may have taken its place meanwhile.
        _check_mode(os.fstat(file.fileno()).st_mode, path)
    except OSError:
        file.close()
        raise
    return file


def check_regular(path: str | Path) -> None:
    """Refuse what is no regular file, before a program that would wait for it opens it.

    Raises:
        OSError: There is none, or it is something else; ``strerror`` says what.
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


def _open_at_once(path: str, flags: int) -> int:
    """Open without waiting."""
    return os.open(path, flags | getattr(os, "O_NONBLOCK", 0))
