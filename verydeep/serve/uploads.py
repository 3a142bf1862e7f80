"""Images in the body of a request: multipart, raw bytes, or JSON with base64.

Everything stays in memory; nothing is written to a disk.
"""

from __future__ import annotations

import asyncio
import base64
import binascii
import json
import time
from collections.abc import AsyncGenerator, Sequence
from dataclasses import dataclass
from typing import Any

from starlette.requests import Request

from verydeep.serve.admission import Place
from verydeep.serve.multipart import FormError, FormFiles, TooManyFiles
from verydeep.serve.problems import Problem
from verydeep.serve.settings import Limits

STALLED_SECONDS = 10.0
"""Seconds without a byte after which a request is given up."""

LONGEST_NAME = 255
"""Maximum length of a file name in the answer."""

_BEGINNINGS = b"{[,"
"""Characters before each value of a JSON text but the first; base64 has none of them."""

_VALUES = 64
"""Number of such characters of an image, or for the whole, that names and other keys may need."""

_BLANKS = b" \t\r\n\f\v"


@dataclass(frozen=True, slots=True)
class Upload:
    """An image as it was sent.

    Attributes:
        name: File name; None if it has none.
        data: Bytes of the file.
    """

    name: str | None
    data: bytes


async def read_uploads(request: Request, place: Place) -> list[Upload]:
    """Return the images of a request.

    Args:
        request: The request.
        place: Counts its bytes and images.

    Raises:
        Problem: The body cannot be parsed, is too large or too slow, or has no or too many images.
        ClientDisconnect: The client has gone.
    """
    limits = place.admission.limits
    announced = request.headers.get("content-length", "")
    if announced.isdigit() and int(announced) > limits.max_bytes:
        raise too_many_bytes(limits)
    try:
        async with asyncio.timeout(max(0.0, place.deadline - time.monotonic())):
            uploads = await _parsed(request, place)
    except TimeoutError:
        raise Problem(
            408, "too-slow", f"the request did not arrive within {limits.max_seconds:g} s"
        ) from None
    if not uploads or not any(one.data for one in uploads):
        raise Problem(
            422,
            "no-images",
            "the request has no image: send its bytes as the body, or several as parts of "
            'multipart/form-data, or as JSON {"images": [{"name": …, "data": base64}]}',
        )
    if len(uploads) > limits.max_images:
        raise too_many_images(limits, len(uploads))
    place.has_images(len(uploads))
    return uploads


async def _parsed(request: Request, place: Place) -> list[Upload]:
    kind = request.headers.get("content-type", "").partition(";")[0].strip().lower()
    stream = _bounded(request, place)
    if kind == "multipart/form-data":
        return await _multipart(request, stream, place.admission.limits)
    data = b"".join([chunk async for chunk in stream])
    if kind == "application/json":
        # Megabytes of base64 would hold up the event loop. A text takes several times its bytes.
        async with place.admission.parsing:
            return await asyncio.to_thread(_from_json, data, place.admission.limits)
    return [Upload(_shortened(request.query_params.get("name")), data)]


async def _bounded(request: Request, place: Place) -> AsyncGenerator[bytes, None]:
    """Yield the body, within the limits of this and of all requests."""
    limits = place.admission.limits
    stream = request.stream()
    while (chunk := await _next(stream)) is not None:
        place.add_bytes(len(chunk))
        if place.bytes > limits.max_bytes:
            raise too_many_bytes(limits)
        yield chunk


async def _next(stream: AsyncGenerator[bytes, None]) -> bytes | None:
    """Return the next bytes of a body; None at its end.

    Raises:
        Problem: None arrive.
    """
    try:
        async with asyncio.timeout(STALLED_SECONDS):
            return await anext(stream, None)
    except TimeoutError:
        raise Problem(
            408, "too-slow", f"no byte of the request arrived within {STALLED_SECONDS:g} s"
        ) from None


async def _multipart(
    request: Request, stream: AsyncGenerator[bytes, None], limits: Limits
) -> list[Upload]:
    try:
        form = FormFiles(request.headers["content-type"], limits.max_images)
        async for chunk in stream:
            form.feed(chunk)
        return [Upload(_shortened(one.name), bytes(one.data)) for one in form.close()]
    except TooManyFiles:
        raise too_many_images(limits) from None
    except FormError as error:
        raise Problem(400, "bad-multipart", f"multipart/form-data: {error}") from None


def _from_json(data: bytes, limits: Limits) -> list[Upload]:
    # Counted before parsing, since a list of small values takes 25 times the bytes of its text.
    if sum(map(data.count, _BEGINNINGS)) > _VALUES * (limits.max_images + 1):
        raise too_many_images(limits)
    try:
        value = json.loads(data)
    except (ValueError, RecursionError):
        raise Problem(400, "bad-json", "the body is not JSON") from None
    entries = value.get("images") if isinstance(value, dict) else None
    if not isinstance(entries, list):
        raise Problem(
            400, "bad-json", 'the body must be {"images": [{"name": …, "data": base64}, …]}'
        )
    if len(entries) > limits.max_images:
        raise too_many_images(limits, len(entries))
    return [_from_entry(entry, number) for number, entry in enumerate(entries)]


def _from_entry(entry: Any, number: int) -> Upload:
    name = entry.get("name") if isinstance(entry, dict) else None
    text = entry.get("data") if isinstance(entry, dict) else entry
    if not isinstance(text, str) or not isinstance(name, str | None):
        raise Problem(
            400, "bad-json", f"images[{number}] must have data as text, and a name as text or none"
        )
    if text.startswith("data:"):
        text = text.partition(",")[2]
    try:
        packed = text.encode("ascii").translate(None, _BLANKS)
        return Upload(_shortened(name), base64.b64decode(packed, validate=True))
    except (binascii.Error, ValueError):
        raise Problem(400, "bad-base64", f"images[{number}]: data is not base64") from None


def _shortened(name: str | None) -> str | None:
    """Return a file name of bounded length that JSON can hold."""
    if not name:
        return None
    return name[:LONGEST_NAME].encode("utf-8", "replace").decode("utf-8")


def too_many_bytes(limits: Limits) -> Problem:
    """Return the refusal of a body that is too large."""
    return Problem(
        413,
        "too-many-bytes",
        f"a request may have at most {limits.max_bytes:,} bytes: send fewer or smaller images",
    )


def too_many_images(limits: Limits, found: int | None = None) -> Problem:
    """Return the refusal of too many images."""
    got = "" if found is None else f", got {found}"
    return Problem(
        422,
        "too-many-images",
        f"a request may have at most {limits.max_images} images{got}: send them in several",
    )


def only_one(uploads: Sequence[Upload]) -> Upload:
    """Return the only image.

    Raises:
        Problem: There are several.
    """
    if len(uploads) != 1:
        raise Problem(422, "too-many-images", f"send one image, got {len(uploads)}")
    return uploads[0]
