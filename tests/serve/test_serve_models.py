"""Models of the service: boxes, central crops, names, what cannot be served."""

from __future__ import annotations

import io
from dataclasses import replace
from pathlib import Path
from typing import Any
from urllib.parse import unquote

import httpx2
import numpy as np
import pytest
import torch
from PIL import Image
from random_nets import random_classifier
from serving import as_file, labelled_served, random_served, serving

from verydeep.data.images.decode import decode
from verydeep.errors import InputError, ModelError
from verydeep.evaluation.abstention.abstention import Abstention
from verydeep.evaluation.abstention.conformal import ClassSets
from verydeep.evaluation.calibration import Calibration
from verydeep.localization.localizer import Localizer
from verydeep.localization.predict import localize
from verydeep.models.classifier import Classifier
from verydeep.models.prediction import Prediction
from verydeep.nets.vgg import vgg
from verydeep.serve.decoding import Decoded, decode_for
from verydeep.serve.models import Views, load_models
from verydeep.system.settings import Compute

FP32 = Compute("cpu", "fp32", engine="torch")


@pytest.fixture(scope="module")
def model() -> Classifier:
    made = random_classifier(name="A")
    made.titles = {"class 1": "The first"}
    return made


@pytest.fixture(scope="module")
def folder(model: Classifier, tmp_path_factory: pytest.TempPathFactory) -> Path:
    made = tmp_path_factory.mktemp("models") / "pets"
    model.save(made)
    return made


@pytest.fixture(scope="module")
def boxes(model: Classifier) -> Localizer:
    torch.manual_seed(1)
    net = vgg("A", 4, input_size=32, width=0.03).eval()
    torch.nn.init.constant_(net.classifier.fc8.bias, 0.5)
    common = {
        name: getattr(model, name)
        for name in ("classes", "preprocessing", "train_scale", "machine")
    }
    return Localizer(net=net, per_class=False, test_scales=(48,), **common)


def test_boxes_are_those_of_predict(
    model: Classifier,
    folder: Path,
    boxes: Localizer,
    photographs: list[Image.Image],
    tmp_path: Path,
) -> None:
    boxes.save(tmp_path / "boxes")
    served = load_models({"pets": str(folder)}, boxes=[str(tmp_path / "boxes")], compute=FP32)
    (expected,) = localize(model, boxes, photographs[0])
    with (
        serving(served) as (address, _),
        httpx2.Client(base_url=address, timeout=30) as client,
    ):
        data = as_file(photographs[0], "PNG")
        (image,) = client.post("/v1/predict?top=3", content=data).json()["images"]
        titles = [name for name, _ in expected.ranking[:3]]
        assert [one["title"] for one in image["ranking"]] == titles
        assert [one["class"] for one in image["boxes"]] == [
            one["class"] for one in image["ranking"]
        ]
        for found, box in zip(image["boxes"], expected.boxes[:3], strict=True):
            assert box is not None
            assert found["box"] == pytest.approx(list(box), abs=1e-3)
        for show in ("boxes", "overlay"):
            answer = client.post(f"/v1/explain?show={show}", content=data)
            drawn = np.asarray(Image.open(io.BytesIO(answer.content)).convert("RGB"), int)
            assert drawn.shape == (427, 640, 3)
            orange = np.abs(drawn - [230, 159, 0]).sum(2) == 0  # the colour of a found box
            assert orange.sum() > 500


def test_probabilities_beside_boxes_are_calibrated_as_those_without(
    model: Classifier, boxes: Localizer, photographs: list[Image.Image], tmp_path: Path
) -> None:
    fitted = Calibration(3.0, "val", "dense", 10, 1.0, 0.9)
    tempered = replace(model, calibration=fitted)
    tempered.test_scales = boxes.test_scales
    tempered.save(tmp_path / "pets")
    boxes.save(tmp_path / "boxes")
    places = {"pets": str(tmp_path / "pets")}
    expected = tempered.predict_proba(photographs[0])[0]
    for regressors in ([], [str(tmp_path / "boxes")]):
        (served,) = load_models(places, boxes=regressors, compute=FP32)
        decoded = decode_for(as_file(photographs[0], "PNG"), served.plan)
        assert isinstance(decoded, Decoded)
        assert served.info().calibrated
        (answer,) = served.answer([decoded], 4)
        found = {one.class_name: one.probability for one in answer.ranking}
        assert [found[name] for name in model.classes] == pytest.approx(expected.tolist(), abs=1e-5)
    (beside,) = localize(tempered, boxes, photographs[0])
    assert [p for _, p in beside.ranking] == pytest.approx(sorted(expected, reverse=True), abs=1e-5)


