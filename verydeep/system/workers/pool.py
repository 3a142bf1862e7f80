"""Worker processes that yield values in order and never outlive their owner.

The system may kill a worker at any moment, for example when memory runs out. So each has its own
pipe and shares no lock with the others; when it ends, its pipe closes and the owner notices.
:class:`concurrent.futures.ProcessPoolExecutor` and PyTorch's ``DataLoader`` share queues, and would
hang or lose the reason.
"""

from __future__ import annotations

import contextlib
import gc
import itertools
import multiprocessing
import signal
import sys
import time
import weakref
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from multiprocessing import util
from multiprocessing.connection import Connection
from multiprocessing.process import BaseProcess
from types import FrameType, TracebackType
from typing import Any, Generic, Self, TypeVar, cast

from verydeep.errors import WorkerError
from verydeep.system.workers.failures import Failure, ending
from verydeep.system.workers.parent_watch import Owner, end_with
from verydeep.system.workers.transport import can_share, receive, send

T = TypeVar("T")

Source = Callable[[int, int], Iterator[T]]
"""Make a worker's values, given its index and the number of workers."""

AHEAD = 2
"""Values that a worker makes ahead of requests."""

_NAME = "verydeep-worker"

_GRACE = 1.0
"""Seconds for workers to end before they are killed."""


class Workers(Generic[T]):
    """Processes that make values, which the owner takes from each in turn.

    Args:
        source: Called in each worker. Must be picklable unless processes are forked.
        count: Number of processes.

    Raises:
        WorkerError: The system cannot start as many processes.
    """

    def __init__(self, source: Source[T], count: int) -> None:
        self._workers: list[_Worker] = []
        self._stopping = False
        # Runs when this object is collected, and at exit before multiprocessing sends daemons a
        # SIGTERM, which they ignore.
        self._end = util.Finalize(self, _end_all, args=(self._workers,), exitpriority=10)
        _OPEN.add(self)
        try:
            for number in range(count):
                self._start(source, _Place(number, count))
        except OSError as error:
            self.close()
            raise WorkerError(
                f"the system cannot start more than {len(self._workers)} reading processes "
                f"({error.strerror or error})"
            ) from error
        except BaseException:
            self.close()
            raise

    def _start(self, source: Source[T], place: _Place) -> None:
        ours, theirs = multiprocessing.Pipe()
        try:
            process = multiprocessing.get_context().Process(
                target=_work,
                args=(theirs, source, place, Owner.here(), can_share()),
                name=f"{_NAME}-{place.number}",
                daemon=True,
            )
            # Registered before the start: a forked process closes the inherited ends of the owner.
            self._workers.append(_Worker(ours, cast(BaseProcess, process)))
            try:
                process.start()
            except BaseException:
                self._workers.pop()
                ours.close()
                raise
        finally:
            theirs.close()

    def __iter__(self) -> Iterator[T]:
        """Yield a value of each worker in turn, until the next one has no more.

        Raises:
            WorkerError: A worker was killed or crashed.
        """
        for worker in itertools.cycle(self._workers):
            message = self._next_of(worker)
            if message is None:
                return
            if isinstance(message, Failure):
                message.raise_error()
            worker.request_more()
            yield message.value

    def _next_of(self, worker: _Worker) -> _Value | Failure | None:
        try:
            while not worker.connection.poll(1.0):
                if self._stopping:
                    return None
                if not worker.process.is_alive() and not worker.connection.poll(0):
                    raise EOFError
            return cast("_Value | Failure | None", receive(worker.connection))
        except (EOFError, OSError) as error:
            if self._stopping:
                return None
            raise _loss_error(worker.process) from error

    def stop(self) -> None:
        """Stop another thread's wait for a value."""
        self._stopping = True

    def close(self) -> None:
        """End all workers, discarding pending values."""
        self._stopping = True
        self._end()
        _OPEN.discard(self)

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self.close()

    def close_inherited(self) -> None:
        """Close the inherited ends of the owner in a forked process."""
        for worker in self._workers:
            worker.connection.close()


_OPEN: weakref.WeakSet[Workers[Any]] = weakref.WeakSet()


def _end_all(workers: list[_Worker]) -> None:
    """Close the pipes of workers, which ends them, and kill those that do not end in time."""
    deadline = time.monotonic() + _GRACE
    try:
        for worker in workers:
            worker.connection.close()
        for worker in workers:
            worker.process.join(max(0.0, deadline - time.monotonic()))
    finally:
        for worker in workers:
            worker.process.kill()
        for worker in workers:
            worker.process.join()
        workers.clear()


@dataclass(frozen=True, slots=True)
class _Place:
    number: int
    count: int


@dataclass(frozen=True, slots=True)
class _Worker:
    """The owner's handle of a worker."""

    connection: Connection
    process: BaseProcess

    def request_more(self) -> None:
        # If it has ended, reading its pipe will show that.
        with contextlib.suppress(OSError):
            self.connection.send_bytes(b"+")


@dataclass(frozen=True, slots=True)
class _Value:
    value: Any


def _loss_error(process: BaseProcess) -> WorkerError:
    """Return an error with the way a worker ended, and the likely reason."""
    process.join(5)
    return WorkerError(f"a reading process {ending(process.exitcode)}")


# ---- in the worker ----


def _work(
    connection: Connection, source: Source[Any], place: _Place, owner: Owner, shared: bool
) -> None:
    """Run a worker: make values and send them on request."""
    # Garbage of the owner is left alone: sessions of OpenVINO and groups of gloo that are freed in
    # a forked process join threads that it does not have, which hangs or aborts it.
    gc.freeze()
    for others in list(_OPEN):
        others.close_inherited()
    _OPEN.clear()
    end_with(owner)
    _ignore_stop_signals()
    if torch := sys.modules.get("torch"):
        torch.set_num_threads(1)
    messages = _messages(source, place)
    try:
        for number in itertools.count():
            if number >= AHEAD:
                connection.recv_bytes()  # an earlier value was taken
            message = next(messages)
            try:
                send(connection, message, shared=shared)
            except ConnectionError:
                raise
            except Exception as error:  # a value that cannot be pickled
                message = Failure.of(error)
                send(connection, message)
            if not isinstance(message, _Value):
                return
    except (EOFError, ConnectionError):  # the owner has closed the pipe
        pass


def _messages(source: Source[Any], place: _Place) -> Iterator[_Value | Failure | None]:
    try:
        for value in source(place.number, place.count):
            yield _Value(value)
        yield None
    except GeneratorExit:
        raise
    except BaseException as error:
        yield Failure.of(error)


def _ignore_stop_signals() -> None:
    """Ignore signals to stop, which reach all processes, and leave them to the owner.

    They come from Ctrl-C, a closed terminal, or a batch system's SIGTERM or SIGUSR1. The owner
    still needs pending values. A second SIGTERM ends the worker.
    """
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    for name in ("SIGHUP", "SIGUSR1"):
        if hasattr(signal, name):
            signal.signal(getattr(signal, name), signal.SIG_IGN)
    signal.signal(signal.SIGTERM, _restore_default)


def _restore_default(number: int, frame: FrameType | None) -> None:
    signal.signal(number, signal.SIG_DFL)
