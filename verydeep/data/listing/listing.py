"""A list of images in a fixed order: their names, and where each is read."""

from __future__ import annotations

import hashlib
from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from verydeep.data.images.member import ImageSource
from verydeep.data.listing.remote_image import RemoteImage, Unreadable
from verydeep.data.samples import Provenance
from verydeep.data.string_array import Names
from verydeep.system.object_stores import is_remote


@dataclass(frozen=True)
class Listing:
    """Images to work on in bulk. The order is that in which they are listed, in every run.

    Attributes:
        kind: Kind of source: ``folder``, ``files``, ``shards`` or ``table``.
        names: Names of the N images, as in results.
        sources: Their locations.
        stamp: Numbers that tell contents apart as far as the list knows them: sizes and offsets.
    """

    kind: str
    names: Names
    sources: Provenance
    stamp: NDArray[np.int64] = field(default_factory=lambda: np.zeros(0, np.int64))

    def __len__(self) -> int:
        return len(self.names)

    def part(self, rows: range) -> tuple[list[str], list[ImageSource]]:
        """Return the names and locations of some rows."""
        return [self.names[row] for row in rows], [self.sources[row] for row in rows]

    def digest(self) -> str:
        """Return a hash of the list, without the contents of the files."""
        digest = hashlib.sha256(self.kind.encode())
        for values in (*self.names.packed(), self.stamp):
            digest.update(np.ascontiguousarray(values).data)
        return digest.hexdigest()


def suffix_of(place: str) -> str:
    """Return the extension of a path or URL, in lower case.

    >>> suffix_of("a/b.TAR"), suffix_of("https://host/list.csv?token=1"), suffix_of("a.b/c")
    ('.tar', '.csv', '')
    """
    name = (place.partition("?")[0] if is_remote(place) else place).rpartition("/")[2]
    return name[name.rfind(".") :].lower() if "." in name else ""


@dataclass(frozen=True, slots=True)
class Places:
    """Locations of files given by name.

    Attributes:
        base: Absolute path or URL of the folder that relative names are relative to.
        names: Paths or URLs; an empty one is a row that names no image.
    """

    base: str
    names: Sequence[str]

    def __len__(self) -> int:
        return len(self.names)

    def __getitem__(self, index: int) -> ImageSource:
        name = self.names[index]
        if not name:
            return Unreadable("names no image")
        if is_remote(name):
            return RemoteImage(name)
        if is_remote(self.base):
            return RemoteImage(f"{self.base}/{name}")
        return Path(self.base, name)
