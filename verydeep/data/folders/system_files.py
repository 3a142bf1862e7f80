"""Files and folders that operating systems, network drives and programs put among images.

Thumbnails and recycle bins hold copies of images, or deleted images, and are not part of a data
set. Every walk over folders, every list and every archive skips them. Names that begin with a dot
are hidden files and folders of all kinds (``._x.jpg``, ``.Trash-1000``, ``.thumbnails``,
``.AppleDouble``, ``.ipynb_checkpoints``, ``.picasaoriginals``, ``.@__thumb``, ``.DS_Store``).
"""

from __future__ import annotations

import re

FOLDERS = frozenset(
    (
        "@eadir",  # Synology
        "@tmp",
        "#recycle",
        "#snapshot",
        "@recycle",  # QNAP
        "@recently-snapshot",
        "@__thumb",
        "@transcode",
        "~snapshot",  # NetApp
        "$recycle.bin",  # Windows
        "system volume information",
        "__macosx",  # archives packed on a Mac
        "lost+found",  # Linux file systems
    )
)
"""Lower-case names of folders."""

FILES = frozenset(("thumbs.db", "ehthumbs.db", "ehthumbs_vista.db", "desktop.ini", "icon\r"))
"""Lower-case names of files."""

_SLASHES = re.compile(r"[/\\]")


def is_system_folder(name: str) -> bool:
    """Return whether to skip a folder of this name.

    >>> [is_system_folder(name) for name in ("@eaDir", "$RECYCLE.BIN", ".thumbnails", "thumbnails")]
    [True, True, True, False]
    """
    return name.startswith(".") or name.lower() in FOLDERS


def is_system_file(name: str) -> bool:
    """Return whether to skip a file of this name.

    >>> [is_system_file(name) for name in ("._1.jpg", "Thumbs.db", "1.jpg")]
    [True, True, False]
    """
    return name.startswith(".") or name.lower() in FILES


def is_system_path(path: str) -> bool:
    """Return whether a path in an archive or list contains a system file or folder.

    Other hidden files count as listed on purpose.

    >>> [is_system_path(path) for path in ("cat/@eaDir/1.jpg", "cat/._1.jpg", ".cache/1.jpg")]
    [True, True, False]
    """
    *folders, name = (part.lower() for part in _SLASHES.split(path))
    if name.startswith("._") or name in FILES or name == ".ds_store":
        return True
    return any(folder in FOLDERS or folder in _HIDDEN_FOLDERS for folder in folders)


def kind_of(name: str) -> str:
    """Return the name under which a system file or folder is counted.

    >>> kind_of("._1.jpg"), kind_of("@eaDir"), kind_of(".secret.jpg")
    ('._*', '@eaDir', '.*')
    """
    if name.startswith("._"):
        return "._*"
    known = name.lower() in FOLDERS | FILES or name.lower() in _KNOWN_HIDDEN
    return name if known else ".*" if name.startswith(".") else name


_HIDDEN_FOLDERS = frozenset(
    (
        ".@__thumb",
        ".thumbnails",
        ".appledouble",
        ".ipynb_checkpoints",
        ".picasaoriginals",
        ".trash",
        ".trash-1000",
        ".trashes",
    )
)

_KNOWN_HIDDEN = _HIDDEN_FOLDERS | {".ds_store", ".git"}
