"""Servers for tests: in this process over a socket, with any models."""

from __future__ import annotations

import contextlib
import io
import threading
import time
from collections.abc import Callable, Iterator, Sequence
from dataclasses import replace
from typing import Any

import numpy as np
from leftovers import keeping
from PIL import Image
from progresses import Listening
from random_nets import random_classifier

from verydeep.evaluation.thresholds import Thresholds
from verydeep.serve.answers import ImageAnswer
from verydeep.serve.decoding import Decoded
from verydeep.serve.models import ServedModel
from verydeep.serve.process import Process
from verydeep.serve.service import Service
from verydeep.serve.settings import Access, Limits
from verydeep.serve.start import address_of, bind

LIMITS = Limits(
    max_bytes=400_000,
    max_pixels=600_000,
    max_images=6,
    max_seconds=20,
    queue=8,
    queue_bytes=800_000,
)
"""Limits that tests can reach."""


def random_served(name: str = "tiny", kind: type[ServedModel] = ServedModel, **net: Any) -> Any:
    """Return a narrow net A with random weights as a served model."""
    model = random_classifier(**{"name": "A", **net})
    return kind(name, model, model.test_protocol())


def labelled_served(picture: Image.Image, wanted: Sequence[int]) -> ServedModel:
    """Return a multi-label net for 7 classes that gives an image the labels of these ranks.

    Every threshold lies halfway from a class's probability for the image to 0 or 1.
    """
    model = replace(random_classifier(name="A", num_classes=7), multi_label=True)
    likely = model.predict_proba(picture)[0].astype(float)
    chosen = np.isin(np.argsort(np.argsort(-likely)), wanted)
    limits = np.where(chosen, likely / 2, (likely + 1) / 2).tolist()
    fitted = Thresholds(tuple(limits), (True,) * 7, "val", "", 100)
    model = replace(model, thresholds=fitted, titles={"class 1": "The first"})
    return ServedModel("labels", model, model.test_protocol())


class Held(ServedModel):
    """A model that answers only while ``go`` is set, and notes the sizes of its batches."""

    def __post_init__(self) -> None:
        super().__post_init__()
        self.go = threading.Event()
        self.begun = threading.Event()
        self.batches: list[int] = []

    def answer(self, images: Sequence[Decoded], top: int) -> list[ImageAnswer]:
        self.begun.set()
        assert self.go.wait(30)
        self.batches.append(len(images))
        return super().answer(images, top)


@contextlib.contextmanager
def serving(
    models: Sequence[Any], limits: Limits | None = None, access: Access | None = None, **more: Any
) -> Iterator[tuple[str, Service]]:
    """Serve models on a free port within this context.

    Args:
        models: :class:`ServedModel`, or stand-ins with the same attributes.
        limits: Limits of requests.
        access: Who may ask.
        more: Other arguments of the process.

    Yields:
        Address like ``http://127.0.0.1:8080/``, and the service.
    """
    log = Listening()
    service = Service(lambda: models, limits, decoders=1, log=log.log)
    with contextlib.closing(bind("127.0.0.1", 0)) as listener:
        process = Process(service, access or Access(), listener, log, **more)
        thread = threading.Thread(target=process.run)
        thread.start()
        try:
            until(lambda: service.state != "loading" or not thread.is_alive())
            with keeping(lambda: service.decoders.pids):
                yield address_of(listener), service
        finally:
            process.server.should_exit = True
            thread.join()


def until(condition: Callable[[], object], seconds: float = 20.0) -> None:
    """Wait for something to happen."""
    deadline = time.monotonic() + seconds
    while not condition():
        assert time.monotonic() < deadline, "it did not happen"
        time.sleep(0.005)


def as_file(picture: Image.Image, kind: str = "JPEG") -> bytes:
    """Return the bytes of an image's file."""
    file = io.BytesIO()
    picture.save(file, kind)
    return file.getvalue()
