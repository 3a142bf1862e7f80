"""Addresses that lead astray, refuse, or tell to wait."""

from __future__ import annotations

import dataclasses
import socket

import pytest
from downloads import CONTENT, Log, fetch, weights
from file_server import Behaviour

from verydeep.errors import ModelError
from verydeep.models.weights import resumable_download
from verydeep.models.weights.caches import own_file
from verydeep.models.weights.published import find_published
from verydeep.system.option_names import flags_in_messages

pytestmark = pytest.mark.usefixtures("homes")


# ---- redirects ----


def test_a_redirect_is_followed(server: Behaviour) -> None:
    server.redirects["/a/net.onnx"] = ("/b", {})
    assert fetch(weights(server)).read_bytes() == CONTENT


def test_redirects_in_a_circle_end(server: Behaviour) -> None:
    server.redirects = {"/a/net.onnx": ("/b", {}), "/b": ("/a/net.onnx", {})}
    with pytest.raises(ModelError, match=r"HTTP 302 .*infinite loop"):
        fetch(weights(server))
    assert len(server.asked) < 12


@pytest.mark.parametrize(
    "target", ["http://example.com/", "ftp://127.0.0.1/", "file:///etc/passwd"]
)
def test_a_redirect_to_an_unsafe_address_is_refused(target: str, server: Behaviour) -> None:
    server.redirects["/a/net.onnx"] = (target, {})
    with pytest.raises(ModelError, match=r"only https: is safe|is not allowed"):
        fetch(weights(server))


def test_an_address_without_encryption_is_refused(server: Behaviour) -> None:
    with pytest.raises(ModelError, match="leads to http:, but only https: is safe"):
        fetch(weights(server, url="http://example.com/net.onnx"))


@pytest.mark.parametrize("target", ["http://[::1", "http://127.0.0.1:x/", "//", "http://"])
def test_a_redirect_to_no_address_is_refused(target: str, server: Behaviour) -> None:
    server.redirects["/a/net.onnx"] = (target, {})
    with pytest.raises(ModelError, match=r"cannot be downloaded"):
        fetch(weights(server))


@pytest.mark.parametrize("length", ["9" * 5000, "-1", "x", "1e3"])
def test_a_length_that_is_no_number_is_no_length(length: str, server: Behaviour) -> None:
    server.length = length
    assert fetch(weights(server)).read_bytes() == CONTENT


@pytest.mark.parametrize("stated", ["bytes " + "9" * 5000 + "-", "bytes -", "", "items 5-"])
def test_a_range_that_is_none_is_refused(stated: str, server: Behaviour) -> None:
    server.cuts, server.stated_range = [1000], stated
    with pytest.raises(ModelError, match="another part of the file"):
        fetch(weights(server))


# ---- refusals ----


@pytest.mark.parametrize(
    ("code", "reason"), [(404, "Not Found"), (403, "Forbidden"), (410, "Gone")]
)
def test_a_refusal_is_told_at_once(code: int, reason: str, server: Behaviour) -> None:
    server.codes = [(code, {})]
    with pytest.raises(ModelError, match=f"HTTP {code} {reason}"):
        fetch(weights(server))
    assert len(server.asked) == 1


def test_a_mirror_is_taken_after_a_refusal(server: Behaviour) -> None:
    server.codes = [(404, {})]
    one, log = weights(server, mirrors=(f"{server.url}/mirror",)), Log()
    assert fetch(one, log).read_bytes() == CONTENT
    assert any("/mirror" in line for line in log.lines)


def test_a_busy_server_is_asked_again(server: Behaviour) -> None:
    server.codes = [(503, {}), (429, {}), (500, {})]
    assert fetch(weights(server)).read_bytes() == CONTENT
    server.codes = [(503, {})] * 20
    with pytest.raises(ModelError, match="HTTP 503 Service Unavailable"):
        fetch(weights(server, name="onnx/vgg19"))


@pytest.mark.parametrize(
    ("text", "seconds"),
    [
        ("7", 7),
        ("9999999", resumable_download.LONGEST_PAUSE),
        ("Wed, 21 Oct 2015 07:28:00 GMT", 0),
        ("Wed, 21 Oct 2015 07:28:00 -0000", 0),
        ("Fri, 31 Dec 9999 23:59:59 GMT", resumable_download.LONGEST_PAUSE),
        ("soon", resumable_download.FIRST_PAUSE),
        ("-5", resumable_download.FIRST_PAUSE),
        ("٣", resumable_download.FIRST_PAUSE),
    ],
)
def test_a_server_may_say_when_to_ask_again(
    text: str, seconds: float, server: Behaviour, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(resumable_download, "FIRST_PAUSE", 1.0)
    slept: list[float] = []
    monkeypatch.setattr(resumable_download.time, "sleep", slept.append)
    server.codes = [(503, {"Retry-After": text.encode().decode("latin-1")})]
    fetch(weights(server))
    assert slept == [seconds]


def test_no_network_gives_one_message_with_a_way_out() -> None:
    with socket.socket() as closed:
        closed.bind(("127.0.0.1", 0))  # bound, but not listening
        one = dataclasses.replace(
            find_published("torchvision/vgg16"),
            url=f"http://127.0.0.1:{closed.getsockname()[1]}/vgg16-397923af.pth",
        )
        with pytest.raises(ModelError) as raised, flags_in_messages():
            fetch(one)
    message = str(raised.value)
    for part in (one.url, "Connection refused", "sha256 beginning with 397923af", "HTTPS_PROXY",
                 "verydeep import FILE --out MODEL", str(own_file(one))):  # fmt: skip
        assert part in message
    with pytest.raises(ModelError, match=r"verydeep\.import_weights\('FILE'\)"):
        fetch(one)
