"""The cache folder of generated and downloaded data sets and of downloaded weights."""

from __future__ import annotations

import os
from pathlib import Path

import platformdirs

from verydeep.system.files import expanded


def cache_folder() -> Path:
    """Return the folder in ``VERYDEEP_CACHE``, else the user's cache folder."""
    chosen = os.environ.get("VERYDEEP_CACHE")
    return expanded(chosen) if chosen else platformdirs.user_cache_path("verydeep")
