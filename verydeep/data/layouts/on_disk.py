r"""Resolution of names in annotation files to files on disk.

Annotations move between systems: a table from Windows separates folders by ``\``, and macOS writes
``é`` in another of Unicode's normal forms. If no file has a name, these forms are tried, folder by
folder.
"""

from __future__ import annotations

import os
import unicodedata
from collections.abc import Iterator


def may_differ(name: str) -> bool:
    """Return whether a file on disk could have the name in another form; most cannot."""
    return "\\" in name or not name.isascii()


def on_disk(folder: str, name: str) -> str:
    """Return the path of a name in a folder, in another form if only that exists."""
    plain = os.path.join(folder, name)  # noqa: PTH118
    if os.path.lexists(plain):
        return plain
    for spelled in dict.fromkeys((name, name.replace("\\", "/"))):
        path = folder
        for part in filter(lambda part: part not in ("", "."), spelled.split("/")):
            found = next((one for one in _forms(path, part) if os.path.lexists(one)), None)
            if found is None:
                break
            path = found
        else:
            return path
    return plain


def _forms(folder: str, part: str) -> Iterator[str]:
    yield os.path.join(folder, part)  # noqa: PTH118
    for form in ("NFC", "NFD"):
        yield os.path.join(folder, unicodedata.normalize(form, part))  # noqa: PTH118


def within(folder: str, path: str) -> str:
    """Return an absolute path relative to the folder if it leads into it, else unchanged.

    >>> within("/data/pets", "/data/pets/cat/1.jpg"), within("/data/pets", "/etc/1.jpg")
    ('cat/1.jpg', '/etc/1.jpg')
    """
    for top in dict.fromkeys((os.path.abspath(folder), os.path.realpath(folder))):  # noqa: PTH100
        if path.startswith(os.path.join(top, "")):  # noqa: PTH118
            return path[len(os.path.join(top, "")) :]  # noqa: PTH118
    return path
