"""What a run did, for people to look at."""

from __future__ import annotations

import atexit
import os
import shutil
import tempfile
from collections.abc import Iterator
from pathlib import Path


def _give_matplotlib_a_folder() -> None:
    """Let matplotlib keep its fonts somewhere where the home folder cannot be written to.

    It would do so by itself, with a complaint on stderr each time the program runs.
    """
    if not all(map(_can_be_written, _folders())):
        folder = tempfile.mkdtemp(prefix="verydeep-matplotlib-")
        os.environ["MPLCONFIGDIR"] = folder
        atexit.register(shutil.rmtree, folder, ignore_errors=True)


def _folders() -> Iterator[Path]:
    """Yield the folders that matplotlib would take."""
    if chosen := os.environ.get("MPLCONFIGDIR"):
        yield Path(chosen)
        return
    home = Path(os.path.expanduser("~"))  # noqa: PTH111  (it never fails, as Path.home may)
    for variable, usual in (("XDG_CONFIG_HOME", ".config"), ("XDG_CACHE_HOME", ".cache")):
        yield Path(os.environ.get(variable) or home / usual) / "matplotlib"


def _can_be_written(folder: Path) -> bool:
    """Make a folder, as matplotlib would, and return whether that can be written to."""
    try:
        folder.mkdir(parents=True, exist_ok=True)
    except OSError:
        return False
    return os.access(folder, os.W_OK | os.X_OK)


_give_matplotlib_a_folder()
