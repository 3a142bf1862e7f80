"""Something limited that is shared out: memory for decoded images, processes that decode."""

from __future__ import annotations

import asyncio
import contextlib
import threading
from collections import deque
from collections.abc import AsyncIterator
from concurrent.futures import Future
from typing import Any


class Room:
    """A number of bytes, or of places; whoever asks for some waits until they are free.

    Event loops and threads may share it. Nothing is kept of a wish that is cancelled: a future
    that is kept would hold the frames of all who awaited it, and the images in them.

    Args:
        most: How many there are. A larger wish is granted once nothing else is held.

    Attributes:
        used: How many are held.
    """

    def __init__(self, most: int) -> None:
        self.most = most
        self.used = 0
        self._waiting: deque[tuple[int, Future[None]]] = deque()
        self._lock = threading.Lock()

    @contextlib.asynccontextmanager
    async def share(self, size: int) -> AsyncIterator[Share]:
        """Hold as many inside this context, after waiting for those who came before."""
        granted: Future[None] = Future()
        with self._lock:
            self._waiting.append((size, granted))
            self._grant()
        try:
            await asyncio.wrap_future(granted)
        except BaseException:
            self._withdraw(size, granted)
            raise
        share = Share(self, size)
        try:
            yield share
        finally:
            share.end()

    def give(self, size: int) -> None:
        """Give some back."""
        with self._lock:
            self.used -= size
            self._grant()

    def _withdraw(self, size: int, granted: Future[None]) -> None:
        with self._lock:
            if (size, granted) in self._waiting:
                self._waiting.remove((size, granted))
            elif not granted.cancelled():  # granted meanwhile
                self.used -= size
            self._grant()

    def _grant(self) -> None:
        while self._waiting:
            size, granted = self._waiting[0]
            if not granted.cancelled() and self.used and self.used + size > self.most:
                return
            self._waiting.popleft()
            if granted.set_running_or_notify_cancel():
                self.used += size
                granted.set_result(None)


class Share:
    """What is held of a room.

    Args:
        room: Where it is given back.
        size: How many bytes or places.
    """

    def __init__(self, room: Room, size: int) -> None:
        self._room, self._size = room, size
        self._until: Future[Any] | None = None

    def shrink(self, size: int) -> None:
        """Keep only as many."""
        given, self._size = max(0, self._size - size), min(self._size, size)
        self._room.give(given)

    def until(self, future: Future[Any]) -> None:
        """Hold them until a future is done, also beyond the context."""
        self._until = future

    def end(self) -> None:
        """Give them back, at once or when the future is done."""
        until, self._until = self._until, None
        if until is None:
            self._room.give(self._size)
        else:
            until.add_done_callback(lambda _: self._room.give(self._size))
