"""Transfer of one file over HTTPS into a partial file, which a later transfer continues.

A transfer that is cut is continued with a range request, at once and in later calls; a server
without ranges sends the file again from its start. Only HTTPS is used, and plain HTTP to this
machine itself. A proxy is taken from the environment (``HTTPS_PROXY``).
"""

from __future__ import annotations

import contextlib
import email.utils
import http.client
import io
import os
import re
import time
import urllib.error
import urllib.request
from collections.abc import Iterator
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import IO, Any
from urllib.parse import urljoin, urlsplit

from verydeep.errors import DiskError, VeryDeepError
from verydeep.models.weights.checksum import MEGABYTE
from verydeep.system.files import explained_write_errors, is_disk_full
from verydeep.system.progress import Progress
from verydeep.system.version import __version__

MOST_REDIRECTS = 5
MOST_FAILURES = 5
"""Attempts in a row without a new byte before a transfer is given up."""

TIMEOUT = 30.0
"""Seconds of silence before a connection counts as cut."""

FIRST_PAUSE = 1.0
"""Seconds before the second attempt, twice as many before each further one."""

LONGEST_PAUSE = 60.0
"""Most seconds to wait because a server asks for it."""

_CHUNK = 2**20
_LOOPBACK = {"localhost", "127.0.0.1", "::1"}
_BUSY = {408, 425, 429, 500, 502, 503, 504}
"""Answers after which the same request may succeed."""


class TransferFailed(Exception):
    """The address does not send the file; the message says why."""


class _Cut(Exception):
    """The transfer broke off, or the server is busy; another attempt may succeed."""

    def __init__(self, reason: str, pause: float | None = None) -> None:
        super().__init__(reason)
        self.pause = pause


@dataclass(frozen=True)
class Limits:
    """Known facts about the file.

    Attributes:
        size: Size in bytes; None if unknown.
        most: Most bytes to accept.
    """

    size: int | None
    most: int


def transfer(url: str, part: Path, limits: Limits, progress: Progress) -> str | None:
    """Transfer a file, continuing a partial one.

    Args:
        url: Address of the file.
        part: Partial file; complete afterwards, and kept if the transfer fails.
        limits: Known size of the file.
        progress: Progress reporting.

    Returns:
        SHA-256 of the file as the server states it, or None.

    Raises:
        TransferFailed: The address does not send the file.
        DiskError: The disk is full or failing.
        InputError: The partial file cannot be written.
    """
    failures, most = 0, _size(part)
    while True:
        try:
            return _attempt(url, part, limits, progress)
        except _Cut as cut:
            size = _size(part)
            failures, most = (0, size) if size > most else (failures + 1, most)
            if failures >= MOST_FAILURES:
                raise TransferFailed(str(cut)) from cut
            pause = FIRST_PAUSE * 2 ** max(failures - 1, 0) if cut.pause is None else cut.pause
            progress.log(f"{url}: {cut}; trying again")
            time.sleep(min(pause, LONGEST_PAUSE))


def _attempt(url: str, part: Path, limits: Limits, progress: Progress) -> str | None:
    """Request what is missing and append it."""
    start = _size(part)
    with _failures_explained(), _open(url, start) as (response, stated):
        if response is None:  # nothing lies beyond what is there
            if limits.size is not None and start != limits.size:
                _remove(part)
                raise _Cut("the partial file does not fit and is dropped")
            return stated
        start = _start(response, start)
        total = _total(response, start, limits)
        _receive(response, part, start, total, limits, progress)
        return stated


@contextlib.contextmanager
def _failures_explained() -> Iterator[None]:
    """Tell failures that may pass from those that do not."""
    try:
        yield
    except VeryDeepError:
        raise
    except urllib.error.HTTPError as error:
        with error:
            if error.code in _BUSY:
                pause = _retry_after(error.headers.get("Retry-After"))
                raise _Cut(_in_words(error), pause) from error
            raise TransferFailed(_in_words(error)) from error
    except ValueError as error:  # an address or a certificate that is none
        raise TransferFailed(str(error)) from error
    except urllib.error.URLError as error:
        if isinstance(error.reason, TimeoutError | ConnectionResetError):
            raise _Cut(_in_words(error)) from error
        raise TransferFailed(_in_words(error)) from error
    except (http.client.HTTPException, TimeoutError, ConnectionError) as error:
        raise _Cut(f"the connection broke off ({_in_words(error)})") from error


@contextlib.contextmanager
def _open(url: str, start: int) -> Iterator[tuple[Any, str | None]]:
    """Open the address from a byte on; the answer is None if there are no bytes from there on."""
    _check_scheme(url, local=True)
    redirects = _Redirects()
    headers = {"User-Agent": f"verydeep/{__version__}", "Accept-Encoding": "identity"}
    if start:
        headers["Range"] = f"bytes={start}-"
    request = urllib.request.Request(url, headers=headers)  # noqa: S310 - checked above
    try:
        response = urllib.request.build_opener(redirects).open(request, timeout=TIMEOUT)
    except urllib.error.HTTPError as error:
        if error.code != http.HTTPStatus.REQUESTED_RANGE_NOT_SATISFIABLE:
            raise
        with error:
            yield None, redirects.stated or _stated(error.headers)
        return
    with response:
        yield response, redirects.stated or _stated(response.headers)


