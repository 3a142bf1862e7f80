"""Connections with bounds on slow clients, which hold no memory or descriptors for long."""

from __future__ import annotations

import asyncio
import contextlib
from typing import Any

import h11
from uvicorn.protocols.http.h11_impl import H11Protocol

from verydeep.serve.descriptors import most_connections
from verydeep.serve.problems import Problem

HEAD_SECONDS = 10.0
"""Seconds from the first byte of a request, or from the connection, to the end of its head."""

READ_SECONDS = 60.0
"""Seconds that a client may leave an answer unread."""


class Connection(H11Protocol):
    """A connection of a client."""

    _head: asyncio.TimerHandle | None = None
    _unread: asyncio.TimerHandle | None = None

    def connection_made(self, transport: Any) -> None:
        """Begin to wait for a request, unless too many connections are open."""
        super().connection_made(transport)
        if len(self.connections) > most_connections():
            self._refuse(
                Problem(503, "too-many-connections", "too many connections are open; try again"),
                b"Service Unavailable",
            )
            return
        self._wait_for_head()

    def data_received(self, data: bytes) -> None:
        """Take bytes; wait for the rest of a head that is incomplete."""
        super().data_received(data)
        self._wait_for_head()

    def connection_lost(self, exc: Exception | None) -> None:
        """Stop all waiting."""
        for timer in (self._head, self._unread):
            if timer:
                timer.cancel()
        super().connection_lost(exc)

    def pause_writing(self) -> None:
        """Begin to wait for the client to read."""
        super().pause_writing()
        self._unread = self.loop.call_later(READ_SECONDS, self.transport.abort)

    def resume_writing(self) -> None:
        """Stop to wait for the client to read."""
        super().resume_writing()
        if self._unread:
            self._unread.cancel()

    def send_400_response(self, msg: str) -> None:
        """Refuse what is no HTTP; in the middle of an answer, only close the connection."""
        self._refuse(Problem(400, "no-http", "this is no HTTP request"), b"Bad Request")

    def _refuse(self, problem: Problem, reason: bytes) -> None:
        """Send a problem, unless an answer has begun, and close the connection."""
        if self._is_idle():
            body = bytes(problem.response().body)
            headers = [
                (b"Content-Type", b"application/json"),
                (b"Content-Length", str(len(body)).encode()),
                (b"X-Content-Type-Options", b"nosniff"),
                (b"Connection", b"close"),
            ]
            with contextlib.suppress(h11.LocalProtocolError):
                for event in (
                    h11.Response(status_code=problem.status, headers=headers, reason=reason),
                    h11.Data(data=body),
                    h11.EndOfMessage(),
                ):
                    self.transport.write(self.conn.send(event) or b"")
        self.transport.close()

    def _is_idle(self) -> bool:
        return self.cycle is None or bool(self.cycle.response_complete)

    def _wait_for_head(self) -> None:
        if not self._is_idle():
            if self._head:
                self._head.cancel()
            self._head = None
        elif self._head is None:
            self._head = self.loop.call_later(HEAD_SECONDS, self._give_up)

    def _give_up(self) -> None:
        self._head = None
        if self._is_idle():
            self.transport.close()
