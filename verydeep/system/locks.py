"""A lock on a folder that is written to, so that two processes never mix their files.

The lock is a POSIX record lock on the file ``.lock`` in the folder, which says who holds it. The
system releases it with the process, however that ends: a killed run leaves nothing to clean up.
Such a lock belongs to one process. Workers that are forked from it do not share it, so one that
outlives its parent holds nothing; and it works over NFS, between machines.
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

from verydeep.errors import FolderInUse, InputError
from verydeep.system.device import without_secret

NAME = ".lock"

PATIENCE = 1.0
"""Seconds until a folder counts as in use: a lock that is just being taken or given up passes."""

BRIEF_PATIENCE = 120.0
"""The same where the holder says that it will be done in a moment."""

PAUSE = 0.05
"""Seconds between two attempts."""

_NO_LOCKS = {errno.ENOLCK, errno.ENOSYS, errno.ENOTSUP, errno.EOPNOTSUPP, errno.EINVAL}
"""What a file system answers that knows no locks."""

_NO_LINKS = getattr(os, "O_NOFOLLOW", 0)
"""A folder from elsewhere might hold a link to a file of worth, which would be written over."""

_TAKEN = {errno.EACCES, errno.EAGAIN}
"""What a system answers if another process holds a lock."""


@dataclass(frozen=True, slots=True)
class Holder:
    """Who holds a lock.

    Attributes:
        pid: Number of the process.
        host: Name of its machine.
        since: Local time at which it took the lock.
        command: That started it.
        brief: Whether it will be done in a moment.
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
    """Hold a folder's lock while writing to it; the folder is made if need be.

    The same thread may hold it several times over.

    Args:
        folder: Need not exist.
        brief: Say to others that this will take a moment; they then wait instead of giving up.
        patience: Seconds until the folder counts as in use.

    Raises:
        FolderInUse: Another process or thread holds it; the message says who.
        InputError: Nothing can be written there.
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
"""Folders that this process holds, with the thread: a record lock knows no threads."""

_GUARD = threading.Lock()


@contextlib.contextmanager
def _locked(folder: Path, *, brief: bool, patience: float) -> Iterator[None]:
    path, made = folder / NAME, not folder.exists()
    descriptor = _take(folder, path, patience)
    try:
        _write(descriptor, Holder.this(brief=brief))
        yield
    finally:
        # Removed while it is held: who opens it later makes a new one, and who has opened this
        # one finds out that it is no longer there.
        with contextlib.suppress(OSError):
            path.unlink()
        os.close(descriptor)
        if made:
            with contextlib.suppress(OSError):  # something was written, as a rule
                folder.rmdir()


def _take(folder: Path, path: Path, patience: float) -> int:
    """Open and lock the file; wait a little for a lock that is about to be released."""
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
        folder.mkdir(parents=True, exist_ok=True)
        return os.open(path, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC | _NO_LINKS, 0o666)
    except OSError as error:
        if error.errno in (errno.ENOSPC, errno.EDQUOT, errno.EIO):  # the machine's fault
            raise
        raise InputError(
            f"{folder}: nothing can be written there ({error.strerror}): choose another folder"
        ) from error


def _lock(descriptor: int, holder: Holder | None) -> bool:
    """Return whether the lock was taken; where there are no locks, the file's word counts."""
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
    """Return whether a process of this machine still runs; nothing is known of others."""
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
    """Return whether a path still names the file that was opened."""
    try:
        return os.path.samestat(path.stat(), os.fstat(descriptor))
    except FileNotFoundError:
        return False


def _write(descriptor: int, holder: Holder) -> None:
    with contextlib.suppress(OSError):  # a full disk: the lock holds without a word
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
        f"{folder}: another process is writing there{who}; wait until it has ended, stop it, or "
        "choose another folder"
    )
