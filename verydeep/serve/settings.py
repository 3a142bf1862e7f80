"""Settings of the service."""

from __future__ import annotations

import ipaddress
import re
from collections.abc import Mapping
from dataclasses import dataclass, field, fields
from pathlib import Path
from typing import Any

from verydeep.errors import InputError
from verydeep.system.files import expanded
from verydeep.system.option_names import in_program, option
from verydeep.system.settings import described

MIB = 2**20

PORT = 8080
"""Default port."""


@dataclass(frozen=True, slots=True)
class Limits:
    """Limits of the service. What exceeds one is refused with a message that names the limit.

    Attributes:
        max_bytes: Bytes of a request's body.
        max_pixels: Pixels of an image before rescaling.
        max_images: Images of a request.
        max_seconds: Seconds from the first byte of a request to its answer.
        queue: Images of all clients that may wait; beyond them, requests are answered with 429.
        queue_bytes: Bytes of all requests that may wait.
        decoded_bytes: Bytes of decoded images that may wait for a model or be drawn on; other
            images are decoded once there is room.
        wait: Milliseconds that an image may wait for others, to be computed in one batch.
        batch: Images of a batch.

    Raises:
        InputError: A limit is not positive, or the queue is shorter than one request.
    """

    max_bytes: int = described(32 * MIB, "bytes of a request")
    max_pixels: int = described(50_000_000, "pixels of an image before rescaling")
    max_images: int = described(64, "images of a request")
    max_seconds: float = described(30.0, "seconds for a request, from its first byte to its answer")
    queue: int = described(256, "images of all clients that may wait; then requests get 429")
    queue_bytes: int = described(512 * MIB, "bytes of all requests that may wait")
    decoded_bytes: int = described(512 * MIB, "bytes of decoded images that may wait for a model")
    wait: float = described(5.0, "milliseconds that an image may wait for a batch")
    batch: int = described(16, "images of a batch")

    def __post_init__(self) -> None:
        for one in fields(self):
            value = getattr(self, one.name)
            if not (value >= 0 if one.name == "wait" else value > 0):
                raise InputError(f"{option(one.name)} must be above 0, got {value} instead")
        if self.queue < self.max_images or self.queue_bytes < self.max_bytes:
            raise InputError(
                f"the queue must hold at least one request: {option('queue', self.queue)} is less "
                f"than {option('max_images', self.max_images)}, or {self.queue_bytes:,} bytes "
                f"less than {option('max_bytes', self.max_bytes)}"
            )


@dataclass(frozen=True, slots=True)
class Access:
    """Who may ask.

    Attributes:
        token: Word that requests must bear; None admits everybody who reaches the port.
        allow_origins: Origins of other web pages that may ask, like ``https://example.org``.
        allow_hosts: Further names under which the server may be addressed; see :mod:`.security`.

    Raises:
        InputError: An origin or a name has a form in which browsers never send it.
    """

    token: str | None = field(default=None, repr=False)
    allow_origins: tuple[str, ...] = ()
    allow_hosts: tuple[str, ...] = ()

    def __post_init__(self) -> None:
        """Check origins and names, and write them as browsers do."""
        object.__setattr__(self, "allow_origins", tuple(map(_as_origin, self.allow_origins)))
        object.__setattr__(self, "allow_hosts", tuple(map(_as_host, self.allow_hosts)))


def _as_origin(text: str) -> str:
    """Return an origin as browsers send it.

    Raises:
        InputError: It is none.

    >>> _as_origin("https://Example.org/"), _as_origin("*")
    ('https://example.org', '*')
    """
    origin = text.lower().removesuffix("/")
    if text != "*" and not re.fullmatch(r"[a-z][a-z0-9+.-]*://[^/?#@\s]+", origin):
        raise InputError(
            f"{_flag('allow_origin')}: an origin is scheme, host and perhaps port, like "
            f"https://example.org, or * for all; got {text!r} instead"
        )
    return origin


