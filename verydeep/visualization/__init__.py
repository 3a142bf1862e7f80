"""Plots, reports, inspection pages and lecture figures."""

from __future__ import annotations

import atexit
import os
import shutil
import tempfile
from collections.abc import Iterator
from pathlib import Path


def _ensure_matplotlib_folder() -> None:
    """Give matplotlib a temporary folder for its font cache if the home folder is read-only.

    Matplotlib would do the same, but with a warning on stderr at every start.
    """
    if not all(map(_is_writable, _matplotlib_folders())):
        folder = tempfile.mkdtemp(prefix="verydeep-matplotlib-")
        os.environ["MPLCONFIGDIR"] = folder
        atexit.register(shutil.rmtree, folder, ignore_errors=True)


def _matplotlib_folders() -> Iterator[Path]:
    """Yield the folders that matplotlib would use."""
    if chosen := os.environ.get("MPLCONFIGDIR"):
        yield Path(chosen)
        return
    home = Path(os.path.expanduser("~"))  # noqa: PTH111  (never fails, unlike Path.home)
    for variable, default in (("XDG_CONFIG_HOME", ".config"), ("XDG_CACHE_HOME", ".cache")):
        yield Path(os.environ.get(variable) or home / default) / "matplotlib"


def _is_writable(folder: Path) -> bool:
    """Create a folder, as matplotlib would, and return whether it is writable."""
    try:
        folder.mkdir(parents=True, exist_ok=True)
    except OSError:
        return False
    return os.access(folder, os.W_OK | os.X_OK)


_ensure_matplotlib_folder()
