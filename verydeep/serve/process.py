"""The process of the service: signals, start and end."""

from __future__ import annotations

import asyncio
import contextlib
import logging
import signal
import socket
import threading
import time
from collections.abc import Iterator

import uvicorn

from verydeep.errors import plural
from verydeep.serve.app import build_app
from verydeep.serve.connection import Connection
from verydeep.serve.descriptors import AT_ONCE, QUEUE
from verydeep.serve.service import Service
from verydeep.serve.settings import Access
from verydeep.serve.watch import Watched
from verydeep.system.progress import Progress
from verydeep.training.signals import leave_alternate_stack

KEEP_ALIVE = 20
"""Seconds that an idle connection is kept."""

LAST_ANSWERS = 5
"""Seconds to send the last answers, once they are computed."""


class Server(uvicorn.Server):
    """A server that leaves signals to :class:`Process`."""

    @contextlib.contextmanager
    def capture_signals(self) -> Iterator[None]:
        """Do nothing."""
        yield

    async def startup(self, sockets: list[socket.socket] | None = None) -> None:
        """Begin to listen."""
        await super().startup(sockets)
        for one in sockets or ():
            one.listen(QUEUE)  # asyncio takes the number to accept at once for this, too


class Process:
    """A running server.

    Args:
        service: What answers.
        access: Who may ask.
        listener: Bound socket.
        progress: Where lines are logged.
        loopback: Whether the server is reached from this machine only.
        watched: Folder to watch, and its table.
    """

    def __init__(
        self,
        service: Service,
        access: Access,
        listener: socket.socket,
        progress: Progress,
        *,
        loopback: bool = True,
        watched: Watched | None = None,
    ) -> None:
        self.service, self.listener, self.progress = service, listener, progress
        self.failure: BaseException | None = None
        app = build_app(
            service,
            access,
            loopback=loopback,
            on_loaded=self._loaded,
            watched=watched,
        )
        config = uvicorn.Config(
            app,
            http=Connection,
            loop="asyncio",
            ws="none",
            lifespan="on",
            log_config=None,
            log_level=logging.ERROR,  # anybody can send what is no HTTP
            access_log=False,
            proxy_headers=False,
            server_header=False,
            backlog=AT_ONCE,
            timeout_keep_alive=KEEP_ALIVE,
            timeout_graceful_shutdown=LAST_ANSWERS,
        )
        logging.getLogger("python_multipart").setLevel(logging.CRITICAL)  # nor any multipart
        self.server = Server(config)

    def run(self) -> None:
        """Answer until the end.

        Raises:
            VeryDeepError: The models cannot be loaded.
        """
        asyncio.run(self._run())
        if self.failure:
            raise self.failure

    async def _run(self) -> None:
        with self._signals():
            await self.server.serve([self.listener])

    @contextlib.contextmanager
    def _signals(self) -> Iterator[None]:
        """Receive signals within this context, in the main thread."""
        if threading.current_thread() is not threading.main_thread():
            yield
            return
        loop = asyncio.get_running_loop()
        names = [signal.SIGTERM, signal.SIGINT]
        before = {one: signal.getsignal(one) for one in names}
        for one in names:
            loop.add_signal_handler(one, self.stop)
        try:
            yield
        finally:
            for one, handler in before.items():
                loop.remove_signal_handler(one)
                signal.signal(one, handler)

    def stop(self) -> None:
        """Refuse new requests, answer the others, and end; if called again, end at once."""
        if self.service.state == "stopping":
            self.server.force_exit = self.server.should_exit = True
            return
        self.service.state = "stopping"
        self._draining = asyncio.ensure_future(self._drain())

    async def _drain(self) -> None:
        service = self.service
        left = service.admission.requests
        self.progress.log(f"stopping: {plural(left, 'request')} to answer")
        deadline = time.monotonic() + service.limits.max_seconds
        while service.admission.requests and time.monotonic() < deadline:
            await asyncio.sleep(0.02)
        self.server.should_exit = True

    def _loaded(self, error: BaseException | None) -> None:
        if error is not None:
            self.failure = error
            self.server.should_exit = True
            return
        _stay_on_ordinary_stack()
        for one in self.service.models.values():
            facts = one.info()
            classes = plural(facts.classes, "class", "classes")
            self.progress.log(
                f"ready: {facts.name} (net {facts.net}, {classes}, {facts.engine} "
                f"{facts.precision})"
            )


def _stay_on_ordinary_stack() -> None:
    """Handle signals on the ordinary stack once the engines are loaded."""
    if threading.current_thread() is threading.main_thread():
        leave_alternate_stack()
