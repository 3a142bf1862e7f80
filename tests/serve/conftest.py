"""One running server for most tests of the service."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import httpx2
import pytest
from chromium import CAMERA, chromium
from PIL import Image
from serving import LIMITS, Held, as_file, random_served, serving

from verydeep.serve.models import ServedModel
from verydeep.serve.service import Service


@pytest.fixture(scope="package")
def served() -> ServedModel:
    """A net for 7 classes, the default of the running server."""
    return random_served(num_classes=7)


@pytest.fixture(scope="package")
def held() -> Held:
    """A model of the running server that a test can hold up."""
    return random_served("held", Held)


@pytest.fixture(scope="package")
def running(served: ServedModel, held: Held) -> Iterator[tuple[str, Service]]:
    """Address and service."""
    with serving([served, held], LIMITS) as found:
        yield found


@pytest.fixture(scope="package")
def service(running: tuple[str, Service]) -> Service:
    return running[1]


@pytest.fixture(scope="package")
def client(running: tuple[str, Service]) -> Iterator[httpx2.Client]:
    with httpx2.Client(base_url=running[0], timeout=30) as opened:
        yield opened


@pytest.fixture(scope="package")
def photograph(photographs: list[Image.Image]) -> bytes:
    """A photograph of 640x427 pixels as a JPEG file."""
    return as_file(photographs[0])


@pytest.fixture(scope="module")
def browser() -> Iterator[Any]:
    """A Chromium without a window, with a camera that shows a test image."""
    with chromium(*CAMERA) as opened:
        yield opened
