"""An S3 server on this machine, with a bucket, as the environment describes it to any process."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import pytest


@contextmanager
def s3_server() -> Iterator[str]:
    """Run a server, and yield its address."""
    server = pytest.importorskip("moto.server", reason="moto is an S3 server for tests")
    running = server.ThreadedMotoServer("127.0.0.1", 0, verbose=False)
    running.start()
    host, port = running.get_host_and_port()
    try:
        yield f"http://{host}:{port}"
    finally:
        running.stop()


@contextmanager
def s3_bucket(address: str, name: str, monkeypatch: pytest.MonkeyPatch) -> Iterator[Any]:
    """Make a bucket, and yield its file system."""
    s3fs = pytest.importorskip("s3fs", reason="S3 is opened through s3fs")
    monkeypatch.setenv("AWS_ENDPOINT_URL", address)
    monkeypatch.setenv("AWS_ACCESS_KEY_ID", "name-of-a-key")
    monkeypatch.setenv("AWS_SECRET_ACCESS_KEY", "very-secret")
    monkeypatch.setenv("AWS_DEFAULT_REGION", "us-east-1")
    s3fs.S3FileSystem.clear_instance_cache()
    system = s3fs.S3FileSystem()
    system.mkdir(name)
    try:
        yield system
    finally:
        system.rm(name, recursive=True)
        s3fs.S3FileSystem.clear_instance_cache()
