"""Fixtures of tests of downloads."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest
from downloads import CONTENT
from file_server import Behaviour, serving

from verydeep.models.weights import download, resumable_download

collect_ignore = ["keras_nets.py"]  # a program of its own, which imports Keras


@pytest.fixture
def homes(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Caches of this package and of others in an empty folder; no pauses, no proxy."""
    for variable in ("TORCH_HOME", "KERAS_HOME", "HF_HOME", "XDG_CACHE_HOME", "VERYDEEP_CACHE"):
        monkeypatch.setenv(variable, str(tmp_path / variable))
    for variable in ("HF_HUB_CACHE", "HUGGINGFACE_HUB_CACHE"):
        monkeypatch.delenv(variable, raising=False)
    monkeypatch.setenv("no_proxy", "*")
    monkeypatch.setattr(resumable_download, "FIRST_PAUSE", 0.001)
    monkeypatch.setattr(download, "_PAUSE", 0.01)
    return tmp_path


@pytest.fixture
def server() -> Iterator[Behaviour]:
    with serving(CONTENT) as behaviour:
        yield behaviour
