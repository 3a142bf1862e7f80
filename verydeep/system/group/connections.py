"""Connections of this process to the others of its group, to be cut when the group fails.

Operations of gloo wait for their partner, perhaps one that has failed in another operation and
waits for them. The sockets belong to torch, which has no call that closes them; a cut one ends the
operations of both sides with an error.
"""

from __future__ import annotations

import contextlib
import os
import socket
import stat
from collections.abc import Iterator
from contextlib import contextmanager

_noted: set[tuple[int, int]] = set()
"""Descriptors and inodes; a descriptor alone may belong to another file by now."""


@contextmanager
def noted_connections() -> Iterator[None]:
    """Note which connections are made within, for :func:`cut_connections`."""
    before = _sockets()
    yield
    _noted.clear()
    _noted.update(_sockets() - before)


def cut_connections() -> None:
    """Cut the connections that were noted; what waits for another process ends with an error."""
    while _noted:
        number, inode = _noted.pop()
        with contextlib.suppress(OSError):
            if os.fstat(number).st_ino == inode:
                _cut(number)


def forget_connections() -> None:
    """Forget the connections of a group that has ended."""
    _noted.clear()


def _sockets() -> set[tuple[int, int]]:
    """Return descriptors and inodes of all sockets; none where the system does not list them."""
    found = set()
    with contextlib.suppress(OSError):
        for name in os.listdir("/dev/fd"):  # noqa: PTH208 - names are numbers
            with contextlib.suppress(OSError):
                status = os.fstat(int(name))
                if stat.S_ISSOCK(status.st_mode):
                    found.add((int(name), status.st_ino))
    return found


def _cut(number: int) -> None:
    """Cut a connection, which remains open for its owner; one that only listens stays as it is."""
    with socket.socket(fileno=os.dup(number)) as twin:
        twin.getpeername()  # an error of the system unless it is connected
        twin.shutdown(socket.SHUT_RDWR)
