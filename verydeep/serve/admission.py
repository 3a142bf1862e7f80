"""Bound on the images and bytes of all requests that are being answered."""

from __future__ import annotations

import asyncio
import math
import time
from types import TracebackType
from typing import Self

from verydeep.serve.problems import Problem
from verydeep.serve.settings import Limits

LATEST = 60
"""Maximum number of seconds in Retry-After."""


class Admission:
    """Counts what is being answered.

    All calls come from the event loop, except those of :meth:`answered`, which come from the thread
    of the models; only that thread changes the time of an image.

    Args:
        limits: The bounds.

    Attributes:
        parsing: Held while a body that takes several times its bytes of memory is parsed.
    """

    def __init__(self, limits: Limits) -> None:
        self.limits = limits
        self.images = self.bytes = self.requests = 0
        self.parsing = asyncio.Lock()
        self._seconds_an_image = 0.1

    def request(self) -> Place:
        """Return the place of a request, to be used as a context.

        Raises:
            Problem: Too many images wait.
        """
        if self.images >= self.limits.queue:
            raise self._full()
        return Place(self)

    def answered(self, images: int, seconds: float) -> None:
        """Note the time that a batch took, to estimate when there will be room."""
        self._seconds_an_image += 0.1 * (seconds / images - self._seconds_an_image)

    def take(self, images: int, size: int) -> None:
        """Add images and bytes of a request.

        Raises:
            Problem: There would be too many.
        """
        limits = self.limits
        if self.images + images > limits.queue or self.bytes + size > limits.queue_bytes:
            raise self._full()
        self.images += images
        self.bytes += size

    def _full(self) -> Problem:
        wait = max(1, min(LATEST, math.ceil(self.images * self._seconds_an_image)))
        return Problem(
            429,
            "busy",
            f"{self.images} images and {self.bytes:,} bytes wait already, and at most "
            f"{self.limits.queue} images and {self.limits.queue_bytes:,} bytes may: ask again in "
            f"{wait} s",
            retry_after=wait,
        )


class Place:
    """What one request takes of the bounds, given back at the end of the context.

    Args:
        admission: The bounds. The images of a request wait, and count, once all of it is there.
    """

    def __init__(self, admission: Admission) -> None:
        self.admission = admission
        self.images = self.bytes = 0
        self.started = time.monotonic()

    def __enter__(self) -> Self:
        self.admission.requests += 1
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self.admission.requests -= 1
        self.admission.images -= self.images
        self.admission.bytes -= self.bytes
        self.images = self.bytes = 0

    def add_bytes(self, size: int) -> None:
        """Add bytes that have arrived.

        Raises:
            Problem: All requests together have too many.
        """
        self._take(0, size)

    def has_images(self, count: int) -> None:
        """Set the number of images.

        Raises:
            Problem: All requests together have too many.
        """
        self._take(max(0, count - self.images), 0)

    def _take(self, images: int, size: int) -> None:
        self.admission.take(images, size)
        self.images += images
        self.bytes += size

    @property
    def deadline(self) -> float:
        """Time of :func:`time.monotonic` at which the answer must be ready."""
        return self.started + self.admission.limits.max_seconds