def test_a_named_class_is_explained_with_its_own_box(
    model: Classifier, folder: Path, photographs: list[Image.Image], tmp_path: Path
) -> None:
    torch.manual_seed(4)
    net = vgg("A", 16, input_size=32, width=0.03).eval()
    corners = [0.1, 0.1, 0.4, 0.4, 0.5, 0.1, 0.9, 0.5, 0.1, 0.5, 0.4, 0.9, 0.5, 0.5, 0.9, 0.9]
    with torch.no_grad():
        net.classifier.fc8.bias.copy_(torch.tensor(corners))
    common = {
        name: getattr(model, name)
        for name in ("classes", "preprocessing", "train_scale", "machine")
    }
    regressor = Localizer(net=net, per_class=True, test_scales=(48,), **common)
    regressor.save(tmp_path / "boxes")
    (served,) = load_models({"a": str(folder)}, boxes=[str(tmp_path / "boxes")], compute=FP32)
    (expected,) = localize(model, regressor, photographs[0])
    last = expected.ranking[-1][0]
    likeliest, named = expected.boxes[0], expected.boxes[-1]
    assert likeliest is not None
    assert named is not None
    assert abs(likeliest.x0 - named.x0) > 20
    data = as_file(photographs[0], "PNG")
    with (
        serving([served]) as (address, _),
        httpx2.Client(base_url=address, timeout=30) as client,
    ):
        answer = client.post("/v1/explain", params={"class": last}, content=data)
    drawn = np.asarray(Image.open(io.BytesIO(answer.content)).convert("RGB"), int)
    rows, columns = np.nonzero(np.abs(drawn - [230, 159, 0]).sum(2) == 0)
    # Its label, above the box, may be wider than it.
    assert (columns.min(), rows.max()) == pytest.approx((named.x0, named.y1), abs=8)
    labels = [model.title(label) for label in range(4)]
    about = served.answer_about(decode_for(data, served.plan), labels.index(last))
    assert about.ranking[0].probability == pytest.approx(expected.ranking[-1][1], abs=1e-5)


def test_the_class_explained_is_the_one_that_predict_ranks_first(
    photographs: list[Image.Image], tmp_path: Path
) -> None:
    """Two classes are about as likely: the smallest scale prefers one, all scales the other."""
    scales = (32, 64, 96)

    def lifted(by: float) -> Classifier:
        model = random_classifier(name="A", num_classes=2)
        with torch.no_grad():
            model.net.classifier.fc8.bias[1] += by
        return model

    def lead(model: Classifier, *scales: int) -> float:
        likely = model.predict_proba(photographs[0], scales=scales)[0]
        return float(np.log(likely[0] / likely[1]))

    model = lifted((lead(lifted(0), 32) + lead(lifted(0), *scales)) / 2)
    assert lead(model, 32) * lead(model, *scales) < 0
    model.save(tmp_path / "pets")
    served = load_models({"pets": str(tmp_path / "pets")}, views=Views(scales), compute=FP32)
    data = as_file(photographs[0], "PNG")
    with (
        serving(served) as (address, _),
        httpx2.Client(base_url=address, timeout=30) as client,
    ):
        (image,) = client.post("/v1/predict", content=data).json()["images"]
        answer = client.post("/v1/explain?show=map", content=data)
    assert image["ranking"][0]["class"] == f"class {int(lead(model, *scales) < 0)}"
    assert unquote(answer.headers["X-Verydeep-Class"]) == image["ranking"][0]["class"]


def test_the_central_crop_is_the_mean_over_its_mirror_image(
    model: Classifier, folder: Path, photographs: list[Image.Image]
) -> None:
    (served,) = load_models({"pets": str(folder)}, views=Views((40,), center=True), compute=FP32)
    data = as_file(photographs[1])
    decoded = decode_for(data, served.plan)
    assert isinstance(decoded, Decoded)
    (answer,) = served.answer([decoded], 4)
    picture = decode(data)
    small = np.asarray(picture.resize((60, 40), Image.Resampling.BILINEAR))[4:36, 14:46]
    crops = np.stack([small, small[:, ::-1]]).transpose(0, 3, 1, 2)
    scores = torch.from_numpy(model.score_map(np.ascontiguousarray(crops))[..., 0, 0])
    likely = scores.softmax(1).mean(0).sort(descending=True)
    assert [one.probability for one in answer.ranking] == pytest.approx(
        likely.values.tolist(), abs=1e-5
    )
    assert [one.class_name for one in answer.ranking] == [
        f"class {label}" for label in likely.indices.tolist()
    ]


