"""Where data sets that this package makes or fetches are kept."""

from __future__ import annotations

import os
from pathlib import Path

import platformdirs


def cache_folder() -> Path:
    """Return the folder that ``VERYDEEP_CACHE`` names or, without it, the user's own cache."""
    chosen = os.environ.get("VERYDEEP_CACHE")
    return Path(chosen).expanduser() if chosen else platformdirs.user_cache_path("verydeep")
