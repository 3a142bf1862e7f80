"""Folders of built-in data sets, which are made on first use and kept in the cache."""

from __future__ import annotations

import shutil
import uuid
from collections.abc import Callable
from pathlib import Path

from verydeep.data.builtin.cache import cache_folder
from verydeep.errors import DataError, DiskError
from verydeep.system.files import is_disk_full


def made_folder(name: str, write: Callable[[Path], None], cache: Path | None = None) -> Path:
    """Return a folder of the cache; write it first if it is not there.

    Args:
        name: Name of the folder, which tells its content and version.
        write: Makes a folder of a given path, with the same content each time.
        cache: Cache folder; None for that in ``VERYDEEP_CACHE``, else the user's.

    Raises:
        DataError: The folder cannot be written.
        DiskError: The disk is full.
    """
    cache = cache or cache_folder()
    folder = cache / name
    if folder.is_dir():
        return folder
    # Written under a unique temporary name, so that the final folder is complete even if this
    # process is killed, or several start at once.
    temporary = cache / f".{folder.name}-{uuid.uuid4().hex}"
    try:
        write(temporary)
        _put_in_place(temporary, folder)
    except OSError as error:
        kind = DiskError if is_disk_full(error) else DataError
        raise kind(
            f"{cache}: cannot write the built-in digits ({error}); set VERYDEEP_CACHE to a "
            "writable folder with 50 MB free"
        ) from error
    finally:
        shutil.rmtree(temporary, ignore_errors=True)
    return folder


def _put_in_place(temporary: Path, folder: Path) -> None:
    try:
        temporary.rename(folder)
    except OSError:
        if not folder.is_dir():  # else another process was faster, with the same images
            raise
