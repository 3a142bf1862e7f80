"""Locks on output folders, so that two processes never mix their files.

The lock is a POSIX record lock on the file ``.lock`` in the folder, which contains its holder. The
system releases it when the process ends, even if killed. It belongs to one process: forked workers
do not share it, so one that outlives its parent holds nothing. It works over NFS, between machines.
"""

from __future__ import annotations

import contextlib
import errno
import json
import os
import shlex
import socket
import sys
import threading
import time
from collections.abc import Iterator
from dataclasses import asdict, dataclass
from pathlib import Path

from verydeep.errors import FolderInUse
from verydeep.system.device import without_secret
from verydeep.system.files import write_error

NAME = ".lock"

PATIENCE = 1.0
"""Seconds to wait for a folder before it counts as in use."""

BRIEF_PATIENCE = 120.0
"""Seconds to wait if the holder announces that it will finish soon."""

PAUSE = 0.05
"""Seconds between two attempts."""

_NO_LOCKS = {errno.ENOLCK, errno.ENOSYS, errno.ENOTSUP, errno.EOPNOTSUPP, errno.EINVAL}
"""Errors of a file system without locks."""

_FLAGS = os.O_RDWR | os.O_CREAT | os.O_CLOEXEC | getattr(os, "O_NOFOLLOW", 0)
"""To open the file; never through a link, whose target would be overwritten."""

_REMOVALS = 20
"""Removals of the folder, one after the other, that are waited for."""

_TAKEN = {errno.EACCES, errno.EAGAIN}
"""Errors if another process holds the lock."""


@dataclass(frozen=True, slots=True)
class Holder:
    """The holder of a lock.

    Attributes:
        pid: Process id.
        host: Host name.
        since: Local time at which it took the lock.
        command: Its command line.
        brief: Whether it will finish soon.
    """

    pid: int
    host: str
    since: str
    command: str
    brief: bool = False

    @staticmethod
    def this(*, brief: bool) -> Holder:
        """Return this process."""
        program, *rest = sys.argv or [""]
        path = Path(program)
        name = path.parent.name if path.name == "__main__.py" else path.name
        words = [name or "python", *map(without_secret, rest)]
        since = time.strftime("%Y-%m-%d %H:%M:%S")
        return Holder(os.getpid(), socket.gethostname(), since, shlex.join(words), brief)

    def __str__(self) -> str:
        where = "this machine" if self.host == socket.gethostname() else self.host
        return f"process {self.pid} on {where} since {self.since}: {self.command}"


@contextlib.contextmanager
def hold(folder: Path, *, brief: bool = False, patience: float = PATIENCE) -> Iterator[None]:
    """Hold a folder's lock while writing to it; the folder is made if needed.

    A thread may hold it several times.

    Args:
        folder: Need not exist.
        brief: Announce that this will finish soon, so that others wait.
        patience: Seconds to wait before the folder counts as in use.

    Raises:
        FolderInUse: Another process or thread, given in the message, holds it.
        InputError: The folder is not writable.
    """
    place = folder.resolve()
    with _GUARD:
        owner = _HELD.get(place)
        if owner is not None and owner != threading.get_ident():
            raise _in_use(folder, Holder.this(brief=False))
        _HELD[place] = threading.get_ident()
    if owner is not None:
        yield
        return
    try:
        with _locked(folder, brief=brief, patience=patience):
            yield
    finally:
        with _GUARD:
            del _HELD[place]


_HELD: dict[Path, int] = {}
"""Folders that this process holds, by thread, as record locks ignore threads."""

_GUARD = threading.Lock()


@contextlib.contextmanager
def _locked(folder: Path, *, brief: bool, patience: float) -> Iterator[None]:
    path, made = folder / NAME, not folder.exists()
    descriptor = _take(folder, path, patience)
    try:
        _write(descriptor, Holder.this(brief=brief))
        yield
    finally:
        # Removed while held: later processes make a new file, and those that have already opened
        # this one notice that it is gone.
        with contextlib.suppress(OSError):
            path.unlink()
        os.close(descriptor)
        if made:
            with contextlib.suppress(OSError):  # usually not empty
                folder.rmdir()


def _take(folder: Path, path: Path, patience: float) -> int:
    """Open and lock the file, waiting for its release for a while."""
    started = time.monotonic()
    while True:
        descriptor = _open(folder, path)
        holder = _read(descriptor)
        if _lock(descriptor, holder) and _is_still(path, descriptor):
            return descriptor
        os.close(descriptor)
        waited = time.monotonic() - started
        if waited > (BRIEF_PATIENCE if holder and holder.brief else patience):
            raise _in_use(folder, holder)
        time.sleep(PAUSE)


def _open(folder: Path, path: Path) -> int:
    try:
        # A holder that made the folder removes it on release, perhaps right after it is seen here.
        for _ in range(_REMOVALS):
            with contextlib.suppress(FileNotFoundError):
                folder.mkdir(parents=True, exist_ok=True)
                return os.open(path, _FLAGS, 0o666)
        raise FileNotFoundError(errno.ENOENT, os.strerror(errno.ENOENT))
    except OSError as error:
        if error.errno in (errno.ENOSPC, errno.EDQUOT, errno.EIO):  # not the user's fault
            raise
        raise write_error(folder, error.errno or errno.EACCES) from error


def _lock(descriptor: int, holder: Holder | None) -> bool:
    """Return whether the lock was taken; without lock support, whether no holder is running."""
    try:
        import fcntl
    except ImportError:  # Windows
        return not _is_running(holder)
    try:
        fcntl.lockf(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except OSError as error:
        if error.errno in _NO_LOCKS:
            return not _is_running(holder)
        if error.errno not in _TAKEN:
            raise
        return False
    return True


def _is_running(holder: Holder | None) -> bool:
    """Return whether the holder is another running process of this machine."""
    if holder is None or holder.host != socket.gethostname() or holder.pid == os.getpid():
        return False
    try:
        os.kill(holder.pid, 0)
    except ProcessLookupError:
        return False
    except OSError:
        return True
    return True


def _is_still(path: Path, descriptor: int) -> bool:
    """Return whether a path still refers to the opened file."""
    try:
        return os.path.samestat(path.stat(), os.fstat(descriptor))
    except FileNotFoundError:
        return False


def _write(descriptor: int, holder: Holder) -> None:
    with contextlib.suppress(OSError):  # on a full disk the lock still holds
        os.ftruncate(descriptor, 0)
        os.pwrite(descriptor, json.dumps(asdict(holder)).encode(), 0)


def _read(descriptor: int) -> Holder | None:
    try:
        return Holder(**json.loads(os.pread(descriptor, 2**16, 0)))
    except (OSError, ValueError, TypeError):
        return None  # not written yet


def _in_use(folder: Path, holder: Holder | None) -> FolderInUse:
    who = f" ({holder})" if holder else ""
    return FolderInUse(
        f"{folder}: another process is writing there{who}; wait until it ends, stop it, or "
        "choose another folder"
    )
