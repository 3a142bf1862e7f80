"""Files that systems leave among pictures: ``._x.jpg`` of macOS, ``Thumbs.db``, ``__MACOSX/``.

Walks through folders pass over everything hidden. This is for names that come from elsewhere: the
members of an archive, the rows of a table, what a pattern finds.
"""

from __future__ import annotations

import re

_NAMES = frozenset(("thumbs.db", "ehthumbs.db", "desktop.ini", ".ds_store"))
_FOLDERS = frozenset(("__macosx", "@eadir", "$recycle.bin", "#recycle", "lost+found"))
_STROKES = re.compile(r"[/\\]")


def is_system_file(path: str) -> bool:
    """Return whether a file of this path is none of the user's own.

    >>> [is_system_file(path) for path in ("cat/._1.jpg", "__MACOSX/1.jpg", "cat/1.jpg")]
    [True, True, False]
    """
    *folders, name = _STROKES.split(path)
    named = name.startswith("._") or name.lower() in _NAMES
    return named or not _FOLDERS.isdisjoint(folder.lower() for folder in folders)