def _flag(name: str) -> str:
    return option(name if in_program() else f"{name}s")


def _as_host(text: str) -> str:
    """Return a host name as browsers send it.

    Raises:
        InputError: It is none.
    """
    if not re.fullmatch(r"[^/:?#@\s]+", text):
        raise InputError(
            f"{_flag('allow_host')}: a name without scheme and port, like pets.example.org; got "
            f"{text!r} instead"
        )
    return text.lower()


def is_loopback(host: str) -> bool:
    """Return whether an address is reached from this machine only.

    >>> is_loopback("127.0.0.1"), is_loopback("localhost"), is_loopback("::1")
    (True, True, True)
    >>> is_loopback("0.0.0.0"), is_loopback("example.org")
    (False, False)
    """
    try:
        return ipaddress.ip_address(host).is_loopback
    except ValueError:
        return host == "localhost"


def read_token(file: str | Path | None, environment: Mapping[str, str]) -> str | None:
    """Return the token from a file or from ``VERYDEEP_TOKEN``; None if there is neither.

    Raises:
        InputError: The file cannot be read, or the token is short or has characters that no HTTP
            header can bear.
    """
    if file is None:
        text, where = environment.get("VERYDEEP_TOKEN"), "VERYDEEP_TOKEN"
    else:
        where = str(file)
        try:
            text = expanded(file).read_text("utf-8-sig")
        except (OSError, UnicodeDecodeError) as error:
            reason = getattr(error, "strerror", None) or "it is not text"
            raise InputError(f"{where}: the token cannot be read ({reason})") from error
    if text is None:
        return None
    token = text.strip()
    if len(token) < LEAST_TOKEN or not (token.isascii() and token.isprintable()) or " " in token:
        raise InputError(
            f"{where}: a token must be at least {LEAST_TOKEN} printable ASCII characters without "
            'blanks; make one with: python -c "import secrets; print(secrets.token_urlsafe())"'
        )
    return token


LEAST_TOKEN = 16
"""Minimum length of a token; a shorter one could be guessed."""


def named_models(given: Any) -> dict[str, str]:
    """Return models by name, from ``NAME=MODEL`` or a model that is named after its folder.

    Raises:
        InputError: Two models have one name, or a name cannot stand in an address.

    >>> named_models(["runs/pets", "d=torchvision/vgg16", "export/birds.onnx"])
    {'pets': 'runs/pets', 'd': 'torchvision/vgg16', 'birds': 'export/birds.onnx'}
    """
    found: dict[str, str] = {}
    for one in given:
        name, equals, model = str(one).partition("=")
        if not equals or not _is_name(name) or Path(str(one)).exists():
            name, model = _name_of(str(one)), str(one)
        if not _is_name(name):
            raise InputError(
                f"{one}: a name must be of letters, digits, '-', '_' and '.', got {name!r}; name "
                "the model as in pets=FOLDER"
            )
        if name in found:
            raise InputError(
                f"{found[name]} and {model} are both called {name!r}; name one as in other={model}"
            )
        found[name] = model
    return found


def _is_name(text: str) -> bool:
    plain = text.replace("-", "").replace("_", "").replace(".", "")
    return len(text) <= 64 and plain.isascii() and plain.isalnum()


def _name_of(model: str) -> str:
    """Return a model's name: that of its folder or file, without what all have in common.

    >>> _name_of("runs/pets/model"), _name_of("hf:someone/pets"), _name_of("torchvision/vgg16:V1")
    ('pets', 'pets', 'vgg16-V1')
    """
    path = expanded(model)
    if path.exists():
        path = path.resolve()
        if path.is_file():
            return path.stem
    name = path.parent.name if path.name == "model" and path.parent.name else path.name
    return name.removesuffix(".onnx").removesuffix(".xml").removesuffix(".pt2").replace(":", "-")
