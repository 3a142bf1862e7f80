"""Patterns of shards, ``train-{000..146}.tar`` or ``*.tar``, local or through fsspec."""

from __future__ import annotations

import glob
import io
import os
import re
from collections.abc import Iterator
from typing import BinaryIO

from verydeep.data.images.regular_file import open_regular
from verydeep.errors import DataError
from verydeep.system.device import without_secret
from verydeep.system.object_stores import is_remote, list_remote, open_remote, reason_of

MOST_SHARDS = 1_000_000
"""Maximum number of names in braces; more are a typing error."""

_BRACES = re.compile(r"\{([^{}]*)\}")
_RANGE = re.compile(r"(\d+)\.\.(\d+)")
_WILD = re.compile(r"[*?[]")
_ANY_FOLDER = "**"


def is_pattern(data: str) -> bool:
    """Return whether a text is a pattern or URL of shards: it has braces, wildcards or a scheme.

    >>> [is_pattern(data) for data in ("pets", "pets/{0..9}.tar", "s3://bucket/pets")]
    [False, True, True]
    """
    return is_remote(data) or bool(_WILD.search(data)) or bool(_BRACES.search(data))


def expand(pattern: str) -> Iterator[str]:
    """Expand braces like a shell.

    >>> list(expand("{train,val}-{08..10}.tar"))[1:4]
    ['train-09.tar', 'train-10.tar', 'val-08.tar']
    """
    braces = _BRACES.search(pattern)
    if braces is None:
        yield pattern
        return
    for middle in _alternatives(braces[1]):
        yield from expand(pattern[: braces.start()] + middle + pattern[braces.end() :])


def _alternatives(inside: str) -> Iterator[str]:
    numbers = _RANGE.fullmatch(inside)
    if numbers is None:
        yield from inside.split(",")
        return
    first, last = int(numbers[1]), int(numbers[2])
    if abs(last - first) >= MOST_SHARDS:
        raise DataError(f"{{{inside}}}: more than {MOST_SHARDS:,} shards")
    for number in range(first, last + 1) if first <= last else range(first, last - 1, -1):
        yield f"{number:0{len(numbers[1])}}"


def find_shards(pattern: str) -> list[str]:
    """Return the shards that match a pattern.

    Raises:
        DataError: There are none, or they cannot be listed.
    """
    found: list[str] = []
    shown = without_secret(pattern)
    literal, rest = literal_part(pattern)
    for ending in expand(rest):
        place = literal + ending
        found += _glob(place) if _WILD.search(ending) else [place]
        if len(found) > MOST_SHARDS:
            raise DataError(f"{shown}: more than {MOST_SHARDS:,} shards")
    if not found:
        raise DataError(f"{shown}: there are no such shards, and no file or folder of that name")
    missing = next((p for p in found if not is_remote(p) and not os.path.exists(p)), None)  # noqa: PTH110
    if missing:
        raise DataError(f"{shown}: there is no {missing}")
    return [*dict.fromkeys(found)]  # braces may overlap: {0,*}.tar


def literal_part(pattern: str) -> tuple[str, str]:
    """Divide a pattern after the existing folders, whose names may contain wildcards.

    An existing folder ``pets [v2]`` is not a pattern for ``pets v`` and ``pets 2``.
    """
    if is_remote(pattern):
        return "", pattern
    parts = pattern.split("/")
    known = 0
    while known < len(parts) and os.path.lexists("/".join(parts[: known + 1]) or "/"):
        known += 1
    literal = "/".join(parts[:known])
    if known == len(parts):
        return literal, ""
    return literal + "/" * bool(known), "/".join(parts[known:])


def _glob(place: str) -> list[str]:
    if not is_remote(place):
        return sorted(_local(place))
    return [*list_remote(place, pattern=True)]


def _local(place: str) -> list[str]:
    """Return the files that match a pattern; an existing name matches itself.

    As in a shell, ``**`` is the folder itself and all below it, without hidden and linked ones.
    """
    *folders, last = place.split("/")
    bases = [""]
    for part in folders:
        bases = [one for base in bases for one in _folders(base, part)]
    if last == _ANY_FOLDER:
        bases, last = [one for base in bases for one in _folders(base, last)], "*"
    return [base + name for base in bases for name in _names(base, last)]


def _folders(base: str, part: str) -> Iterator[str]:
    """Yield the folders below a base, each with a final stroke."""
    if part != _ANY_FOLDER or os.path.lexists(base + part):
        yield from (f"{base}{name}/" for name in _names(base, part))
        return
    for top, inner, _ in os.walk(base or ".", onerror=_refuse_unreadable):
        inner[:] = [name for name in inner if not name.startswith(".")]
        yield os.path.join(top, "").removeprefix("" if base else "./")  # noqa: PTH118


def _refuse_unreadable(error: OSError) -> None:
    if not isinstance(error, FileNotFoundError | NotADirectoryError):  # nothing matches there
        raise DataError(f"{error.filename}: cannot be read ({error.strerror})") from error


def _names(base: str, part: str) -> list[str]:
    """Return the names in a folder that match a part of a pattern."""
    if not part or os.path.lexists(base + part):
        return [part]
    if not _WILD.search(part):
        return []
    return glob.glob(part, root_dir=base or None)  # noqa: PTH207


def open_shard(place: str) -> BinaryIO:
    """Open a shard, or another file beside it, for reading.

    Raises:
        DataError: The file cannot be opened.
        MissingExtra: It is remote, and the package for its address is not installed.
    """
    if is_remote(place):
        return open_remote(place)
    try:
        return io.BufferedReader(open_regular(place))
    except Exception as error:
        raise DataError(f"{place}: cannot be opened ({reason_of(error, place)})") from error
