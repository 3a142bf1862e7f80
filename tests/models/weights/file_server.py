"""A server of one file on this machine, which behaves as badly as it is told to."""

from __future__ import annotations

import contextlib
import re
import threading
from collections.abc import Iterator
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any


@dataclass
class Behaviour:
    """What the server does, and what it was asked.

    Attributes:
        content: The file.
        ranges: Whether it answers range requests.
        cuts: After how many bytes each of the next answers breaks off.
        length: Stated length instead of the right one; "" states none.
        codes: Status of the next answers, with headers.
        headers: Headers of every answer.
        redirects: Paths that lead elsewhere, with headers.
        range_shift: Bytes by which a range is off.
        stated_range: Content-Range instead of the right one.
        asked: Range header of each request so far.
        gate: Lets answers begin.
        stall: Bytes after which an answer waits for the event ``rest``; None for no such wait.
    """

    content: bytes = b""
    ranges: bool = True
    cuts: list[int] = field(default_factory=list)
    length: str | None = None
    codes: list[tuple[int, dict[str, str]]] = field(default_factory=list)
    headers: dict[str, str] = field(default_factory=dict)
    redirects: dict[str, tuple[str, dict[str, str]]] = field(default_factory=dict)
    range_shift: int = 0
    stated_range: str | None = None
    asked: list[str | None] = field(default_factory=list)
    gate: threading.Event = field(default_factory=threading.Event)
    stall: int | None = None
    rest: threading.Event = field(default_factory=threading.Event)
    url: str = ""


@contextlib.contextmanager
def serving(content: bytes) -> Iterator[Behaviour]:
    """Serve a file under every path that is no redirect."""
    behaviour = Behaviour(content)
    behaviour.gate.set()

    class Handler(BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            answer(self, behaviour)

        def log_message(self, format: str, *args: Any) -> None:  # noqa: A002
            pass

    server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    server.daemon_threads = True
    behaviour.url = f"http://127.0.0.1:{server.server_port}"
    thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.01})
    thread.start()
    try:
        yield behaviour
    finally:
        behaviour.gate.set()
        behaviour.rest.set()
        server.shutdown()
        server.server_close()
        thread.join()


def answer(request: BaseHTTPRequestHandler, behaviour: Behaviour) -> None:
    """Answer one request as badly as wanted."""
    behaviour.asked.append(request.headers.get("Range"))
    behaviour.gate.wait(30)
    if behaviour.codes:
        code, headers = behaviour.codes.pop(0)
        return finish(request, code, {**headers, "Content-Length": "0"})
    if request.path in behaviour.redirects:
        target, headers = behaviour.redirects[request.path]
        return finish(request, 302, {**headers, "Location": target, "Content-Length": "0"})
    return send(request, behaviour)


def send(request: BaseHTTPRequestHandler, behaviour: Behaviour) -> None:
    content, whole = behaviour.content, len(behaviour.content)
    asked = re.fullmatch(r"bytes=(\d+)-", request.headers.get("Range", ""))
    code, headers = 200, dict(behaviour.headers)
    if asked and behaviour.ranges:
        start = int(asked[1]) + behaviour.range_shift
        if start >= whole:
            return finish(request, 416, {**headers, "Content-Range": f"bytes */{whole}"})
        code, content = 206, content[start:]
        right = f"bytes {start}-{whole - 1}/{whole}"
        headers["Content-Range"] = (
            right if behaviour.stated_range is None else behaviour.stated_range
        )
    length = str(len(content)) if behaviour.length is None else behaviour.length
    if length:
        headers["Content-Length"] = length
    cut = behaviour.cuts.pop(0) if behaviour.cuts else None
    finish(request, code, headers, content[: behaviour.stall if cut is None else cut])
    if behaviour.stall is not None and cut is None:
        behaviour.rest.wait(30)
        with contextlib.suppress(OSError):
            request.wfile.write(content[behaviour.stall :])
    return None


def finish(
    request: BaseHTTPRequestHandler, code: int, headers: dict[str, str], content: bytes = b""
) -> None:
    request.send_response(code)
    for name, value in headers.items():
        request.send_header(name, value)
    request.end_headers()
    with contextlib.suppress(OSError):  # the client may have had enough
        request.wfile.write(content)
    request.close_connection = True
