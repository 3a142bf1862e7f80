"""Parallel reading and preparation of many files, in order, with faults by name."""

from __future__ import annotations

import multiprocessing
from collections import deque
from collections.abc import Callable, Generator, Iterator, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Generic, TypeVar

from PIL import Image

from verydeep.data.images.decode import decode
from verydeep.data.images.member import ImageSource
from verydeep.data.volumes.formats import is_volume, is_volume_name
from verydeep.data.volumes.read import read_volume
from verydeep.data.volumes.volume import Volume
from verydeep.errors import InputError, PictureError, plural, printable
from verydeep.system.device import usable_cores
from verydeep.system.workers.pool import Workers

S = TypeVar("S")
T = TypeVar("T")

WORTH_A_PROCESS = 1024
"""Files below which starting processes takes longer than reading."""

MOST_THREADS = 4
"""Maximum number of threads; more would wait for the GIL."""


@dataclass(frozen=True, slots=True)
class Loaded(Generic[T]):
    """The result for one file: a value, or the reason why it cannot be read."""

    index: int
    value: T | None
    fault: str | None = None


def load_pictures(
    sources: Sequence[ImageSource | Image.Image],
    prepare: Callable[[Image.Image], T] | Callable[[Image.Image | Volume], T],
    *,
    workers: int | None = None,
    chunk: int = 16,
    dimensions: int = 2,
) -> Generator[Loaded[T], None, None]:
    """Decode files and prepare the images, in order and ahead of the caller.

    Args:
        sources: Files, or images in memory.
        prepare: Runs in the process that decodes the file. Must be picklable (a module-level
            function, or an instance of a module-level class).
        workers: Processes; 0 uses threads, None one process per core if there are many files.
        chunk: Files that one process or thread reads at a time.
        dimensions: 2 for images, 3 for volumes; the others count as unreadable.

    Yields:
        One entry per source, in order. Close the generator to end its processes early.

    Raises:
        WorkerError: A process was killed, or none can be started.
    """
    load = _Load(sources, prepare, dimensions)
    yield from in_parallel(load, range(len(sources)), workers=workers, chunk=chunk)


def in_parallel(
    work: Callable[[S], T],
    items: Sequence[S],
    *,
    workers: int | None = None,
    chunk: int = 16,
) -> Generator[T, None, None]:
    """Apply a function to many items, in order and ahead of the caller.

    Args:
        work: The function. Must be picklable, and raise nothing.
        items: The items; they and the results are sent between processes.
        workers: Processes; 0 uses threads, None one process per core if there are many items.
        chunk: Items that one process or thread takes at a time.

    Yields:
        One result per item, in order. Close the generator to end its processes early.

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
    """Tasks dealt to n workers: the first gets tasks 0, n, 2n and so on.

    Attributes:
        work: The function to apply to each task.
        tasks: All tasks.
    """

    work: Callable[[S], T]
    tasks: Sequence[S]

    def __call__(self, worker: int, workers: int) -> Iterator[T]:
        """Yield the results of one worker's tasks."""
        for number in range(worker, len(self.tasks), workers):
            yield self.work(self.tasks[number])


def _read_ahead(do_chunk: _Chunks[S, T], chunks: Sequence[range]) -> Iterator[T]:
    """Read chunks in threads: decoding and resizing release the GIL."""
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
    """Return the number of reading processes, at most :func:`most_workers`.

    Args:
        wish: The requested number; None decides by files and cores.
        files: Number of files.

    Raises:
        InputError: The requested number is negative.
    """
    if wish is not None and wish < 0:
        raise InputError(f"workers must be 0 or more, or None for all cores, got {wish} instead")
    if multiprocessing.current_process().daemon:  # may not start processes
        return 0
    if wish is not None:
        return min(wish, most_workers())
    return 0 if files < WORTH_A_PROCESS or usable_cores() == 1 else usable_cores()


def most_workers() -> int:
    """Return the maximum number of reading processes, as each takes memory.

    Several per core help where files come over a slow network.
    """
    return max(16, 4 * usable_cores())


def bounded_workers(wish: int | None, option: str) -> tuple[int | None, str]:
    """Return a number of processes within the maximum, and a note if it was lowered.

    Args:
        wish: The requested number; None decides later.
        option: Name of the option in the note.
    """
    if wish is None or wish <= most_workers():
        return wish, ""
    cores = plural(usable_cores(), "core")
    return most_workers(), (
        f"{option}: {most_workers()} reading processes instead of {wish:,}, the maximum for {cores}"
    )


@dataclass(frozen=True)
class _Chunks(Generic[S, T]):
    """Applies a function to several items, by index."""

    work: Callable[[S], T]
    items: Sequence[S]

    def __call__(self, indices: range) -> list[T]:
        return [self.work(self.items[index]) for index in indices]


def _decoded(source: ImageSource, dimensions: int) -> Image.Image | Volume:
    if dimensions == 3 and isinstance(source, Path) and is_volume(source):
        return read_volume(source)
    if isinstance(source, Path) and is_volume_name(source.name):
        raise PictureError(f"{printable(source)}: a volume, where images are read")
    picture = decode(source)
    if dimensions == 3:
        raise PictureError(f"{printable(source)}: an image, where volumes are read")
    return picture


@dataclass(frozen=True)
class _Load(Generic[T]):
    """Decodes and prepares one of the sources, by index."""

    sources: Sequence[ImageSource | Image.Image]
    prepare: Callable[[Any], T]
    dimensions: int

    def __call__(self, index: int) -> Loaded[T]:
        source = self.sources[index]
        try:
            picture = (
                source if isinstance(source, Image.Image) else _decoded(source, self.dimensions)
            )
        except PictureError as error:
            return Loaded(index, None, str(error))
        try:
            return Loaded(index, self.prepare(picture))
        except PictureError as error:
            name = "an image in memory" if isinstance(source, Image.Image) else printable(source)
            return Loaded(index, None, f"{name}: {error}")
