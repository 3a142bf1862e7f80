"""Many clients, slow clients, clients that go away, and lost processes."""

from __future__ import annotations

import contextlib
import os
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from dataclasses import replace
from typing import Any
from urllib.parse import urlsplit

import httpx2
import pytest
from serving import LIMITS, Held, until

from verydeep.serve.service import Service

Post = Callable[..., "Future[httpx2.Response]"]


@pytest.fixture
def busy(held: Held) -> Iterator[Held]:
    """The model that computes nothing until ``go`` is set."""
    held.go.clear()
    held.begun.clear()
    held.batches.clear()
    yield held
    held.go.set()


@pytest.fixture
def post(running: tuple[str, Service], photograph: bytes) -> Iterator[Post]:
    """A function that sends images to the held model in a thread of its own."""
    with ThreadPoolExecutor(8) as pool, httpx2.Client(base_url=running[0], timeout=30) as client:

        def send(images: int = 1) -> Future[httpx2.Response]:
            files = [("images", photograph)] * images
            return pool.submit(client.post, "/v1/predict?model=held", files=files)

        yield send


def connected(address: str) -> socket.socket:
    parts = urlsplit(address)
    return socket.create_connection((parts.hostname or "", parts.port or 0), timeout=20)


def head(length: int, more: str = "") -> bytes:
    return (
        f"POST /v1/predict?model=held HTTP/1.1\r\nHost: 127.0.0.1\r\n{more}"
        f"Content-Length: {length}\r\n\r\n"
    ).encode()


def status_of(connection: socket.socket) -> int:
    """Return the status of an answer; 0 if the connection was closed without one."""
    line = connection.makefile("rb").readline().split()
    return int(line[1]) if line else 0


def test_images_of_several_clients_make_one_batch(busy: Held, post: Post, service: Service) -> None:
    first = post()
    assert busy.begun.wait(20)
    others = [post() for _ in range(4)]
    until(lambda: len(service.thread._waiting) == 4)
    busy.go.set()
    answers = [one.result().json()["images"][0]["ranking"] for one in (first, *others)]
    assert busy.batches == [1, 4]
    for answer in answers:
        assert [one["probability"] for one in answer] == pytest.approx(
            [one["probability"] for one in answers[0]], abs=1e-6
        )


def test_a_full_queue_refuses_until_there_is_room(busy: Held, post: Post, service: Service) -> None:
    accepted = [post(5), post(3)]
    until(lambda: service.admission.images == LIMITS.queue)
    refused = post().result()
    assert refused.status_code == 429
    assert 1 <= int(refused.headers["retry-after"]) <= 60
    assert "at most 8 images" in refused.json()["error"]["message"]
    busy.go.set()
    assert [one.result().status_code for one in accepted] == [200, 200]
    assert post().result().status_code == 200
    assert service.admission.images == service.admission.bytes == 0


def test_work_of_clients_that_have_gone_is_dropped(
    busy: Held, post: Post, running: tuple[str, Service], photograph: bytes
) -> None:
    address, service = running
    stays = post()
    assert busy.begun.wait(20)
    for _ in range(3):
        with connected(address) as leaving:
            leaving.sendall(head(len(photograph)) + photograph)
            until(lambda: len(service.thread._waiting) > 0)
        until(lambda: service.admission.images == 1)
    busy.go.set()
    assert stays.result().status_code == 200
    until(lambda: not service.thread._waiting)
    assert busy.batches == [1]


