"""A Chromium without a window."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import pytest
from tiny import find_chromium

CAMERA = ("--use-fake-device-for-media-stream", "--use-fake-ui-for-media-stream")
"""A camera that shows a test image, and may be used without asking."""


@contextmanager
def chromium(*flags: str) -> Iterator[Any]:
    """Return a browser, which ends with the context."""
    program = find_chromium()
    started = pytest.importorskip("playwright.sync_api").sync_playwright()
    with started as playwright:
        opened = playwright.chromium.launch(executable_path=program, args=["--no-sandbox", *flags])
        yield opened
        opened.close()
