"""One thread for all models, which computes images of all clients in batches."""

from __future__ import annotations

import threading
import time
from collections import Counter, deque
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import Future
from contextlib import contextmanager
from dataclasses import dataclass, field
from typing import Any, Protocol, TypeVar

LAST_CALL = 15.0
"""Seconds that the thread has for its last batch; loading a model may take longer."""

T = TypeVar("T")
Image_contra = TypeVar("Image_contra", contravariant=True)
Answer_co = TypeVar("Answer_co", covariant=True)


class BatchModel(Protocol[Image_contra, Answer_co]):
    """A model that answers for several images at once."""

    def answer(self, images: Sequence[Image_contra], top: int) -> Sequence[Answer_co]:
        """Return one answer per image, with at most ``top`` classes."""


@dataclass(slots=True)
class _Item:
    """An image that waits, or a call that waits alone (``call``)."""

    model: Any
    image: Any
    top: int
    future: Future[Any]
    arrived: float = field(default_factory=time.monotonic)
    call: Callable[[], Any] | None = None


class ModelThread:
    """A thread that computes batches, each of images for one model.

    The first image of a batch waits for others at most a few milliseconds, and not at all while
    no other image is on its way. What is cancelled while it waits is dropped at once.

    Args:
        wait: Milliseconds that an image may wait for others.
        most: Maximum number of images of a batch.
        on_batch: Called with the number of images and the seconds of each batch.
    """

    def __init__(
        self,
        wait: float,
        most: int,
        on_batch: Callable[[int, float], object] = lambda images, seconds: None,
    ) -> None:
        self._wait, self._most, self._on_batch = wait / 1000, most, on_batch
        self._waiting: deque[_Item] = deque()
        self._arriving: Counter[int] = Counter()
        self._changed = threading.Condition()
        self._closing = False
        self._thread = threading.Thread(target=self._run, name="verydeep-model", daemon=True)

    def start(self) -> None:
        """Start the thread."""
        self._thread.start()

    def close(self) -> None:
        """Let waiting images be computed, and end the thread; give up a call that takes long."""
        with self._changed:
            self._closing = True
            self._changed.notify_all()
        if self._thread.ident is not None:
            self._thread.join(LAST_CALL)

    def submit(self, model: BatchModel[Any, T], image: object, top: int) -> Future[T]:
        """Add an image, and return the future answer."""
        return self._add(_Item(model, image, top, Future()))

    def call(self, function: Callable[[], T]) -> Future[T]:
        """Call a function in the thread of the models."""
        return self._add(_Item(None, None, 0, Future(), call=function))

    @contextmanager
    def arriving(self, model: object) -> Iterator[None]:
        """Announce an image inside this context, so that a batch may wait for it."""
        key = id(model)
        with self._changed:
            self._arriving[key] += 1
        try:
            yield
        finally:
            with self._changed:
                self._arriving[key] -= 1
                if not self._arriving[key]:
                    del self._arriving[key]
                self._changed.notify_all()

    def _add(self, item: _Item) -> Future[Any]:
        with self._changed:
            if self._closing:
                raise RuntimeError("the thread of the models has ended")
            self._waiting.append(item)
            self._changed.notify_all()
        item.future.add_done_callback(self._drop)
        return item.future

    def _drop(self, future: Future[Any]) -> None:
        """Remove the item of a future if that was cancelled, since the item holds its image."""
        if future.cancelled():
            with self._changed:
                self._waiting = deque(one for one in self._waiting if one.future is not future)

    def _run(self) -> None:
        while batch := self._next_batch():
            ready = [item for item in batch if item.future.set_running_or_notify_cancel()]
            del batch
            if ready:
                started = time.monotonic()
                _compute(ready)
                if ready[0].call is None:
                    self._on_batch(len(ready), time.monotonic() - started)
            del ready

    def _next_batch(self) -> list[_Item]:
        """Wait for a batch; return an empty one at the end."""
        with self._changed:
            while not self._waiting:
                if self._closing:
                    return []
                self._changed.wait()
            first = self._waiting[0]
            if first.call is not None:
                return [self._waiting.popleft()]
            while self._is_worth_waiting(first):
                self._changed.wait(max(0.0, first.arrived + self._wait - time.monotonic()))
            return self._take(first)

    def _is_worth_waiting(self, first: _Item) -> bool:
        late = time.monotonic() >= first.arrived + self._wait
        if late or self._closing or not self._arriving[id(first.model)]:
            return False
        return sum(item.model is first.model for item in self._waiting) < self._most

    def _take(self, first: _Item) -> list[_Item]:
        """Remove and return the first images of one model, up to a batch."""
        taken: list[_Item] = []
        others: list[_Item] = []
        while self._waiting and len(taken) < self._most:
            item = self._waiting.popleft()
            if item.future.cancelled():
                continue
            same = item.call is None and item.model is first.model
            (taken if same else others).append(item)
        self._waiting.extendleft(reversed(others))
        return taken or [first]


def _compute(items: Sequence[_Item]) -> None:
    """Compute a batch; if it fails, each image alone, so that one cannot spoil the others'."""
    first = items[0]
    try:
        if first.call is not None:
            first.future.set_result(first.call())
            return
        top = max(item.top for item in items)
        answers = first.model.answer([item.image for item in items], top)
        for item, answer in zip(items, answers, strict=True):
            item.future.set_result(answer)
    except BaseException as error:
        if len(items) == 1:
            first.future.set_exception(error)
            return
        for item in items:
            if not item.future.done():
                _compute([item])
