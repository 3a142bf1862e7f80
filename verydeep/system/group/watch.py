"""Watch over a process group: when one process fails or is killed, the others end soon.

Without it, the others would wait for the lost one in their next common operation, perhaps forever.
Every process keeps a connection to rank 0. It says there how it ends; a connection that closes
without a word is that of a killed process, and one to a machine that is gone closes after 25 s.
"""

from __future__ import annotations

import contextlib
import json
import os
import secrets
import socket
import sys
import threading
import time
from collections.abc import Iterator
from pathlib import Path
from types import TracebackType
from typing import Any, Self

from verydeep import errors
from verydeep.errors import InputError, MachineError, MissingExtra, ProcessLost, VeryDeepError
from verydeep.system.group.connections import cut_connections
from verydeep.system.group.distributed import Group
from verydeep.system.group.interrupt import Interruptible, PeerLost
from verydeep.system.group.lost_process import lost_connection

PAUSE = 2.0
"""Seconds in which a process may end by itself, before its connections are cut and once more."""

GRACE = 15.0
"""Seconds in which an interrupted process may end before it is ended from within."""

MEETING = 60.0
"""Seconds in which all processes must connect."""

_LAST_WORDS = 5.0
"""Seconds for which a failing process waits for rank 0, which prints the message."""

_KEEPALIVE = {"TCP_KEEPIDLE": 10, "TCP_KEEPINTVL": 5, "TCP_KEEPCNT": 3}
"""Seconds and counts after which the system closes a connection to a machine that is gone."""


class GroupWatch:
    """Context in which the processes of a group work together.

    An error in one process ends all of them. Rank 0 raises it, with the rank in its message; in the
    other processes :attr:`~verydeep.errors.VeryDeepError.reported` is set, so that only one prints
    it. Does nothing for a group of one.

    Args:
        group: The group.

    Raises:
        ProcessLost: Another process was killed, or cannot be reached any more.
        MachineError: The processes cannot connect; or an unexpected error in another one.
    """

    def __init__(self, group: Group) -> None:
        self.group = group
        self.lost: VeryDeepError | None = None
        self._work = Interruptible()
        self._found, self._leaving = threading.Event(), threading.Event()
        self._lock = threading.Lock()
        self._peers: dict[int, socket.socket] = {}
        self._heard: set[int] = set()
        self._closed = False

    def __enter__(self) -> Self:
        """Connect to the others."""
        if self.group.size > 1:
            self._peers = dict(_meet(self.group))
            self._work.__enter__()
            for rank, peer in self._peers.items():
                threading.Thread(target=self._listen, args=(rank, peer), daemon=True).start()
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        """Tell the others how this process ends.

        Raises:
            VeryDeepError: The error of another process.
        """
        if self.group.size == 1:
            return
        self._work.__exit__(kind, error, traceback)
        self._leaving.set()
        if error is None:
            self._tell(None)
            self._close()
            return
        found = self._translated(error)
        self._tell(found)
        if not self.group.first:
            reported = self._await_first()
            if isinstance(found, VeryDeepError):
                found.reported = found.reported or reported
        # They close with the process: in the case of rank 0, after it has printed.
        _KEPT.extend(self._peers.values())
        if found is not error:
            raise found from None

    def _translated(self, error: BaseException) -> BaseException:
        """Return the reason for an error: the end of another process, or the error itself."""
        broken = lost_connection(error)
        if broken:
            self._found.wait(_LAST_WORDS)
        if self.lost is not None and (broken or isinstance(error, PeerLost)):
            return self.lost
        if broken:
            reason = str(error).partition(". ")[0]
            return ProcessLost(f"rank {self.group.rank} cannot reach the others ({reason})")
        return error

    # ---- words of the others ----

    def _listen(self, rank: int, peer: socket.socket) -> None:
        try:
            with peer.makefile("r", encoding="utf-8") as words:
                line = words.readline()
        except OSError:
            line = ""
        with self._lock:
            self._heard.add(rank)
            if self._closed:
                peer.close()
        if not line.endswith("\n"):
            self._lose(self._vanished(rank))
        elif (word := json.loads(line)) is not None:
            self._lose(self._failed(rank, word))

    def _vanished(self, rank: int) -> VeryDeepError:
        error = ProcessLost(
            f"rank {rank} of {self.group.size} processes has ended without a word, "
            "as if killed (for lack of memory?) or its machine lost"
        )
        error.reported = self.group.rank > 1  # one of those that remain prints it
        return error

    def _failed(self, rank: int, word: dict[str, str]) -> VeryDeepError:
        kind = _kind(word["kind"])
        own = not self.group.first
        error: VeryDeepError = kind(word["text"] if own else f"rank {rank}: {word['text']}")
        error.reported = own
        return error

    def _lose(self, error: VeryDeepError) -> None:
        """End this process: by itself, else by cut connections, an interruption, or from within."""
        with self._lock:
            if self.lost is not None:
                return
            self.lost = error  # also while leaving: a connection may break before the word
        self._found.set()
        if self._leaving.wait(PAUSE):
            return
        cut_connections()
        if self._leaving.wait(PAUSE):
            return
        self._work.stop()
        if not self._leaving.wait(GRACE):
            self._tell(error)
            if not error.reported:
                print(f"verydeep: {error}", file=sys.stderr, flush=True)  # noqa: T201
            os._exit(error.exit_code)

    # ---- words to the others ----

    def _tell(self, error: BaseException | None) -> None:
        word = None if error is None else {"kind": type(error).__name__, "text": _text(error)}
        for peer in self._peers.values():
            with contextlib.suppress(OSError):
                peer.sendall(f"{json.dumps(word)}\n".encode())

    def _await_first(self) -> bool:
        """Wait until rank 0 has ended; return whether it was there to hear of this error."""
        (peer,) = self._peers.values()
        deadline = time.monotonic() + _LAST_WORDS
        gone = isinstance(self.lost, ProcessLost) and not self.lost.reported
        while not gone and time.monotonic() < deadline and _is_open(peer):
            time.sleep(0.05)
        return not gone

    def _close(self) -> None:
        """Close the connections; those on which another process may still speak, after it has."""
        with self._lock:
            self._closed = True
            for rank, peer in self._peers.items():
                with contextlib.suppress(OSError):
                    peer.shutdown(socket.SHUT_WR)
                if rank in self._heard:
                    peer.close()


