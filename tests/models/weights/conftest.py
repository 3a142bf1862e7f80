"""Fixtures of tests of downloads, and files that Keras has written."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest
from downloads import CONTENT
from file_server import Behaviour, serving
from scores import run_keras

from verydeep.models.weights import download, resumable_download

collect_ignore = ["keras_nets.py"]  # a program of its own, which imports Keras


@pytest.fixture(scope="session")
def keras_nets(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The paper's nets as files of Keras, with their scores; not to be changed."""
    return run_keras("nets", tmp_path_factory.mktemp("keras") / "nets")


@pytest.fixture(scope="session")
def keras_others(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Other nets as files of Keras, with their scores; not to be changed."""
    return run_keras("others", tmp_path_factory.mktemp("keras") / "others")


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
