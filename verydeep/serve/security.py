"""Who may ask, and the headers that protect the page in a browser.

A page of another site that is open in a browser on this machine can send requests to
``127.0.0.1``, too. So requests that name another origin are refused, and with a server on the
loopback interface also host names: a name that its owner points to ``127.0.0.1`` (DNS rebinding)
would make that owner's page one of this server's own.
"""

from __future__ import annotations

import hashlib
import hmac
import ipaddress
from collections.abc import Iterable
from urllib.parse import urlsplit

from starlette.datastructures import Headers, MutableHeaders
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from verydeep.serve.problems import Problem
from verydeep.serve.settings import Access
from verydeep.system.option_names import option

POLICY = (
    "default-src 'none'; script-src 'self'; style-src 'self'; img-src 'self' blob: data:; "
    "media-src 'self' blob:; connect-src 'self'; manifest-src 'self'; form-action 'none'; "
    "base-uri 'none'; frame-ancestors 'none'"
)
"""Content security policy: nothing from elsewhere, nothing inline."""

HEADERS = {
    "Content-Security-Policy": POLICY,
    "X-Content-Type-Options": "nosniff",
    "X-Frame-Options": "DENY",
    "Referrer-Policy": "no-referrer",
    "Permissions-Policy": "camera=(self), microphone=(), geolocation=()",
    "Cross-Origin-Opener-Policy": "same-origin",
    "Cross-Origin-Resource-Policy": "same-origin",
    "Cache-Control": "no-store",
}

GUARDED = ("/v1/", "/metrics")
"""Beginnings of addresses that need the token. The page must load before one can be typed in."""


class Guard:
    """Refuses requests without token, from other origins or under other host names.

    Args:
        app: The application behind.
        access: Who may ask.
        loopback: Whether the server is reached from this machine only.
    """

    def __init__(self, app: ASGIApp, access: Access, *, loopback: bool) -> None:
        self.app = app
        self.access = access
        self.loopback = loopback
        self._token = None if access.token is None else _digest(access.token)

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Answer a request, or refuse it."""
        if scope["type"] != "http":
            await self.app(scope, receive, send)
            return

        async def with_headers(message: Message) -> None:
            if message["type"] == "http.response.start":
                headers = MutableHeaders(scope=message)
                for name, value in HEADERS.items():
                    headers.setdefault(name, value)
            await send(message)

        headers = Headers(scope=scope)
        try:
            self._check(scope, headers)
        except Problem as problem:
            await problem.response()(scope, receive, with_headers)
            return
        await self.app(scope, receive, with_headers)

    def _check(self, scope: Scope, headers: Headers) -> None:
        host = headers.get("host", "")
        if self.loopback and not self._is_own(_hostname(host)):
            raise Problem(
                421,
                "unknown-host",
                "this server is for this machine alone; behind a proxy, give the name under which "
                f"it is addressed with {option('allow_host')}",
            )
        origin = headers.get("origin")
        if origin is not None and not self._may_ask(origin, host):
            raise Problem(403, "foreign-origin", "web pages of other origins may not ask")
        preflight = scope["method"] == "OPTIONS"
        if self._token is None or preflight or not scope["path"].startswith(GUARDED):
            return
        kind, _, word = headers.get("authorization", "").partition(" ")
        given = _digest(word.strip())
        if not hmac.compare_digest(given, self._token) or kind.lower() != "bearer":
            raise Problem(401, "no-token", "this server needs a token: Authorization: Bearer TOKEN")

    def _is_own(self, hostname: str) -> bool:
        if hostname in ("localhost", *self.access.allow_hosts):
            return True
        try:
            ipaddress.ip_address(hostname)
        except ValueError:
            return False
        return True

    def _may_ask(self, origin: str, host: str) -> bool:
        if origin in self.access.allow_origins or "*" in self.access.allow_origins:
            return True
        try:
            return bool(host) and urlsplit(origin).netloc.lower() == host.lower()
        except ValueError:
            return False


def _digest(word: str) -> bytes:
    """Return a hash, so that the comparison takes the same time for words of any length."""
    return hashlib.sha256(word.encode("utf-8", "surrogateescape")).digest()


def _hostname(host: str) -> str:
    """Return a host without its port and brackets.

    >>> _hostname("[::1]:8080"), _hostname("localhost:8080"), _hostname("example.org")
    ('::1', 'localhost', 'example.org')
    """
    try:
        return urlsplit(f"//{host}").hostname or ""
    except ValueError:
        return ""


def cors_headers(origins: Iterable[str]) -> dict[str, object]:
    """Return the arguments of Starlette's CORS middleware."""
    return {
        "allow_origins": [*origins],
        "allow_methods": ["GET", "POST"],
        "allow_headers": ["Authorization", "Content-Type"],
        "expose_headers": ["Retry-After", "X-Verydeep-Class"],
    }