def test_a_model_that_abstains_says_so(monkeypatch: pytest.MonkeyPatch) -> None:
    served = random_served()
    served.model.titles = {"class 1": "The first"}
    sets = ClassSets(0.2, 90.0, 100, 2.0)
    served.model.abstention = Abstention("val", str(served.how), sets=sets)
    served = type(served)("tiny", served.model, served.how)

    unsure = Prediction(
        None,
        (),
        probabilities=np.full(4, 0.25, np.float32),
        abstained=True,
        reason="unlike the training images",
        class_set=("The first", "class 2"),
        class_set_names=("class 1", "class 2"),
    )

    def predict(tested: Any, how: Any, *, top: int) -> list[Prediction]:
        return [unsure for _ in tested]

    monkeypatch.setattr(served.model, "predict_tested", predict)
    decoded = decode_for(as_file(Image.new("RGB", (40, 40))), served.plan)
    (answer,) = served.answer([decoded], 2)
    value = answer.model_dump(by_alias=True)
    assert (value["abstained"], value["reason"]) == (True, "unlike the training images")
    assert (value["set"], value["coverage"]) == (["class 1", "class 2"], 90.0)


def test_classes_of_one_title_are_told_apart(photographs: list[Image.Image]) -> None:
    served = labelled_served(photographs[0], [0, 6])
    served.model.titles = dict.fromkeys(served.model.classes, "crane")  # as two of ILSVRC's
    decoded = decode_for(as_file(photographs[0], "PNG"), served.plan)
    (answer,) = served.answer([decoded], 7)
    reached = [k.class_name for k in answer.ranking if k.probability >= (k.threshold or 0)]
    assert answer.labels == reached
    assert len({*reached}) == 2

    single = random_served()
    single.model.titles = dict.fromkeys(single.model.classes, "crane")
    # No probability is so low that the class is left out.
    sets = ClassSets(0.0, 90.0, 100, 4.0)
    single.model.abstention = Abstention("val", str(single.how), sets=sets)
    (answer,) = single.answer([decode_for(as_file(photographs[0], "PNG"), single.plan)], 4)
    assert answer.class_set == [one.class_name for one in answer.ranking]


def test_weights_do_not_depend_on_their_file(
    folder: Path, boxes: Localizer, tmp_path: Path
) -> None:
    boxes.save(tmp_path / "boxes")
    served = load_models(
        {"one": str(folder)}, boxes=[str(tmp_path / "boxes")], compute=Compute("cpu", "fp32")
    )
    mapped = Path("/proc/self/maps").read_text()
    assert served[0].explains
    assert str(folder) not in mapped
    assert str(tmp_path) not in mapped


def test_models_that_name_no_images_are_refused(folder: Path, tmp_path: Path) -> None:
    random_classifier(name="A", dimensions=3, channels=1).save(tmp_path / "volumes")
    with pytest.raises(ModelError, match="the net is for volumes, and the service is for images"):
        load_models({"a": str(tmp_path / "volumes")}, compute=FP32)
    with pytest.raises(InputError, match="looks at whole images"):
        load_models({"a": str(folder)}, boxes=[str(folder)], views=Views(center=True), compute=FP32)
    with pytest.raises(InputError, match="scale"):
        load_models({"a": str(folder)}, views=Views((8,)), compute=FP32)


def test_an_engine_is_chosen_for_a_long_job_but_none_is_compiled(
    folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    asked: list[float] = []
    monkeypatch.setattr(
        "verydeep.models.trained_net.fastest_engine",
        lambda model, pixels, progress, shapes_vary: asked.append(pixels) or model.eager,
    )
    for products in (1e3, 20e9):  # multiply-adds of a second
        monkeypatch.setattr(
            "verydeep.models.engines.choice.eager_seconds",
            lambda model, pixels, products=products: pixels * products / 20e9,
        )
        load_models({"a": str(folder)}, compute=Compute("cpu", "fp32"))
    views = 2 * 32 * 43  # a photograph and its mirror image at Q = 32
    assert asked == [1000 * views, pytest.approx(540)]
