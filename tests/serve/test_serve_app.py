"""The service over HTTP: answers, forms of requests, refusals."""

from __future__ import annotations

import base64
import io
import json
from pathlib import Path
from typing import Any

import httpx2
import jsonschema
import numpy as np
import pytest
from PIL import Image
from serving import LIMITS, as_file

from verydeep.serve.models import ServedModel
from verydeep.serve.problems import CODES


def refusal(response: httpx2.Response, status: int, code: str) -> str:
    """Check a refusal and return its message."""
    assert response.status_code == status, response.text
    error = response.json()["error"]
    assert (error["status"], error["code"]) == (status, code)
    assert status in CODES
    return str(error["message"])


def test_answers_equal_those_of_predict(
    client: httpx2.Client, served: ServedModel, photographs: list[Image.Image], tmp_path: Path
) -> None:
    paths = [tmp_path / f"{number}.png" for number in range(3)]
    for path, turn in zip(paths, (0, 90, 180), strict=True):
        photographs[1].rotate(turn, expand=True).save(path)
    expected = served.model.predict(paths, top=3)
    files = [("images", (path.name, path.read_bytes())) for path in paths]
    images = [client.post("/v1/predict?top=3", files=[one]).json()["images"][0] for one in files]
    for image, one in zip(images, expected, strict=True):
        assert [found["title"] for found in image["ranking"]] == [name for name, _ in one.ranking]
        assert [found["probability"] for found in image["ranking"]] == pytest.approx(
            [probability for _, probability in one.ranking], abs=1e-6
        )
        assert image["fault"] is None
    assert [(one["width"], one["height"]) for one in images] == [(640, 427), (427, 640), (640, 427)]


def test_all_forms_of_a_request_have_the_same_answer(
    client: httpx2.Client, photograph: bytes
) -> None:
    text = base64.encodebytes(photograph).decode()  # with line feeds, as the program makes it
    named = {"name": "a.jpg", "data": text}
    answers = [
        client.post("/v1/predict", content=photograph, params={"name": "a.jpg"}),
        client.post("/v1/predict", files={"anything": ("a.jpg", photograph)}),
        client.post("/v1/predict", json={"images": [named]}),
        client.post(
            "/v1/predict",
            json={"images": [named | {"data": f"data:image/jpeg;base64,{text}"}]},
            params={"model": "tiny"},
        ),
    ]
    images = [one.json()["images"] for one in answers]
    assert images[0][0]["name"] == "a.jpg"
    assert all(one == images[0] for one in images)


