"""What a run did, for people to look at."""

from __future__ import annotations

import atexit
import os
import shutil
import tempfile
from pathlib import Path


def _give_matplotlib_a_folder() -> None:
    """Let matplotlib keep its fonts somewhere where the home folder cannot be written to.

    It would do so by itself, with a complaint on stderr for every run of the program.
    """
    if os.environ.get("MPLCONFIGDIR"):
        return
    base = os.environ.get("XDG_CACHE_HOME") or Path(os.path.expanduser("~")) / ".cache"  # noqa: PTH111
    if not _can_be_written(Path(base) / "matplotlib"):
        folder = tempfile.mkdtemp(prefix="verydeep-matplotlib-")
        os.environ["MPLCONFIGDIR"] = folder
        atexit.register(shutil.rmtree, folder, ignore_errors=True)


def _can_be_written(folder: Path) -> bool:
    """Return whether a folder is there and open to us, or can be made."""
    there = next(path for path in (folder, *folder.parents) if path.exists())
    return there.is_dir() and os.access(there, os.W_OK | os.X_OK)


_give_matplotlib_a_folder()
