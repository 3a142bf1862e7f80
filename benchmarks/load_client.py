"""A load client for HTTP servers on this machine, bounded in requests and seconds.

Each of its connections sends an image, waits for the answer, and sends the next; after a 429 it
waits as long as the server asks. It sends to 127.0.0.1 alone.
"""

from __future__ import annotations

import asyncio
import json
import statistics
import time
from collections import Counter
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

HOST = "127.0.0.1"
BOUNDARY = "a-boundary-of-the-load-client"

Top = Callable[[Any], str]
"""Function from the JSON of an answer to the likeliest class."""


@dataclass
class Target:
    """What is asked.

    Attributes:
        port: Port on this machine.
        path: Path of the address.
        field: Name of the form's field for the image.
        top: Likeliest class of an answer.
    """

    port: int
    path: str
    field: str
    top: Top


@dataclass
class Outcome:
    """What all connections have seen.

    Attributes:
        statuses: Number of answers by status; ``lost`` for connections that broke.
        seconds: Times of the answers with status 200.
        changed: Answers with another likeliest class than the image had without load.
    """

    statuses: Counter[str] = field(default_factory=Counter)
    seconds: list[float] = field(default_factory=list)
    changed: int = 0

    def to_dict(self, wall: float) -> dict[str, Any]:
        """Return rates and percentiles."""
        ordered = sorted(self.seconds)
        at = statistics.quantiles(ordered, n=100) if len(ordered) > 1 else [0.0] * 99
        return {
            "images_per_second": round(len(ordered) / wall, 2),
            "p50_seconds": round(at[49], 4),
            "p95_seconds": round(at[94], 4),
            "p99_seconds": round(at[98], 4),
            "statuses": dict(self.statuses),
            "changed": self.changed,
            "seconds": round(wall, 1),
        }


def request_of(target: Target, name: str, data: bytes) -> bytes:
    """Return a request with one image as a form."""
    head = (
        f'--{BOUNDARY}\r\nContent-Disposition: form-data; name="{target.field}"; '
        f'filename="{name}"\r\nContent-Type: image/jpeg\r\n\r\n'
    )
    body = head.encode() + data + f"\r\n--{BOUNDARY}--\r\n".encode()
    lines = (
        f"POST {target.path} HTTP/1.1\r\nHost: {HOST}:{target.port}\r\n"
        f"Content-Type: multipart/form-data; boundary={BOUNDARY}\r\n"
        f"Content-Length: {len(body)}\r\n\r\n"
    )
    return lines.encode() + body


@dataclass
class Reply:
    """An answer."""

    status: int
    headers: dict[str, str]
    body: bytes


class Connection:
    """A connection to the server, opened anew when it is lost."""

    def __init__(self, port: int) -> None:
        self.port = port
        self._streams: tuple[asyncio.StreamReader, asyncio.StreamWriter] | None = None

    async def ask(self, request: bytes) -> Reply | None:
        """Return the answer; None if the connection was lost."""
        try:
            if self._streams is None:
                self._streams = await asyncio.open_connection(HOST, self.port)
            reader, writer = self._streams
            writer.write(request)
            await writer.drain()
            return await self._read(reader)
        except (OSError, asyncio.IncompleteReadError, ValueError, IndexError):
            self.close()
            return None

    async def _read(self, reader: asyncio.StreamReader) -> Reply:
        head = (await reader.readuntil(b"\r\n\r\n")).decode("latin-1")
        first, *lines = head.strip().split("\r\n")
        headers = {
            name.lower(): value.strip() for name, _, value in (one.partition(":") for one in lines)
        }
        length = headers.get("content-length")
        body = await (reader.read() if length is None else reader.readexactly(int(length)))
        if headers.get("connection", "").lower() == "close":
            self.close()
        return Reply(int(first.split()[1]), headers, body)

    def close(self) -> None:
        """Close it."""
        if self._streams is not None:
            self._streams[1].close()
        self._streams = None


async def expected(target: Target, files: Sequence[Path]) -> list[str]:
    """Return the likeliest class of each image, asked one after the other."""
    connection, found = Connection(target.port), []
    for file in files:
        reply = await connection.ask(request_of(target, file.name, file.read_bytes()))
        if reply is None or reply.status != 200:
            raise SystemExit(f"no answer for {file.name}: {reply}")
        found.append(target.top(json.loads(reply.body)))
    connection.close()
    return found


async def load(
    target: Target,
    files: Sequence[Path],
    right: Sequence[str],
    *,
    clients: int,
    seconds: float,
    most: int,
    each: Callable[[int], object] = lambda done: None,
) -> dict[str, Any]:
    """Ask from many connections at once.

    Args:
        target: What is asked.
        files: Images; each connection sends them in turn.
        right: Their likeliest classes.
        clients: Number of connections.
        seconds: Seconds after which no new request is sent.
        most: Number of requests after which no new one is sent.
        each: Called with the number of requests done.
    """
    requests = [request_of(target, file.name, file.read_bytes()) for file in files]
    outcome, sent, started = Outcome(), 0, time.monotonic()

    async def client(number: int) -> None:
        nonlocal sent
        connection, place = Connection(target.port), number
        while sent < most and time.monotonic() < started + seconds:
            sent += 1
            place = (place + 1) % len(requests)
            begun = time.monotonic()
            reply = await connection.ask(requests[place])
            outcome.statuses["lost" if reply is None else str(reply.status)] += 1
            if reply is None:
                continue
            if reply.status == 200:
                outcome.seconds.append(time.monotonic() - begun)
                outcome.changed += target.top(json.loads(reply.body)) != right[place]
            elif reply.status in (429, 503):
                await asyncio.sleep(float(reply.headers.get("retry-after", "1")))
            each(sum(outcome.statuses.values()))
        connection.close()

    await asyncio.gather(*(client(number) for number in range(clients)))
    return outcome.to_dict(time.monotonic() - started)
