"""Processes that decode images, each with a memory limit, replaced when they are lost."""

from __future__ import annotations

import asyncio
import os
import queue
import socket
import subprocess
import sys
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from multiprocessing.connection import Connection
from typing import cast

from verydeep.errors import WorkerError
from verydeep.serve.decode_process import STARTED
from verydeep.serve.decoding import Decoded, DecodePlan, Fault
from verydeep.serve.room import Room
from verydeep.system.workers.failures import ending
from verydeep.system.workers.transport import can_share, receive, send

MEMORY = 2 * 2**30
"""Bytes of address space of a decoding process. Its limits keep any image below a GiB."""

SECONDS = 15.0
"""Seconds after which a decoding process is given up. Its limits keep any image below two."""

START_SECONDS = 120.0
"""Seconds that a process may take to start on a busy machine."""

LAUNCHES = 20
"""Processes that may be lost one after the other while they start."""

ATTEMPTS = 3
"""Processes that an image may cost before it counts as unreadable."""


class Decoders:
    """Processes that decode images.

    Args:
        count: Number of processes.
        memory: Bytes of address space of each.
        seconds: Seconds that an image may take.
        on_lost: Called with the reason when a process was lost and is replaced.
    """

    def __init__(
        self,
        count: int,
        *,
        memory: int = MEMORY,
        seconds: float = SECONDS,
        on_lost: Callable[[str], object] = lambda reason: None,
    ) -> None:
        self._seconds = seconds
        self._on_lost = on_lost
        self._all = [_Process(memory) for _ in range(count)]
        self._free: queue.SimpleQueue[_Process] = queue.SimpleQueue()
        for one in self._all:
            self._free.put(one)
        self._places = Room(count)
        self._threads = ThreadPoolExecutor(count, "verydeep-decode")

    @property
    def pids(self) -> list[int]:
        """Process ids of the running processes."""
        return [one.process.pid for one in self._all if one.process is not None]

    def start(self) -> None:
        """Start all processes, and wait until they can decode.

        Raises:
            WorkerError: One does not start.
        """
        for one in self._all:
            one.launch()
        for one in self._all:
            one.start()

    async def decode(self, data: bytes, plan: DecodePlan) -> Decoded | Fault:
        """Decode an image. A call that is cancelled while it waits costs nothing.

        Raises:
            WorkerError: No process can be started.
        """
        # The executor would keep the bytes of all that wait, cancelled or not.
        async with self._places.share(1) as place:
            future = self._threads.submit(self._decode, data, plan)
            place.until(future)
            return await asyncio.wrap_future(future)

    def _decode(self, data: bytes, plan: DecodePlan) -> Decoded | Fault:
        process = self._free.get()
        try:
            for _ in range(ATTEMPTS):
                try:
                    # A process that is lost while it starts says nothing about the image.
                    process.start()
                    return process.ask(data, plan, self._seconds)
                except _LateError:
                    process.end()
                    self._on_lost(f"an image took more than {self._seconds:g} s")
                    return Fault(f"decoding it takes more than {self._seconds:g} s; save it again")
                except (EOFError, OSError):
                    self._on_lost(process.end())
            return Fault("decoding it fails each time; save it again")
        finally:
            self._free.put(process)

    def close(self) -> None:
        """End all processes; images that are being decoded are given up."""
        for one in self._all:
            one.kill()
        self._threads.shutdown(cancel_futures=True)
        for one in self._all:
            one.end()


class _LateError(Exception):
    """A process has not answered in time."""


class _Process:
    """One decoding process, started at need."""

    def __init__(self, memory: int) -> None:
        self.memory = memory
        self.process: subprocess.Popen[bytes] | None = None
        self.connection: Connection | None = None
        self.started = self.closed = False
        self.code = 0

    def launch(self) -> None:
        """Launch it, unless it runs.

        Raises:
            WorkerError: The system cannot start it.
        """
        if self.closed:
            raise WorkerError("the decoding processes have ended")
        if self.process is not None:
            return
        ours, theirs = socket.socketpair()
        words = (str(theirs.fileno()), str(os.getpid()), str(self.memory))
        try:
            self.process = subprocess.Popen(  # noqa: S603 - our own module
                [sys.executable, "-m", "verydeep.serve.decode_process", *words],
                env=_environment(),
                stdin=subprocess.DEVNULL,
                stdout=subprocess.DEVNULL,
                pass_fds=(theirs.fileno(),),
            )
        except OSError as error:
            ours.close()
            raise WorkerError(
                f"the system cannot start a decoding process ({error.strerror or error})"
            ) from error
        finally:
            theirs.close()
        self.connection, self.started = Connection(ours.detach()), False

    def start(self) -> None:
        """Launch it, and wait until it has started; launch it again if it is lost meanwhile.

        Raises:
            WorkerError: It does not start.
        """
        reason = f"not within {START_SECONDS:g} s"
        for _ in range(LAUNCHES + 1):
            self.launch()
            assert self.connection is not None
            if self.started:
                return
            try:
                if not self.connection.poll(START_SECONDS):
                    break
                self.started = self.connection.recv_bytes() == STARTED
            except (EOFError, OSError):
                reason = self.end()
                if self.code >= 0:  # it has ended by itself, and would do so again
                    break
        self.end()
        raise WorkerError(f"the decoding processes do not start: {reason}")

    def ask(self, data: bytes, plan: DecodePlan, seconds: float) -> Decoded | Fault:
        """Return the decoded image.

        Raises:
            EOFError: The process was lost.
            OSError: The same.
            _LateError: It has not answered in time.
        """
        assert self.connection is not None
        send(self.connection, (data, plan), shared=can_share())
        if not self.connection.poll(seconds):
            raise _LateError
        return cast("Decoded | Fault", receive(self.connection))

    def kill(self) -> None:
        """Kill it for good, from any thread; the thread that waits for it notices."""
        self.closed = True
        if self.process is not None:
            self.process.kill()

    def end(self) -> str:
        """End it and return how it ended; the next image starts another."""
        reason = "it did not run"
        if self.process is not None and self.connection is not None:
            self.connection.close()
            try:
                self.process.wait(0.5)  # it may have ended by itself, for a reason
            except subprocess.TimeoutExpired:
                self.process.kill()
                self.process.wait()
            self.code = self.process.returncode
            reason = f"a decoding process {ending(self.code)}"
        self.process = self.connection = None
        return reason


def _environment() -> dict[str, str]:
    """Return the environment of a process: same packages, one thread, few memory arenas."""
    places = os.pathsep.join(place for place in sys.path if place)
    one = {"OMP_NUM_THREADS": "1", "OPENBLAS_NUM_THREADS": "1", "MALLOC_ARENA_MAX": "1"}
    secret = {"VERYDEEP_TOKEN"}
    return {k: v for k, v in os.environ.items() if k not in secret} | one | {"PYTHONPATH": places}
