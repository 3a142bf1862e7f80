"""Multi-label models in the service: labels, thresholds, maps of several classes."""

from __future__ import annotations

import dataclasses
import io
from collections.abc import Iterator
from pathlib import Path

import httpx2
import jsonschema
import numpy as np
import pytest
from PIL import Image
from serving import as_file, labelled_served, random_served, serving

import verydeep
from verydeep.errors import ModelError
from verydeep.serve.explaining import colour
from verydeep.serve.models import ServedModel, load_models
from verydeep.system.settings import Compute

FP32 = Compute("cpu", "fp32", engine="torch")


@pytest.fixture(scope="module")
def labelled(photographs: list[Image.Image]) -> ServedModel:
    """A model that gives a photograph the likeliest and the least likely of 7 labels."""
    return labelled_served(photographs[0], [0, 6])


@pytest.fixture(scope="module")
def data(photographs: list[Image.Image]) -> bytes:
    return as_file(photographs[0], "PNG")


@pytest.fixture(scope="module")
def labels_client(labelled: ServedModel) -> Iterator[httpx2.Client]:
    """A client of a server with a multi-label model, and one of one class per image."""
    with (
        serving([labelled, random_served("single")]) as (address, _),
        httpx2.Client(base_url=address, timeout=30) as opened,
    ):
        yield opened


def test_labels_and_thresholds_are_those_of_predict(
    labels_client: httpx2.Client, labelled: ServedModel, data: bytes, photographs: list[Image.Image]
) -> None:
    (expected,) = labelled.model.predict(photographs[0])
    (image,) = labels_client.post("/v1/predict?top=2", content=data).json()["images"]
    titles = {name: labelled.model.title(k) for k, name in enumerate(labelled.model.classes)}
    assert [titles[name] for name in image["labels"]] == [*(expected.labels or ())]
    assert len(image["labels"]) == 2
    assert [one["title"] for one in image["ranking"]] == [name for name, _ in expected.ranking[:2]]
    thresholds = labelled.model.thresholds
    assert thresholds is not None
    limits = dict(zip(labelled.model.classes, thresholds.values, strict=True))
    assert [one["threshold"] for one in image["ranking"]] == pytest.approx(
        [limits[one["class"]] for one in image["ranking"]]
    )
    (broken,) = labels_client.post("/v1/predict", content=b"no image").json()["images"]
    assert broken["labels"] is None


def test_models_of_one_class_answer_as_before(labels_client: httpx2.Client, data: bytes) -> None:
    answer = labels_client.post("/v1/predict?model=single", content=data).json()
    (image,) = answer["images"]
    assert image["labels"] is None
    assert {*image["ranking"][0]} == {"class", "title", "probability"}
    kinds = {m["name"]: m["multi_label"] for m in labels_client.get("/v1/models").json()["models"]}
    assert kinds == {"labels": True, "single": False}


def test_labels_are_documented_and_counted(labels_client: httpx2.Client, data: bytes) -> None:
    document = labels_client.get("/openapi.json").json()
    answer = labels_client.post("/v1/predict", content=data).json()
    schemas = document["components"]["schemas"]
    whole = {**schemas["PredictAnswer"], "components": document["components"]}
    jsonschema.Draft202012Validator(whole).validate(answer)
    assert {*answer["images"][0]} == {*schemas["ImageAnswer"]["properties"]}
    assert {*answer["images"][0]["ranking"][0]} == {*schemas["RankedClass"]["properties"]}
    counts = labels_client.get("/metrics").text
    assert 'verydeep_images_total{model="labels",outcome="answered"}' in counts


def test_the_map_is_the_highest_of_those_of_the_labels(
    labels_client: httpx2.Client, data: bytes
) -> None:
    def opacity(query: str) -> tuple[str, np.ndarray]:
        answer = labels_client.post(f"/v1/explain?show=map{query}", content=data)
        drawn = Image.open(io.BytesIO(answer.content)).resize((80, 53), Image.Resampling.BOX)
        return answer.headers["X-Verydeep-Class"], np.asarray(drawn)[..., 3].astype(float)

    (image,) = labels_client.post("/v1/predict", content=data).json()["images"]
    names, together = opacity("")
    assert names == ",".join(name.replace(" ", "%20") for name in image["labels"])
    alone = [opacity(f"&class={name}")[1] for name in image["labels"]]
    assert np.abs(alone[0] - alone[1]).max() > 20
    np.testing.assert_allclose(together, np.max(alone, axis=0), atol=12)
    assert colour(np.ones((1, 1), np.float32)).getpixel((0, 0))[3] == together.max().round()


def test_without_labels_the_likeliest_class_is_mapped(
    photographs: list[Image.Image], data: bytes
) -> None:
    served = labelled_served(photographs[0], [])
    with (
        serving([served]) as (address, _),
        httpx2.Client(base_url=address, timeout=30) as client,
    ):
        (image,) = client.post("/v1/predict", content=data).json()["images"]
        drawn = client.post("/v1/explain", content=data)
    assert image["labels"] == []
    assert drawn.headers["X-Verydeep-Class"] == image["ranking"][0]["class"].replace(" ", "%20")


def test_exported_files_answer_with_the_same_labels(
    labelled: ServedModel, data: bytes, photographs: list[Image.Image], tmp_path: Path
) -> None:
    pytest.importorskip("onnxruntime", reason="onnxruntime is not installed")
    file = tmp_path / "net.onnx"
    photographs[0].save(tmp_path / "a.png")
    model = dataclasses.replace(labelled.model)
    verydeep.export(model, file, to="onnx", dense=True, pictures=tmp_path / "a.png")
    with (
        serving(load_models({"file": str(file)})) as (address, _),
        httpx2.Client(base_url=address, timeout=30) as client,
    ):
        (image,) = client.post("/v1/predict", content=data).json()["images"]
        refused = client.post("/v1/explain", content=data)
    (expected,) = labelled.model.predict(photographs[0])
    titles = {name: labelled.model.title(k) for k, name in enumerate(labelled.model.classes)}
    assert [titles[name] for name in image["labels"]] == [*(expected.labels or ())]
    assert refused.status_code == 501


def test_boxes_of_a_multi_label_model_are_refused(labelled: ServedModel, tmp_path: Path) -> None:
    labelled.model.save(tmp_path / "labels")
    with pytest.raises(ModelError, match="the boxes are of the one class of an image"):
        load_models({"a": str(tmp_path / "labels")}, boxes=[str(tmp_path)], compute=FP32)