def test_an_image_that_cannot_be_read_has_a_fault_and_the_others_are_answered(
    client: httpx2.Client, photograph: bytes
) -> None:
    large = as_file(Image.new("RGB", (1000, 601)), "PNG")
    files = [
        ("images", (name, data))
        for name, data in {
            "a.jpg": photograph,
            "half.jpg": photograph[: len(photograph) // 2],
            "text.png": b"not an image",
            "empty.png": b"",
            "large.png": large,
            "b.jpg": photograph,
        }.items()
    ]
    images = client.post("/v1/predict", files=files).json()["images"]
    assert [bool(one["fault"]) for one in images] == [False, True, True, True, True, False]
    assert images[0]["ranking"] == images[5]["ranking"]
    assert "601,000 pixels, more than the allowed 600,000" in images[4]["fault"]
    assert all(one["ranking"] == [] for one in images[1:5])
    assert not any("/" in one["fault"] or "<bytes>" in one["fault"] for one in images[1:5])


@pytest.mark.parametrize(
    ("request_", "status", "code", "said"),
    [
        ({"content": bytes(400_001)}, 413, "too-many-bytes", "400,000 bytes"),
        ({"content": iter([bytes(300_000)] * 2)}, 413, "too-many-bytes", "400,000 bytes"),
        ({"files": [("a", ("a", b"x"))] * 7}, 422, "too-many-images", "at most 6 images"),
        ({"json": {"images": ["eA=="] * 7}}, 422, "too-many-images", "got 7"),
        ({"content": b""}, 422, "no-images", "no image"),
        ({"json": {"images": []}}, 422, "no-images", "no image"),
        ({"json": {"pictures": []}}, 400, "bad-json", "images"),
        ({"json": {"images": [3]}}, 400, "bad-json", "images[0]"),
        ({"json": {"images": ["!"]}}, 400, "bad-base64", "images[0]"),
        (
            {"content": b"{", "headers": {"content-type": "application/json"}},
            400,
            "bad-json",
            "not JSON",
        ),
        (
            {"content": b"x", "headers": {"content-type": "multipart/form-data"}},
            400,
            "bad-multipart",
            "boundary",
        ),
        (
            {
                "content": b"x",
                "headers": {"content-type": "multipart/form-data; boundary=" + 300 * "b"},
            },
            400,
            "bad-multipart",
            "unusable boundary",
        ),
        (
            {"content": b"[" * 10**4, "headers": {"content-type": "application/json"}},
            422,
            "too-many-images",
            "at most 6 images",
        ),
        ({"content": b"x", "params": {"top": "0"}}, 422, "bad-parameter", "from 1 to 1000"),
        ({"content": b"x", "params": {"top": "²"}}, 422, "bad-parameter", "from 1 to 1000"),
        ({"content": b"x", "params": {"model": "tinyy"}}, 404, "no-such-model", "'tiny'?"),
    ],
)
def test_refusals(
    client: httpx2.Client, request_: dict[str, Any], status: int, code: str, said: str
) -> None:
    assert said in refusal(client.post("/v1/predict", **request_), status, code)


def test_unknown_addresses_and_methods_are_refused_as_json(client: httpx2.Client) -> None:
    refusal(client.get("/v1/nothing"), 404, "no-such-address")
    refusal(client.get("/../../etc/passwd"), 404, "no-such-address")
    refusal(client.get("/v1/predict"), 405, "wrong-method")
    refused = client.post("/healthz")
    refusal(refused, 405, "wrong-method")
    assert set(refused.headers["allow"].split(", ")) == {"GET", "HEAD"}


def test_answers_are_as_documented(client: httpx2.Client, photograph: bytes) -> None:
    document = client.get("/openapi.json").json()

    def check(response: httpx2.Response, name: str) -> None:
        schema = {**document["components"]["schemas"][name], "components": document["components"]}
        jsonschema.Draft202012Validator(schema).validate(response.json())

    check(client.post("/v1/predict", content=photograph), "PredictAnswer")
    check(client.post("/v1/predict", content=b"no image"), "PredictAnswer")
    check(client.get("/v1/models"), "ModelsAnswer")
    check(client.get("/v1/models/tiny"), "NamedModel")
    check(client.get("/v1/models/none"), "ErrorAnswer")
    check(client.get("/readyz"), "StateAnswer")
    listed = client.get("/v1/models").json()
    assert listed["limits"]["max_bytes"] == LIMITS.max_bytes
    assert [one["name"] for one in listed["models"]] == ["tiny", "held"]
    names = client.get("/v1/models/tiny").json()["class_names"]
    assert [one["class"] for one in names] == [f"class {number}" for number in range(7)]


def test_pages_load_nothing_from_elsewhere_and_forbid_it(client: httpx2.Client) -> None:
    for path in ("/", "/docs"):
        page = client.get(path)
        assert page.status_code == 200
        policy = page.headers["content-security-policy"]
        assert policy.startswith("default-src 'none'")
        assert "unsafe" not in policy
        assert "frame-ancestors 'none'" in policy
        assert "http://" not in page.text
        assert "https://" not in page.text
    assert "/v1/explain" in client.get("/docs").text


def test_metrics_count_requests_and_images(client: httpx2.Client, photograph: bytes) -> None:
    def count(line: str) -> float:
        found = [one for one in client.get("/metrics").text.splitlines() if one.startswith(line)]
        return float(found[0].rpartition(" ")[2]) if found else 0.0

    lines = (
        'verydeep_requests_total{route="predict",status="200"}',
        'verydeep_images_total{model="tiny",outcome="answered"}',
        'verydeep_images_total{model="tiny",outcome="unreadable"}',
    )
    before = [count(line) for line in lines]
    client.post("/v1/predict", files=[("a", photograph), ("b", photograph), ("c", b"x")])
    assert [count(line) - old for line, old in zip(lines, before, strict=True)] == [1, 2, 1]
    assert count("verydeep_ready ") == 1
    assert count("verydeep_images_pending ") == 0


def test_explain_draws_where_the_net_looked(
    client: httpx2.Client, served: ServedModel, photograph: bytes
) -> None:
    import torch

    from verydeep.inspection.attribution import grad_cam
    from verydeep.inspection.subject import Subjects

    answer = client.post("/v1/explain?show=map&class=class 3", content=photograph)
    drawn = Image.open(io.BytesIO(answer.content))
    assert (drawn.mode, drawn.size) == ("RGBA", (640, 427))
    assert answer.headers["x-verydeep-class"] == "class%203"
    # Opacity follows the map that verydeep explain draws.
    picture = Image.open(io.BytesIO(photograph)).convert("RGB")
    ((subject, _),) = Subjects(served.model, [picture], 32, label=3)
    heat = grad_cam(subject).heat
    expected = (heat / heat.max()).clamp(min=0).sqrt()
    small = np.asarray(drawn.resize((heat.shape[1], heat.shape[0]), Image.Resampling.BOX))[..., 3]
    found = torch.from_numpy(small.astype(np.float32)).flatten()
    assert float(torch.corrcoef(torch.stack([found, expected.flatten()]))[0, 1]) > 0.99

    overlay = client.post("/v1/explain", content=photograph)
    assert Image.open(io.BytesIO(overlay.content)).mode == "RGB"


@pytest.mark.parametrize(
    ("query", "content", "status", "code"),
    [
        ("show=all", None, 422, "bad-parameter"),
        ("show=boxes", None, 501, "no-boxes"),
        ("class=dog", None, 422, "bad-parameter"),
        ("layer=conv9_9", None, 422, "bad-parameter"),
        ("top=9", None, 422, "bad-parameter"),
        ("", b"no image", 422, "unreadable"),
    ],
)
def test_refusals_of_explain(
    client: httpx2.Client,
    photograph: bytes,
    query: str,
    content: bytes | None,
    status: int,
    code: str,
) -> None:
    message = refusal(
        client.post(f"/v1/explain?{query}", content=content or photograph), status, code
    )
    assert "--" not in message


def test_names_of_files_are_bounded_and_any_text(client: httpx2.Client, photograph: bytes) -> None:
    body = json.dumps({"images": [{"name": "\ud800" + 300 * "n", "data": "eA=="}]})
    answer = client.post(
        "/v1/predict", content=body, headers={"content-type": "application/json"}
    ).json()
    assert answer["images"][0]["name"] == "?" + 254 * "n"
