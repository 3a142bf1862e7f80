"""Reading of remote images ahead of their decoding, many at a time.

Decoding threads wait for the processor; reading from an object store waits for the network, and is
fast only if many requests are under way.
"""

from __future__ import annotations

import threading
from collections.abc import Iterator, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from contextlib import contextmanager
from dataclasses import dataclass

from verydeep.data.images.member import ImageSource, Member
from verydeep.data.listing.remote_image import RemoteImage
from verydeep.data.shards.index import TarMember
from verydeep.system.object_stores import is_remote

REQUESTS = 32
"""Requests under way at the same time."""

AHEAD = 128
"""Images that are read ahead of the last one decoded."""


@contextmanager
def read_ahead(sources: Sequence[ImageSource]) -> Iterator[Sequence[ImageSource]]:
    """Yield the same images, of which the remote ones are read ahead in threads."""
    if not any(map(_is_remote, sources)):
        yield sources
        return
    pool = ThreadPoolExecutor(REQUESTS, "verydeep-fetch")
    try:
        window = _Window(sources, pool)
        yield [Ahead(window, row) if _is_remote(one) else one for row, one in enumerate(sources)]
    finally:
        pool.shutdown(cancel_futures=True)


def _is_remote(source: ImageSource) -> bool:
    if isinstance(source, TarMember):
        return is_remote(source.shard)
    return isinstance(source, RemoteImage)


@dataclass(frozen=True, slots=True)
class Ahead(Member):
    """A remote image that is read ahead.

    Attributes:
        window: Images of the part.
        row: Its place among them.
    """

    window: _Window
    row: int

    def __str__(self) -> str:
        return str(self.window.sources[self.row])

    def read(self) -> bytes:
        """Return the bytes of the image file; raise what reading it has raised."""
        return self.window.take(self.row)


class _Window:
    """Futures of the next images of a part, requested in order."""

    def __init__(self, sources: Sequence[ImageSource], pool: ThreadPoolExecutor) -> None:
        self.sources, self.pool = sources, pool
        self._futures: dict[int, Future[bytes]] = {}
        self._next = 0
        self._lock = threading.Lock()  # several threads decode

    def take(self, row: int) -> bytes:
        """Return the bytes of an image, and request those that follow."""
        with self._lock:
            self._request(row + AHEAD)
            future = self._futures.pop(row, None)
        if future is None:  # read before
            source = self.sources[row]
            assert isinstance(source, Member)
            return source.read()
        return future.result()

    def _request(self, last: int) -> None:
        while self._next <= min(last, len(self.sources) - 1):
            source = self.sources[self._next]
            if isinstance(source, Member) and _is_remote(source):
                self._futures[self._next] = self.pool.submit(source.read)
            self._next += 1
