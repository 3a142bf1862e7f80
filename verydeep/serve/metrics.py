"""Counters of the service, in the format of Prometheus. None holds anything about an image."""

from __future__ import annotations

from collections.abc import Callable

from prometheus_client import CollectorRegistry, Counter, Gauge, Histogram, generate_latest

CONTENT_TYPE = "text/plain; version=0.0.4; charset=utf-8"

SECONDS = (0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1, 2.5, 5, 10, 30)
SIZES = (1, 2, 4, 8, 16, 32)


class Metrics:
    """Counters of one server.

    Args:
        waiting: Returns the number of images that wait or are being computed.
        ready: Returns whether the server is ready.
    """

    def __init__(self, waiting: Callable[[], int], ready: Callable[[], bool]) -> None:
        self.registry = CollectorRegistry()
        here = self.registry
        self.requests = Counter(
            "verydeep_requests", "Requests by route and status.", ["route", "status"], registry=here
        )
        self.seconds = Histogram(
            "verydeep_request_seconds", "By route.", ["route"], buckets=SECONDS, registry=here
        )
        self.images = Counter(
            "verydeep_images", "Images by model and outcome.", ["model", "outcome"], registry=here
        )
        self.batch_images = Histogram(
            "verydeep_batch_images", "Images per batch.", buckets=SIZES, registry=here
        )
        self.batch_seconds = Histogram(
            "verydeep_batch_seconds", "Seconds per batch.", buckets=SECONDS, registry=here
        )
        self.lost = Counter(
            "verydeep_decoders_lost", "Decoding processes that were replaced.", registry=here
        )
        pending = Gauge("verydeep_images_pending", "Images not yet answered.", registry=here)
        pending.set_function(waiting)
        state = Gauge("verydeep_ready", "1 if the server is ready.", registry=here)
        state.set_function(lambda: float(ready()))

    def batch(self, images: int, seconds: float) -> None:
        """Count a batch."""
        self.batch_images.observe(images)
        self.batch_seconds.observe(seconds)

    def text(self) -> bytes:
        """Return all counters as text."""
        return generate_latest(self.registry)