_KEPT: list[socket.socket] = []
"""Connections of groups that have failed."""


def _kind(name: str) -> type[VeryDeepError]:
    """Return a class of errors by name; another process may know more of them."""
    kind = getattr(errors, name, None)
    if not isinstance(kind, type) or not issubclass(kind, VeryDeepError):
        return MachineError
    return InputError if issubclass(kind, MissingExtra) else kind


def _text(error: BaseException) -> str:
    if isinstance(error, VeryDeepError):
        return str(error)
    return f"{type(error).__name__}: {error}".rstrip(": ")


def _is_open(peer: socket.socket) -> bool:
    try:
        return bool(peer.recv(1, socket.MSG_PEEK | socket.MSG_DONTWAIT))
    except BlockingIOError:
        return True
    except OSError:
        return False


# ---- connections ----


def _meet(group: Group) -> Iterator[tuple[int, socket.socket]]:
    """Yield the connections of this process by rank: of rank 0 to all, of others to rank 0."""
    hosts = group.gather(_machine())
    together = len(set(hosts)) == 1
    if not group.first:
        places, port, token = group.broadcast(([""], 0, ""))
        yield 0, _connect(places, port, token, group.rank)
        return
    with _server(together=together) as server:
        server.settimeout(MEETING)
        names = [os.environ.get("MASTER_ADDR", ""), socket.gethostname(), socket.getfqdn()]
        places = ["127.0.0.1"] if together else [*dict.fromkeys(filter(None, names))]
        token = secrets.token_hex(16)
        group.broadcast((places, server.getsockname()[1], token))
        yield from _accept(server, token, group.size - 1)


def _server(*, together: bool) -> socket.socket:
    if together:
        return socket.create_server(("127.0.0.1", 0))
    if socket.has_dualstack_ipv6():
        return socket.create_server(("", 0), family=socket.AF_INET6, dualstack_ipv6=True)
    return socket.create_server(("", 0))


def _machine() -> str:
    """Return a name of this machine that no other one has."""
    name = socket.gethostname()
    with contextlib.suppress(OSError):
        return f"{name} {Path('/proc/sys/kernel/random/boot_id').read_text().strip()}"
    return name


def _accept(server: socket.socket, token: str, count: int) -> Iterator[tuple[int, socket.socket]]:
    """Yield as many connections that know the token."""
    found = 0
    while found < count:
        try:
            peer, _ = server.accept()
        except TimeoutError as error:
            raise MachineError(f"only {found} of {count} processes have met rank 0") from error
        word = _hello(peer)
        if word is None or not secrets.compare_digest(word["token"], token):
            peer.close()
            continue
        found += 1
        yield int(word["rank"]), _kept_alive(peer)


def _hello(peer: socket.socket) -> dict[str, Any] | None:
    """Return the greeting of a connection, read byte by byte, as more may follow it."""
    peer.settimeout(5)
    line = b""
    with contextlib.suppress(OSError, ValueError):
        while not line.endswith(b"\n") and len(line) < 200:
            line += peer.recv(1) or b"\n"
        word = json.loads(line)
        if isinstance(word, dict) and {"token", "rank"} <= set(word):
            return word
    return None


def _connect(places: list[str], port: int, token: str, rank: int) -> socket.socket:
    faults = []
    for place in places:
        try:
            peer = socket.create_connection((place, port), timeout=MEETING / len(places))
            peer.sendall(f"{json.dumps({'token': token, 'rank': rank})}\n".encode())
            return _kept_alive(peer)
        except OSError as error:
            faults.append(f"{place}: {error.strerror or error}")
    raise MachineError(f"rank {rank} cannot connect to rank 0 ({'; '.join(faults)})")


def _kept_alive(peer: socket.socket) -> socket.socket:
    peer.settimeout(None)
    peer.setsockopt(socket.SOL_SOCKET, socket.SO_KEEPALIVE, 1)
    for name, value in _KEEPALIVE.items():
        if hasattr(socket, name):  # of Linux
            peer.setsockopt(socket.IPPROTO_TCP, getattr(socket, name), value)
    return peer
