"""The other processes of a group that this one has started: their start, their ends, their end."""

from __future__ import annotations

import contextlib
import os
import pickle
import subprocess
import sys
import tempfile
import threading
import time
from collections.abc import Sequence
from dataclasses import dataclass
from typing import IO, Self

from verydeep.errors import Interrupted, MachineError, ProcessLost
from verydeep.system.group.interrupt import Interruptible
from verydeep.system.group.launched import Call
from verydeep.system.group.lost_process import abort_groups, lost_connection
from verydeep.system.group.membership import Membership
from verydeep.system.option_names import in_program
from verydeep.system.workers.failures import Failure, ending
from verydeep.system.workers.parent_watch import Owner

_PROGRAM = "from verydeep.system.group.launched import main; main()"

_NOTICE = 3.0
"""Seconds for this process to notice by itself that another one has ended."""

_STOP = 3.0
"""Seconds for it to end once the other processes are gone."""

_ABORT = 6.0
"""Seconds for it to end once it is interrupted, before transfers on the GPU are aborted."""

_EXIT = 8.0
"""Seconds until a program that cannot be interrupted is ended."""

_LAST_WORDS = 5.0
"""Seconds to wait for the reason of a lost connection."""

_FINISH = 30.0
"""Seconds for the other processes to end after this one."""


@dataclass(frozen=True, slots=True)
class Ended:
    """A process that has ended early.

    Attributes:
        rank: Its rank.
        code: Its exit code, negative for a signal.
        failure: Its exception; None if it could not tell.
    """

    rank: int
    code: int
    failure: Failure | None

    @property
    def in_words(self) -> str:
        """How the process ended."""
        return f"rank {self.rank} {ending(self.code)}"

    @property
    def is_consequence(self) -> bool:
        """Whether it ended because it had lost another process."""
        if self.failure is None:
            return False
        return isinstance(self.failure.error, ProcessLost) or lost_connection(self.failure.error)


class Peers:
    """Other processes of the group, which make the same call as this one.

    Args:
        places: Their places in the group.
        call: The pickled call.

    Raises:
        MachineError: The system cannot start as many processes.
    """

    def __init__(self, places: Sequence[Membership], call: bytes) -> None:
        self._changed = threading.Condition()
        self._ended: list[Ended] = []
        self._closing = False
        self._done = threading.Event()
        self._call = Interruptible()
        self._in_program = in_program()
        self._peers: list[_Peer] = []
        self._threads: list[threading.Thread] = []
        try:
            for place in places:
                peer = _Peer(place, call)
                self._peers.append(peer)
                self._in_thread(self._watch, peer)
        except OSError as error:
            self.close()
            raise MachineError(
                f"the system cannot start {len(places) + 1} processes ({error.strerror or error}): "
                "start fewer"
            ) from error
        except BaseException:
            self.close()
            raise

    def _in_thread(self, target: object, *args: object) -> None:
        thread = threading.Thread(target=target, args=args, daemon=True, name="verydeep-peers")  # type: ignore[arg-type]
        thread.start()
        self._threads.append(thread)

    def _watch(self, peer: _Peer) -> None:
        """Wait for the end of a process."""
        ended = peer.run()
        with self._changed:
            peer.running = False
            if ended and not self._closing:
                self._ended.append(ended)
            self._changed.notify_all()
            if self._closing:
                return
        # All processes stop together on a signal.
        if ended and not (ended.failure and isinstance(ended.failure.error, Interrupted)):
            self._end_call(ended)

    def _end_call(self, ended: Ended) -> None:
        """Make the call of this process end, by stronger and stronger means."""
        if self._done.wait(_NOTICE):
            return
        self._kill()  # closes their connections, so that no transfer waits for them
        if self._done.wait(_STOP):
            return
        self._call.stop()
        if self._done.wait(_ABORT):
            return
        abort_groups()
        if not self._done.wait(_EXIT) and self._in_program:
            os.write(
                2, f"verydeep: {ended.in_words}, and this one does not end by itself\n".encode()
            )
            os._exit(1)

    def during(self) -> Interruptible:
        """Return a context for this process's own call, which ends when another process fails."""
        return self._call

    def first_failure(self, seconds: float = _LAST_WORDS) -> Ended | None:
        """Return the process that ended first and not because of others; None if there is none.

        Args:
            seconds: How long to wait for one.
        """
        deadline = time.monotonic() + seconds
        with self._changed:
            while True:
                for ended in self._ended:
                    if not ended.is_consequence:
                        return ended
                left = deadline - time.monotonic()
                if left <= 0 or not any(peer.running for peer in self._peers):
                    return self._ended[0] if self._ended else None
                self._changed.wait(left)

    def finish(self) -> Ended | None:
        """Wait for all processes to end; return the first that failed."""
        self._done.set()
        deadline = time.monotonic() + _FINISH
        with self._changed:
            while any(peer.running for peer in self._peers):
                left = deadline - time.monotonic()
                if left <= 0 or self._ended:
                    break
                self._changed.wait(left)
        return self.first_failure(0.0)

    def _kill(self) -> None:
        with self._changed:
            self._closing = True
        for peer in self._peers:
            peer.kill()

    def close(self) -> None:
        """End all processes."""
        self._done.set()
        self._kill()
        for thread in self._threads:
            thread.join(_EXIT)

    def __enter__(self) -> Self:
        return self

    def __exit__(self, kind: object, error: object, traceback: object) -> None:
        self.close()


class _Peer:
    """One of the other processes."""

    def __init__(self, place: Membership, call: bytes) -> None:
        self.place = place
        self.running = True
        self._pickled = call
        self._report: IO[bytes] = tempfile.TemporaryFile()  # noqa: SIM115 - closed in run
        head = Call(place, Owner.here(), list(sys.argv), in_program())
        self._head = pickle.dumps(head)
        try:
            self._process = subprocess.Popen(  # noqa: S603 - our own
                [sys.executable, "-P", "-c", _PROGRAM],
                stdin=subprocess.PIPE,
                stdout=self._report,
                env={**os.environ, "PYTHONPATH": _search_path()},
            )
        except BaseException:
            self._report.close()
            raise

    def run(self) -> Ended | None:
        """Send the call and wait for the end; return None if it was good."""
        assert self._process.stdin is not None
        with contextlib.suppress(OSError), self._process.stdin as stdin:  # it may end before
            stdin.write(self._head + self._pickled)
        code = self._process.wait()
        with self._report as report:
            report.seek(0)
            text = report.read()
        if code == 0:
            return None
        return Ended(self.place.rank, code, _failure_in(text))

    def kill(self) -> None:
        self._process.kill()


def _failure_in(report: bytes) -> Failure | None:
    """Return what a process told of its end; one that was killed may have been writing it."""
    try:
        found = pickle.loads(report)  # noqa: S301 - our own
    except Exception:
        return None
    return found if isinstance(found, Failure) else None


def _search_path() -> str:
    """Return the places where this process finds modules, for another one."""
    return os.pathsep.join(dict.fromkeys(path or os.getcwd() for path in sys.path))  # noqa: PTH109
