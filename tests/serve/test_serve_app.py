"""The service over HTTP: answers, forms of requests, refusals."""

from __future__ import annotations

import base64
import io
from collections.abc import Iterator
from pathlib import Path

import httpx2
import pytest
from PIL import Image
from serving import random_served, serving

from verydeep.serve.models import ServedModel
from verydeep.serve.service import Service


@pytest.fixture(scope="module")
def served() -> ServedModel:
    return random_served(num_classes=7)


@pytest.fixture(scope="module")
def running(served: ServedModel) -> Iterator[tuple[str, Service]]:
    with serving([served]) as found:
        yield found


@pytest.fixture(scope="module")
def client(running: tuple[str, Service]) -> Iterator[httpx2.Client]:
    with httpx2.Client(base_url=running[0], timeout=30) as opened:
        yield opened


@pytest.fixture(scope="module")
def photograph(photographs: list[Image.Image]) -> bytes:
    file = io.BytesIO()
    photographs[0].save(file, "JPEG")
    return file.getvalue()


def test_answers_equal_those_of_predict(
    client: httpx2.Client, served: ServedModel, photograph: bytes, tmp_path: Path
) -> None:
    path = tmp_path / "china.jpg"
    path.write_bytes(photograph)
    (expected,) = served.model.predict(path, top=3)
    answer = client.post("/v1/predict?top=3", content=photograph).json()
    (image,) = answer["images"]
    assert [one["title"] for one in image["ranking"]] == [name for name, _ in expected.ranking]
    assert [one["probability"] for one in image["ranking"]] == pytest.approx(
        [probability for _, probability in expected.ranking], abs=1e-6
    )
    assert (image["width"], image["height"]) == (640, 427)
    assert answer["model"]["classes"] == 7


def test_all_forms_of_a_request_have_the_same_answer(
    client: httpx2.Client, photograph: bytes
) -> None:
    text = base64.b64encode(photograph).decode()
    answers = [
        client.post("/v1/predict", content=photograph, params={"name": "a.jpg"}),
        client.post("/v1/predict", files={"anything": ("a.jpg", photograph)}),
        client.post("/v1/predict", json={"images": [{"name": "a.jpg", "data": text}]}),
    ]
    images = [one.json()["images"] for one in answers]
    assert images[0] == images[1] == images[2]
    assert images[0][0]["name"] == "a.jpg"