def test_an_answer_that_comes_too_late_is_given_up(
    busy: Held, post: Post, service: Service, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(service.admission, "limits", replace(LIMITS, max_seconds=0.3))
    late = post().result()
    assert (late.status_code, late.json()["error"]["code"]) == (504, "too-late")
    assert service.admission.images == 0


def test_a_request_that_arrives_too_slowly_is_given_up(
    running: tuple[str, Service], monkeypatch: pytest.MonkeyPatch
) -> None:
    address, service = running
    monkeypatch.setattr(service.admission, "limits", replace(LIMITS, max_seconds=0.2))
    with connected(address) as slow:
        slow.sendall(head(1000) + b"begin")
        until(lambda: service.admission.bytes == len(b"begin"))
        assert status_of(slow) == 408
    until(lambda: service.admission.requests == service.admission.bytes == 0)


def test_a_request_that_stops_to_arrive_is_given_up(
    running: tuple[str, Service], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("verydeep.serve.uploads.STALLED_SECONDS", 0.3)
    with connected(running[0]) as slow, connected(running[0]) as steady:
        slow.sendall(head(1000) + b"begin")
        steady.sendall(head(8))
        for _ in range(8):  # longer than the pause that is allowed
            time.sleep(0.1)
            steady.sendall(b"x")
        assert status_of(slow) == 408
        assert status_of(steady) == 200


def test_requests_that_have_not_arrived_keep_nobody_out(
    running: tuple[str, Service], client: httpx2.Client, photograph: bytes
) -> None:
    address, service = running
    with contextlib.ExitStack() as stack:
        for _ in range(2 * LIMITS.queue):
            slow = stack.enter_context(connected(address))
            slow.sendall(head(1000) + b"begin")
        until(lambda: service.admission.bytes == 2 * LIMITS.queue * len(b"begin"))
        assert service.admission.images == 0
        assert client.post("/v1/predict", content=photograph).status_code == 200
    until(lambda: service.admission.requests == service.admission.bytes == 0)


def test_a_head_that_arrives_too_slowly_is_given_up(
    running: tuple[str, Service], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("verydeep.serve.connection.HEAD_SECONDS", 0.2)
    with connected(running[0]) as silent, connected(running[0]) as slow:
        slow.sendall(b"GET /healthz HTTP/1.1\r\n")
        assert status_of(slow) == status_of(silent) == 0


def test_more_connections_than_descriptors_are_refused(
    running: tuple[str, Service], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("verydeep.serve.connection.most_connections", lambda: 2)
    with connected(running[0]) as first, connected(running[0]):
        first.sendall(b"GET /healthz HTTP/1.1\r\n")  # it is open, and not to be closed
        with connected(running[0]) as third:
            answer = third.makefile("rb").read()
        assert answer.startswith(b"HTTP/1.1 503 ")
        assert b'"code":"too-many-connections"' in answer
        first.sendall(b"Host: localhost\r\n\r\n")
        assert status_of(first) == 200
    until(lambda: is_let_in(running[0]))


def is_let_in(address: str) -> bool:
    with connected(address) as one:
        one.sendall(b"GET /healthz HTTP/1.1\r\nHost: localhost\r\n\r\n")
        return status_of(one) == 200


LIMIT = """
import resource
from verydeep.serve.descriptors import most_connections, raise_limit
resource.setrlimit(resource.RLIMIT_NOFILE, (600, 1000))
print(most_connections())
raise_limit()
print(*resource.getrlimit(resource.RLIMIT_NOFILE), most_connections())
resource.setrlimit(resource.RLIMIT_NOFILE, (100, 1000))
print(most_connections())
"""


def test_as_many_files_are_opened_as_the_system_allows() -> None:
    found = subprocess.run(
        [sys.executable, "-c", LIMIT], capture_output=True, text=True, check=True
    )
    assert found.stdout.split() == ["216", "1000", "1000", "616", "32"]


def test_what_is_no_http_is_refused_as_json(running: tuple[str, Service]) -> None:
    with connected(running[0]) as odd:
        odd.sendall(b"\x16\x03\x01 no HTTP\r\n\r\n")
        answer = odd.makefile("rb").read()
    assert answer.startswith(b"HTTP/1.1 400 ")
    assert b'"code":"no-http"' in answer


def test_a_client_that_does_not_read_its_answer_is_cut_off(
    running: tuple[str, Service], photograph: bytes, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("verydeep.serve.connection.READ_SECONDS", 0.2)
    address, _ = running
    request = head(len(photograph)).replace(b"predict?model=held", b"explain") + photograph
    with socket.socket() as lazy:
        lazy.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 4096)
        parts = urlsplit(address)
        lazy.connect((parts.hostname, parts.port))
        lazy.settimeout(20)
        lazy.sendall(20 * request)  # answers of several megabytes

        def is_cut() -> bool:
            try:
                lazy.sendall(b"x")
            except OSError:
                return True
            return False

        until(is_cut)


def test_a_lost_process_is_replaced_and_its_image_is_answered(
    running: tuple[str, Service], client: httpx2.Client, photograph: bytes
) -> None:
    _, service = running
    expected = client.post("/v1/predict", content=photograph).json()["images"]
    lost = service.metrics.lost._value.get()  # type: ignore[attr-defined]
    (pid,) = service.decoders.pids
    os.kill(pid, signal.SIGKILL)  # while it waits
    assert client.post("/v1/predict", content=photograph).json()["images"] == expected
    (pid,) = service.decoders.pids
    os.kill(pid, signal.SIGSTOP)  # it never comes to an end of its work
    with ThreadPoolExecutor(1) as pool:
        answer = pool.submit(client.post, "/v1/predict", content=photograph)
        until(lambda: service.admission.bytes == len(photograph))
        os.kill(pid, signal.SIGKILL)
        assert answer.result().json()["images"] == expected
    assert service.metrics.lost._value.get() == lost + 2  # type: ignore[attr-defined]


def test_a_model_that_fails_for_one_image_answers_for_the_others(
    busy: Held, post: Post, service: Service, monkeypatch: pytest.MonkeyPatch
) -> None:
    sizes: list[int] = []
    whole = busy.answer

    def fail(images: Any, top: int) -> Any:
        if len(images) > 1:
            raise RuntimeError("/a/path of the machine")
        sizes.append(len(images))
        if len(sizes) == 2:
            raise RuntimeError("/a/path of the machine")
        return whole(images, top)

    monkeypatch.setattr(busy, "answer", fail)
    first = post()
    assert busy.begun.wait(20)
    others = [post() for _ in range(3)]
    until(lambda: len(service.thread._waiting) == 3)
    busy.go.set()
    answers = [one.result() for one in (first, *others)]
    assert sorted(one.status_code for one in answers) == [200, 200, 200, 500]
    assert not any("path" in one.text for one in answers)


def test_nothing_of_a_request_is_written_to_a_disk(
    client: httpx2.Client, service: Service, monkeypatch: pytest.MonkeyPatch
) -> None:
    def refuse(*arguments: object, **options: object) -> None:
        raise AssertionError("a file is made")

    for name in ("TemporaryFile", "NamedTemporaryFile", "SpooledTemporaryFile", "mkstemp"):
        monkeypatch.setattr(f"tempfile.{name}", refuse)
    larger = replace(LIMITS, max_bytes=3 * 2**20, queue_bytes=3 * 2**20)
    monkeypatch.setattr(service.admission, "limits", larger)
    # The usual parsers move a part of more than 1 MiB to a file.
    answer = client.post("/v1/predict", files={"image": bytes(2**21)})
    assert answer.status_code == 200
    assert answer.json()["images"][0]["fault"]