class _Redirects(urllib.request.HTTPRedirectHandler):
    """Follows few redirects, none of them to another protocol, and keeps stated checksums.

    The Hugging Face hub states the checksum of a large file in the redirect to its storage.
    """

    max_redirections = MOST_REDIRECTS

    def __init__(self) -> None:
        self.stated: str | None = None

    def redirect_request(
        self, req: Any, fp: IO[bytes], code: int, msg: str, headers: Any, newurl: str
    ) -> urllib.request.Request | None:
        _check_scheme(urljoin(req.full_url, newurl), local=_is_local(req.full_url))
        self.stated = self.stated or _stated(headers)
        return super().redirect_request(req, fp, code, msg, headers, newurl)


def _check_scheme(url: str, *, local: bool) -> None:
    parts = urlsplit(url)
    if parts.scheme != "https" and not (local and parts.scheme == "http" and _is_local(url)):
        raise TransferFailed(f"leads to {parts.scheme or 'no'}:, but only https: is safe")


def _is_local(url: str) -> bool:
    return urlsplit(url).hostname in _LOOPBACK


def _stated(headers: Any) -> str | None:
    """Return the SHA-256 in an entity tag of the Hugging Face hub, if it is one."""
    tag = headers.get("X-Linked-Etag") or headers.get("ETag") or ""
    found = re.fullmatch(r'(?:W/)?"?([0-9a-fA-F]{64})"?', tag.strip())
    return found[1].lower() if found else None


def _start(response: Any, wanted: int) -> int:
    """Return the place in the file of the first byte that the server sends."""
    if not wanted or response.status != http.HTTPStatus.PARTIAL_CONTENT:
        return 0
    found = re.match(r"bytes (\d{1,18})-", response.headers.get("Content-Range", ""))
    if found is None or int(found[1]) != wanted:
        raise TransferFailed("the server sends another part of the file than was asked for")
    return wanted


def _total(response: Any, start: int, limits: Limits) -> int | None:
    """Return the size of the file, if the server tells it, and refuse a wrong one."""
    length = response.headers.get("Content-Length", "")
    total = start + int(length) if re.fullmatch(r"[0-9]{1,18}", length) else None
    if total is not None and limits.size not in (None, total):
        raise TransferFailed(f"sends {total:,} bytes, but the file has {limits.size:,}")
    if total is not None and total > limits.most:
        raise TransferFailed(f"sends {total:,} bytes, far more than the file can have")
    return total if total is not None else limits.size


def _receive(
    response: Any, part: Path, start: int, total: int | None, limits: Limits, progress: Progress
) -> None:
    most = total if total is not None else limits.most
    done = start
    with (
        _opened(part, start) as file,
        progress.task(f"downloading {part.stem}, MB", most // MEGABYTE) as task,
    ):
        while chunk := _read(response):
            done += len(chunk)
            if done > most:
                raise TransferFailed("sends more bytes than the file has")
            _write(file, part, chunk)
            task.update(done / MEGABYTE)
        with _disk_errors_explained(part):
            file.truncate()
            os.fsync(file.fileno())
    if total is not None and done < total:
        raise _Cut(f"the connection broke off after {done:,} of {total:,} bytes")


def _opened(part: Path, start: int) -> io.FileIO:
    """Open the partial file at a place, unbuffered, so that closing it cannot fail."""
    with _disk_errors_explained(part):
        file = io.FileIO(part, "r+" if start else "w")
        file.seek(start)
    return file


def _write(file: io.FileIO, part: Path, chunk: bytes) -> None:
    with _disk_errors_explained(part):
        rest = memoryview(chunk)
        while rest:
            rest = rest[file.write(rest) :]


def _read(response: Any) -> bytes:
    """Read a chunk; a fault of the network is not one of the disk."""
    try:
        return bytes(response.read(_CHUNK))
    except http.client.IncompleteRead as error:
        raise _Cut("the connection broke off") from error
    except OSError as error:
        raise _Cut(f"the connection broke off ({_in_words(error)})") from error


@contextlib.contextmanager
def _disk_errors_explained(part: Path) -> Iterator[None]:
    try:
        with explained_write_errors(part):
            yield
    except DiskError as error:
        if isinstance(error.__cause__, OSError) and is_disk_full(error.__cause__):
            raise DiskError(
                f"{part}: no space on the disk; make room and repeat this: what is there is kept, "
                "and the rest is downloaded. VERYDEEP_CACHE sets another folder"
            ) from error
        raise


def _retry_after(text: str | None) -> float | None:
    """Return the seconds that a server asks to wait, from seconds or a date."""
    if text is None:
        return None
    if text.strip().isdecimal():
        return float(text)
    try:
        date = email.utils.parsedate_to_datetime(text)
    except ValueError:
        return None
    aware = date if date.tzinfo else date.replace(tzinfo=UTC)
    return max(0.0, (aware - datetime.now(UTC)).total_seconds())


def _in_words(error: Exception) -> str:
    if isinstance(error, urllib.error.HTTPError):
        return f"HTTP {error.code} {error.reason}".splitlines()[0].rstrip()
    reason = getattr(error, "reason", None) or error
    return str(getattr(reason, "strerror", None) or reason or type(error).__name__)


def _size(part: Path) -> int:
    try:
        return part.stat().st_size
    except FileNotFoundError:
        return 0


def _remove(part: Path) -> None:
    with _disk_errors_explained(part):
        part.unlink(missing_ok=True)
