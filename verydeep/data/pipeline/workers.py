"""Many files, read and prepared by several processes, in order, with the faults by name."""

from __future__ import annotations

import multiprocessing
from collections import deque
from collections.abc import Callable, Generator, Iterator, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from dataclasses import dataclass
from typing import Generic, TypeVar

from PIL import Image

from verydeep.data.images.decode import decode
from verydeep.data.images.member import ImageSource
from verydeep.errors import PictureError, plural, printable
from verydeep.system.device import usable_cores
from verydeep.system.processes import Workers

S = TypeVar("S")
T = TypeVar("T")

WORTH_A_PROCESS = 1024
"""Fewer files than this are read sooner than a process is started."""

MOST_THREADS = 4
"""More of them would wait for the interpreter."""


@dataclass(frozen=True, slots=True)
class Loaded(Generic[T]):
    """What became of one file: a value, or the reason why it cannot be read."""

    index: int
    value: T | None
    fault: str | None = None


def load_pictures(
    sources: Sequence[ImageSource | Image.Image],
    prepare: Callable[[Image.Image], T],
    *,
    workers: int | None = None,
    chunk: int = 16,
) -> Generator[Loaded[T], None, None]:
    """Decode files and prepare the images, in order, while the caller works on earlier ones.

    Args:
        sources: Files, or images that are already in memory.
        prepare: Runs where the file is decoded; its result travels to the caller. Must be
            picklable (a function of a module, or an instance of a class of one).
        workers: Processes; 0 takes threads of this one, None a process a core if the files are
            many.
        chunk: Files that one process or thread reads at a time.

    Yields:
        One entry a source, in their order. Close the generator to end its processes sooner.

    Raises:
        WorkerError: A process was killed, or none can be started.
    """
    load = _Load(sources, prepare)
    yield from in_parallel(load, range(len(sources)), workers=workers, chunk=chunk)


def in_parallel(
    work: Callable[[S], T],
    items: Sequence[S],
    *,
    workers: int | None = None,
    chunk: int = 16,
) -> Generator[T, None, None]:
    """Do the same with many files, in order, while the caller works on earlier results.

    Args:
        work: What to do with an item. Must be picklable, and raise nothing.
        items: What stands for the files; they and the results travel between processes.
        workers: Processes; 0 takes threads of this one, None a process a core if the files are
            many.
        chunk: Items that one process or thread takes at a time.

    Yields:
        One result an item, in their order. Close the generator to end its processes sooner.

    Raises:
        WorkerError: A process was killed, or none can be started.
    """
    chunks = [range(i, min(i + chunk, len(items))) for i in range(0, len(items), chunk)]
    processes = min(worker_count(workers, len(items)), len(chunks))
    do_chunk = _Chunks(work, items)
    if not processes:
        yield from _read_ahead(do_chunk, chunks)
        return
    with Workers(Dealt(do_chunk, chunks), processes) as parts:
        for part in parts:
            yield from part


@dataclass(frozen=True)
class Dealt(Generic[S, T]):
    """What each of several workers does: the first takes tasks 0, n, 2n … of n workers.

    Attributes:
        work: What to do with a task.
        tasks: All of them.
    """

    work: Callable[[S], T]
    tasks: Sequence[S]

    def __call__(self, worker: int, workers: int) -> Iterator[T]:
        """Yield the results of one worker's tasks."""
        for number in range(worker, len(self.tasks), workers):
            yield self.work(self.tasks[number])


def _read_ahead(do_chunk: _Chunks[S, T], chunks: Sequence[range]) -> Iterator[T]:
    """Read chunks in threads: decoding and resizing do not hold the interpreter."""
    threads = min(MOST_THREADS, usable_cores())
    under_way: deque[Future[list[T]]] = deque()
    pool = ThreadPoolExecutor(threads, "verydeep-decode")
    try:
        for chunk in chunks:
            under_way.append(pool.submit(do_chunk, chunk))
            if len(under_way) > threads:
                yield from under_way.popleft().result()
        while under_way:
            yield from under_way.popleft().result()
    finally:
        pool.shutdown(cancel_futures=True)


def worker_count(wish: int | None, files: int) -> int:
    """Return how many processes read that many files; None decides by count and cores.

    There are never more than :func:`most_workers`.
    """
    if multiprocessing.current_process().daemon:  # which may start none
        return 0
    if wish is not None:
        return min(wish, most_workers())
    return 0 if files < WORTH_A_PROCESS or usable_cores() == 1 else usable_cores()


def most_workers() -> int:
    """Return the ceiling of reading processes: each takes memory, and cores are soon shared out.

    Several for each core help where files come over a slow network.
    """
    return max(16, 4 * usable_cores())


def bounded_workers(wish: int | None, option: str) -> tuple[int | None, str]:
    """Return a number of processes under the ceiling, and a word if it has been lowered.

    Args:
        wish: What was asked for; None decides later.
        option: What to call it in the word.
    """
    if wish is None or wish <= most_workers():
        return wish, ""
    cores = plural(usable_cores(), "core")
    return most_workers(), (
        f"{option}: {most_workers()} reading processes instead of {wish:,}, the most for {cores}"
    )


@dataclass(frozen=True)
class _Chunks(Generic[S, T]):
    """Does the same with several items, by their numbers."""

    work: Callable[[S], T]
    items: Sequence[S]

    def __call__(self, indices: range) -> list[T]:
        return [self.work(self.items[index]) for index in indices]


@dataclass(frozen=True)
class _Load(Generic[T]):
    """Decodes and prepares one of the sources, by its number."""

    sources: Sequence[ImageSource | Image.Image]
    prepare: Callable[[Image.Image], T]

    def __call__(self, index: int) -> Loaded[T]:
        source = self.sources[index]
        try:
            picture = source if isinstance(source, Image.Image) else decode(source)
        except PictureError as error:
            return Loaded(index, None, str(error))
        try:
            return Loaded(index, self.prepare(picture))
        except PictureError as error:
            name = "an image in memory" if isinstance(source, Image.Image) else printable(source)
            return Loaded(index, None, f"{name}: {error}")
