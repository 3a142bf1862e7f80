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
from verydeep.serve.decoding import Decoded, DecodePlan, Fault
from verydeep.system.workers.failures import ending
from verydeep.system.workers.transport import can_share, receive, send

MEMORY = 2 * 2**30
"""Bytes of address space of a decoding process. Its limits keep any image below a GiB."""

SECONDS = 15.0
"""Seconds after which a decoding process is given up. Its limits keep any image below two."""

START_SECONDS = 120.0
"""Seconds that a process may take to start on a busy machine."""

ATTEMPTS = 2
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
        self._threads = ThreadPoolExecutor(count, "verydeep-decode")
        self._closing = False

    @property
    def pids(self) -> list[int]:
        """Process ids of the running processes."""
        return [one.process.pid for one in self._all if one.process is not None]

    def start(self) -> None:
        """Start all processes, and wait until they decode.

        Raises:
            WorkerError: One does not start.
        """
        for one in self._all:
            one.start()
        for one in self._all:
            try:
                one.ask(b"", DecodePlan((1,)), START_SECONDS)
            except (_LateError, EOFError, OSError) as error:
                raise WorkerError(f"{one.end()}, right at the start") from error

    async def decode(self, data: bytes, plan: DecodePlan) -> Decoded | Fault:
        """Decode an image. A call that is cancelled while it waits costs nothing.

        Raises:
            WorkerError: No process can be started.
        """
        loop = asyncio.get_running_loop()
        return await loop.run_in_executor(self._threads, self._decode, data, plan)

    def _decode(self, data: bytes, plan: DecodePlan) -> Decoded | Fault:
        process = self._free.get()
        try:
            for _ in range(ATTEMPTS):
                try:
                    return process.ask(data, plan, self._seconds)
                except _LateError:
                    process.end()
                    self._on_lost(f"an image took more than {self._seconds:g} s")
                    return Fault(f"decoding it takes more than {self._seconds:g} s; save it again")
                except (EOFError, OSError):
                    reason = process.end()
                    if self._closing:
                        break
                    self._on_lost(reason)
            return Fault("decoding it fails each time; save it again")
        finally:
            self._free.put(process)

    def close(self) -> None:
        """End all processes; images that are being decoded are given up."""
        self._closing = True
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

    def start(self) -> None:
        """Start it, unless it runs."""
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
        self.connection = Connection(ours.detach())

    def ask(self, data: bytes, plan: DecodePlan, seconds: float) -> Decoded | Fault:
        """Return the decoded image.

        Raises:
            EOFError: The process was lost.
            OSError: The same.
            _LateError: It has not answered in time.
        """
        self.start()
        assert self.connection is not None
        send(self.connection, (data, plan), shared=can_share())
        if not self.connection.poll(seconds):
            raise _LateError
        return cast("Decoded | Fault", receive(self.connection))

    def kill(self) -> None:
        """Kill it, from any thread; the thread that waits for it notices."""
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
            reason = f"a decoding process {ending(self.process.returncode)}"
        self.process = self.connection = None
        return reason


def _environment() -> dict[str, str]:
    """Return the environment of a process: same packages, one thread, few memory arenas."""
    places = os.pathsep.join(place for place in sys.path if place)
    one = {"OMP_NUM_THREADS": "1", "OPENBLAS_NUM_THREADS": "1", "MALLOC_ARENA_MAX": "1"}
    secret = {"VERYDEEP_TOKEN"}
    return {k: v for k, v in os.environ.items() if k not in secret} | one | {"PYTHONPATH": places}
