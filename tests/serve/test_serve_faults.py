"""Mutated images and requests: each has an answer or a refusal, and later answers are right."""

from __future__ import annotations

import socket
from urllib.parse import urlsplit

import httpx2
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from PIL import Image
from serving import as_file

from verydeep.serve.service import Service

FEW = settings(
    max_examples=100, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture]
)

BOUNDARY = "limit"
SEEDS = [
    as_file(Image.linear_gradient("L").resize((48, 40)).convert("RGB"), kind)
    for kind in ("JPEG", "PNG", "GIF", "BMP", "TIFF", "WEBP")
]


def form(data: bytes) -> bytes:
    """Return a body of multipart/form-data with one image."""
    head = f'--{BOUNDARY}\r\nContent-Disposition: form-data; name="i"; filename="a.png"\r\n\r\n'
    return head.encode() + data + f"\r\n--{BOUNDARY}--\r\n".encode()


@st.composite
def mutated(draw: st.DrawFn, seeds: list[bytes]) -> bytes:
    """Return a file with bytes that are replaced, removed or doubled."""
    data = bytearray(draw(st.sampled_from(seeds)))
    for _ in range(draw(st.integers(1, 6))):
        at = draw(st.integers(0, max(0, len(data) - 1)))
        length = draw(st.integers(0, 64))
        match draw(st.sampled_from(["replace", "remove", "double", "cut"])):
            case "replace":
                new = draw(st.binary(min_size=1, max_size=8))
                data[at : at + len(new)] = new
            case "remove":
                del data[at : at + length]
            case "double":
                data[at:at] = data[at : at + length]
            case "cut":
                del data[at:]
    return bytes(data)


@pytest.fixture(scope="module")
def right(client: httpx2.Client) -> object:
    return client.post("/v1/predict", content=SEEDS[1]).json()["images"]


@FEW
@given(data=mutated(SEEDS))
def test_mutated_images_are_answered_or_have_a_fault(
    client: httpx2.Client, right: object, data: bytes
) -> None:
    answer = client.post("/v1/predict", content=data)
    assert answer.status_code == (200 if data else 422)
    if data:
        (image,) = answer.json()["images"]
        assert bool(image["fault"]) != bool(image["ranking"])
    assert client.post("/v1/predict", content=SEEDS[1]).json()["images"] == right


@FEW
@given(
    body=mutated([form(SEEDS[0]), b'{"images": [{"name": "a", "data": "R0lGODlhAQABAAAAACw="}]}']),
    kind=st.sampled_from([f"multipart/form-data; boundary={BOUNDARY}", "application/json", "?"]),
    query=st.text(max_size=20),
)
def test_mutated_bodies_are_answered_or_refused(
    client: httpx2.Client, right: object, body: bytes, kind: str, query: str
) -> None:
    answer = client.post(
        "/v1/predict", content=body, headers={"content-type": kind}, params={"name": query}
    )
    assert answer.status_code in (200, 400, 422)
    assert "images" in answer.json() or answer.json()["error"]["status"] == answer.status_code
    assert client.post("/v1/predict", content=SEEDS[1]).json()["images"] == right


@FEW
@given(
    request_=mutated(
        [
            b"POST /v1/predict?top=2 HTTP/1.1\r\nHost: localhost\r\nContent-Length: %d\r\n"
            b"Content-Type: multipart/form-data; boundary=limit\r\n\r\n%s" % (len(whole), whole)
            for whole in map(form, SEEDS[:2])
        ]
    )
)
def test_mutated_requests_leave_the_server_as_it_was(
    running: tuple[str, Service], client: httpx2.Client, right: object, request_: bytes
) -> None:
    parts = urlsplit(running[0])
    with socket.create_connection((parts.hostname or "", parts.port or 0), timeout=20) as cut:
        cut.sendall(request_)
        cut.shutdown(socket.SHUT_WR)
        while cut.recv(2**16):
            pass
    assert client.post("/v1/predict", content=SEEDS[1]).json()["images"] == right
