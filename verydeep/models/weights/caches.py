"""Files of published weights on this machine: our cache, and those of other libraries.

This module does not import torch.
"""

from __future__ import annotations

import os
import re
import sys
from collections.abc import Iterator
from pathlib import Path
from urllib.parse import urlsplit

from verydeep.data.builtin.cache import cache_folder
from verydeep.models.weights.published import Published
from verydeep.system.files import expanded

_HUB = re.compile(r"/(?P<owner>[^/]+)/(?P<repository>[^/]+)/resolve/[^/]+/(?P<file>.+)")


def own_file(published: Published) -> Path:
    """Return the place of the file in our cache; it need not exist."""
    return cache_folder() / "weights" / published.name / published.file_name


def files_elsewhere(published: Published) -> Iterator[Path]:
    """Yield existing files of the weights' names in the caches of torch, Keras and Hugging Face."""
    for file in _places_elsewhere(published):
        if file.is_file():
            yield file


def cached(published: Published) -> Path | None:
    """Return the first file on this machine that looks like the weights, unchecked, or None."""
    own = own_file(published)
    return own if own.is_file() else next(files_elsewhere(published), None)


def _places_elsewhere(published: Published) -> Iterator[Path]:
    if published.family == "torchvision":
        yield _torch_hub() / "checkpoints" / published.file_name
    if published.family == "keras":
        yield _folder("KERAS_HOME", Path.home() / ".keras") / "models" / published.file_name
    for address in published.addresses:
        yield from _snapshots(address)


def _snapshots(address: str) -> Iterator[Path]:
    """Yield the copies of a file of the Hugging Face hub, one for each revision."""
    parts = urlsplit(address)
    found = _HUB.fullmatch(parts.path)
    if parts.hostname == "huggingface.co" and found:
        model = _hugging_face() / f"models--{found['owner']}--{found['repository']}"
        try:
            revisions = sorted((model / "snapshots").iterdir())
        except OSError:
            return
        yield from (revision / found["file"] for revision in revisions)


def _torch_hub() -> Path:
    """Return torch's folder for downloads, without importing torch."""
    torch = sys.modules.get("torch")
    if torch is not None and hasattr(torch, "hub"):
        return Path(torch.hub.get_dir())
    return _folder("TORCH_HOME", _user_cache() / "torch") / "hub"


def _hugging_face() -> Path:
    home = _folder("HF_HOME", _user_cache() / "huggingface")
    return _folder("HF_HUB_CACHE", _folder("HUGGINGFACE_HUB_CACHE", home / "hub"))


def _user_cache() -> Path:
    return _folder("XDG_CACHE_HOME", Path.home() / ".cache")


def _folder(variable: str, default: Path) -> Path:
    chosen = os.environ.get(variable)
    return expanded(chosen) if chosen else default
