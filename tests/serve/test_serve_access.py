"""Who may ask: token, host names, origins; and the settings that say so."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
from starlette.requests import Request
from starlette.responses import PlainTextResponse
from starlette.testclient import TestClient

from verydeep.errors import InputError
from verydeep.serve.security import Guard
from verydeep.serve.settings import Access, Limits, named_models, read_token

TOKEN = "0123456789abcdef"


def client(*, loopback: bool = True, **access: Any) -> TestClient:
    async def app(scope: Any, receive: Any, send: Any) -> None:
        await PlainTextResponse(Request(scope).method)(scope, receive, send)

    guard = Guard(app, Access(**access), loopback=loopback)
    return TestClient(guard, base_url="http://127.0.0.1:8080")


@pytest.mark.parametrize(
    ("header", "status"),
    [
        (None, 401),
        (f"Bearer {TOKEN}", 200),
        (f"bearer  {TOKEN}", 200),
        (f"Bearer {TOKEN}x", 401),
        (f"Bearer {TOKEN[:-1]}", 401),
        (f"Basic {TOKEN}", 401),
        ("Bearer ", 401),
        (b"Bearer \xff\xfe", 401),
    ],
)
def test_what_is_guarded_needs_the_token(header: str | bytes | None, status: int) -> None:
    ask = client(token=TOKEN)
    headers: Any = {} if header is None else {"authorization": header}
    for path in ("/v1/predict", "/v1/models", "/metrics"):
        answer = ask.get(path, headers=headers)
        assert answer.status_code == status
        assert (answer.headers.get("www-authenticate") == "Bearer") == (status == 401)
    for path in ("/", "/healthz", "/readyz", "/docs"):
        assert ask.get(path).status_code == 200


@pytest.mark.parametrize(
    ("host", "loopback", "allowed", "status"),
    [
        ("localhost:1", True, (), 200),
        ("[::1]:1", True, (), 200),
        ("192.168.1.2", True, (), 200),
        ("evil.example", True, (), 421),
        ("", True, (), 421),
        ("[", True, (), 421),
        ("own.example", True, ("own.example",), 200),
        ("own.example", True, ("Own.Example",), 200),
        ("own.example", False, (), 200),
    ],
)
def test_a_server_for_this_machine_has_no_other_name(
    host: str, loopback: bool, allowed: tuple[str, ...], status: int
) -> None:
    answer = client(loopback=loopback, allow_hosts=allowed).get("/", headers={"host": host})
    assert answer.status_code == status


@pytest.mark.parametrize(
    ("origin", "allowed", "status"),
    [
        ("http://127.0.0.1:8080", (), 200),
        ("http://127.0.0.1:9090", (), 403),
        ("https://evil.example", (), 403),
        ("null", (), 403),
        ("http://[", (), 403),
        ("https://own.example", ("https://own.example",), 200),
        ("https://own.example", ("https://Own.example/",), 200),
        ("https://other.example", ("https://own.example",), 403),
        ("https://other.example", ("*",), 200),
    ],
)
def test_pages_of_other_origins_may_not_ask(
    origin: str, allowed: tuple[str, ...], status: int
) -> None:
    answer = client(allow_origins=allowed).post("/v1/predict", headers={"origin": origin})
    assert answer.status_code == status
    assert "content-security-policy" in answer.headers


@pytest.mark.parametrize("odd", ["own.example", "https://own.example/page", "https://", ""])
def test_what_is_no_origin_is_refused(odd: str) -> None:
    with pytest.raises(InputError, match=r"allow_origins=: an origin is scheme, host"):
        Access(allow_origins=(odd,))


@pytest.mark.parametrize("odd", ["https://own.example", "own.example:80", "own.example/", ""])
def test_what_is_no_host_name_is_refused(odd: str) -> None:
    with pytest.raises(InputError, match=r"allow_hosts=: a name without scheme and port"):
        Access(allow_hosts=(odd,))


def test_a_token_comes_from_a_file_or_the_environment(tmp_path: Path) -> None:
    file = tmp_path / "token"
    file.write_text(f"{TOKEN}\n")
    assert read_token(file, {}) == read_token(None, {"VERYDEEP_TOKEN": TOKEN}) == TOKEN
    assert read_token(None, {}) is None
    file.write_text(f"{TOKEN}\r\n", "utf-8-sig")  # as Notepad may write it
    assert read_token(file, {}) == TOKEN
    assert TOKEN not in repr(Access(TOKEN))
    for bad in ("short", "with a blank in it", "ümlaut0123456789", ""):
        with pytest.raises(InputError, match="at least 16 printable ASCII"):
            read_token(None, {"VERYDEEP_TOKEN": bad})
    with pytest.raises(InputError, match="No such file"):
        read_token(tmp_path / "none", {})


def test_settings_that_contradict_themselves_are_refused() -> None:
    with pytest.raises(InputError, match="must hold at least one request"):
        Limits(queue=3, max_images=4)
    with pytest.raises(InputError, match="max_bytes= must be above 0"):
        Limits(max_bytes=0)
    with pytest.raises(InputError, match="both called 'a'"):
        named_models(["x/a", "y/a"])
    with pytest.raises(InputError, match="name the model as in"):
        named_models(["x/a b"])
