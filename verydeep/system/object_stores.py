"""Object stores and other remote file systems, through fsspec.

Access keys come from where each service's own tools look for them (environment, configuration
files); they are never part of an address.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, BinaryIO, cast

from verydeep.errors import DataError, MachineError, MissingExtra, VeryDeepError
from verydeep.system.device import without_secret

EXTRAS = {"s3": "s3", "s3a": "s3", "gs": "gcs", "gcs": "gcs", "hf": "hub"}
"""Extra that each scheme needs; others need ``shards``."""

_ABSENT = (FileNotFoundError, PermissionError, IsADirectoryError)
_REFUSED = range(400, 429)
"""HTTP statuses of an answer that will not change; 429 asks to try later."""


def is_remote(place: str) -> bool:
    """Return whether a location is a URL, which fsspec opens.

    >>> is_remote("s3://bucket/pets"), is_remote("pets"), is_remote("hf:owner/name")
    (True, False, False)
    """
    return "://" in place


def has_wildcards(place: str) -> bool:
    """Return whether a URL is a pattern; a question mark begins its query.

    >>> has_wildcards("s3://bucket/0[01].png"), has_wildcards("https://host/a.png?key=1")
    (True, False)
    """
    return "*" in place or "[" in place


def open_remote(place: str) -> BinaryIO:
    """Open a remote file for reading.

    Raises:
        DataError: The file cannot be opened.
        MissingExtra: The package for this kind of address is not installed.
    """
    system, path = remote_system(place)
    try:
        return cast(BinaryIO, system.open(path, "rb"))
    except Exception as error:  # depends on the file system
        raise _refusal(place, "opened", error) from error


def read_remote(place: str, start: int = 0, end: int | None = None) -> bytes:
    """Return a part of a remote file, in one request.

    Args:
        place: URL.
        start: Offset of the first byte.
        end: Offset after the last byte; None for the end of the file.

    Raises:
        DataError: The file is missing or not accessible.
        MachineError: The service cannot be reached now.
        MissingExtra: The package for this kind of address is not installed.
    """
    system, path = remote_system(place)
    try:
        data = bytes(system.cat_file(path, start=start, end=end))
    except Exception as error:  # depends on the file system
        if start == 0 and _is_empty(system, path):  # of which no range can be read
            return b""
        if not is_lasting(error):
            raise MachineError(str(_refusal(place, "read", error))) from error
        raise _refusal(place, "read", error) from error
    if end is not None and len(data) > end - start:
        raise DataError(f"{without_secret(place)}: the server cannot send parts of a file")
    return data


def _is_empty(system: Any, path: str) -> bool:
    try:
        return bool(system.size(path) == 0)
    except Exception:  # depends on the file system
        return False


def list_remote(place: str, *, pattern: bool | None = None) -> dict[str, int | None]:
    """Return the files below a remote folder, or that match a pattern, sorted by address.

    Args:
        place: URL of a folder, or with wildcards.
        pattern: Whether it has wildcards, a question mark among them; None takes it for a pattern
            by :func:`has_wildcards`.

    Returns:
        Size in bytes by URL; None where it is unknown. Empty if there are no such files.

    Raises:
        DataError: They cannot be listed.
        MissingExtra: The package for this kind of address is not installed.
    """
    system, path = remote_system(place)
    try:
        find = system.glob if pattern or (pattern is None and has_wildcards(path)) else system.find
        found = find(path, detail=True)
        files = {
            str(system.unstrip_protocol(name)): _size(about)
            for name, about in found.items()
            if about.get("type") != "directory"
        }
    except Exception as error:  # depends on the file system
        raise _refusal(place, "listed", error) from error
    return dict(sorted(files.items()))


def _size(about: Mapping[str, Any]) -> int | None:
    size = about.get("size")
    return None if size is None else int(size)


def remote_system(place: str) -> tuple[Any, str]:
    """Return the file system of a URL, and its path there.

    Raises:
        DataError: The protocol is unknown.
        MissingExtra: The package for this kind of address is not installed.
    """
    shown = without_secret(place)
    extra = EXTRAS.get(_scheme(place), "shards")
    try:
        import fsspec
    except ImportError as error:
        raise MissingExtra(f"{shown}: a remote file", extra) from error
    try:
        system, path = fsspec.core.url_to_fs(place)
    except ImportError as error:
        if _scheme(place) in EXTRAS or _scheme(place) in ("http", "https"):
            raise MissingExtra(f"{shown}: a remote file", extra) from error
        raise DataError(f"{shown}: {error}") from error
    except ValueError as error:
        raise DataError(f"{shown}: unknown protocol ({error})") from error
    except Exception as error:  # some file systems connect at once
        raise _refusal(place, "opened", error) from error
    return system, str(path)


def _scheme(place: str) -> str:
    """Return the scheme of a URL, the last one of a chain.

    >>> _scheme("simplecache::s3://bucket/pets")
    's3'
    """
    return place.rpartition("::")[2].partition("://")[0].lower()


def _refusal(place: str, done: str, error: Exception) -> VeryDeepError:
    shown = without_secret(place)
    return DataError(f"{shown}: cannot be {done} ({reason_of(error, shown)})")


def is_lasting(error: BaseException) -> bool:
    """Return whether a file is missing or not accessible, rather than out of reach for now."""
    found: BaseException | None = error
    while found is not None:
        if isinstance(found, _ABSENT) or getattr(found, "status", None) in _REFUSED:
            return True
        found = found.__cause__ or found.__context__
    return False


def reason_of(error: BaseException, place: str) -> str:
    """Return why a file cannot be opened; fsspec may give the reason as the cause."""
    found: BaseException | None = error
    while found is not None:
        text = " ".join(str(getattr(found, "strerror", None) or found).split())
        if hasattr(found, "status"):  # an HTTP error, whose text repeats the URL
            text = f"{found.status} {getattr(found, 'message', '')}"
        if text and text != place:
            return without_secret(text)
        found = found.__cause__ or found.__context__
    return "no such file" if isinstance(error, FileNotFoundError) else type(error).__name__
