"""Servers for tests: in this process over a socket, with any models."""

from __future__ import annotations

import contextlib
import threading
import time
from collections.abc import Iterator, Sequence
from typing import Any

from leftovers import keeping
from random_nets import random_classifier

from verydeep.serve.models import ServedModel
from verydeep.serve.process import Process
from verydeep.serve.service import Service
from verydeep.serve.settings import Access, Limits
from verydeep.serve.start import address_of, bind
from verydeep.system.progress import Progress


def random_served(name: str = "tiny", **net: Any) -> ServedModel:
    """Return a narrow net A with random weights as a served model."""
    model = random_classifier(**{"name": "A", **net})
    return ServedModel(name, model, model.test_protocol())


@contextlib.contextmanager
def serving(
    models: Sequence[Any], limits: Limits | None = None, access: Access | None = None, **more: Any
) -> Iterator[tuple[str, Service]]:
    """Serve models on a free port within this context.

    Args:
        models: :class:`ServedModel`, or stand-ins with the same attributes.
        limits: Limits of requests.
        access: Who may ask.
        more: Other arguments of the service.

    Yields:
        Address like ``http://127.0.0.1:8080/``, and the service.
    """
    service = Service(lambda: models, limits, **{"decoders": 1, **more})
    with contextlib.closing(bind("127.0.0.1", 0)) as listener:
        process = Process(service, access or Access(), listener, Progress())
        thread = threading.Thread(target=process.run)
        thread.start()
        try:
            while service.state == "loading" and thread.is_alive():
                time.sleep(0.01)
            with keeping(lambda: service.decoders.pids):
                yield address_of(listener), service
        finally:
            process.server.should_exit = True
            thread.join()
