"""A test of one image, view by view, against the test itself and against naive means."""

from __future__ import annotations

import dataclasses
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from PIL import Image, ImageOps
from tiny import COLOURS, strict_json
from torch import Tensor, nn

import verydeep
from verydeep import Classifier
from verydeep.data.geometry import View
from verydeep.data.samples import Sample
from verydeep.errors import InputError, ModelError, PictureError
from verydeep.evaluation.evaluate import evaluate_samples
from verydeep.evaluation.protocol import NAMES, TestProtocol
from verydeep.evaluation.walkthrough import Explanation, Stage, explain
from verydeep.models.preprocessing import Preprocessing
from verydeep.models.torchvision import Evaluation, TorchvisionClassifier
from verydeep.run.testing.walkthrough import explain_test
from verydeep.system.files import write_json
from verydeep.system.settings import Compute

CPU = Compute("cpu", "fp32")
AVERAGES = ("paper", "scores", "posteriors")


@pytest.fixture(scope="module")
def model(trained_run: Path) -> Classifier:
    """A net that is not sure of everything."""
    loaded = verydeep.load(trained_run, compute=CPU)
    return dataclasses.replace(loaded, preprocessing=Preprocessing((140.0, 80.0, 170.0), 90.0))


@pytest.fixture(scope="module")
def other(model: Classifier) -> Classifier:
    return dataclasses.replace(model, preprocessing=Preprocessing((90.0, 120.0, 130.0), 100.0))


@pytest.fixture(scope="module")
def picture(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """An image of 61x44 whose halves have other colours: no two views look the same."""
    pixels = np.random.default_rng(4).normal(0, 40, (44, 61, 3))
    pixels[:, :35] += COLOURS["red"]
    pixels[:, 35:] += COLOURS["blue"]
    pixels[30:] += (0, 90, 0)
    path = tmp_path_factory.mktemp("explained") / "picture.png"
    Image.fromarray(pixels.clip(0, 255).astype(np.uint8)).save(path)
    return path


def protocol(name: str, scales: tuple[int, ...] = (40, 52), **how: Any) -> TestProtocol:
    return TestProtocol(name, scales, grid=(2, 3), **{"flip": True, **how})


def shown(stage: Stage, view: View) -> Tensor:
    """Return the pixels of a view, cut out by Pillow."""
    top, left, height, width = view.window
    image = Image.fromarray(stage.pixels).crop((left, top, left + width, top + height))
    if view.side:
        image = image.resize((view.side, view.side), Image.Resampling.BILINEAR)
    image = ImageOps.mirror(image) if view.flip else image
    return torch.from_numpy(np.array(image)).permute(2, 0, 1)[None]


def naive(model: Classifier, stage: Stage, average: str) -> list[np.ndarray]:
    """Return what is averaged of every view of a stage, in float64."""
    answers = []
    for glance in stage.glances:
        scores = model.score_map(shown(stage, glance.view))[0].double()
        assert tuple(scores.shape[1:]) == glance.map_size
        if average == "posteriors":
            answers.append(scores.softmax(0).mean((1, 2)).numpy())
        else:
            mean = scores.mean((1, 2))
            answers.append((mean.softmax(0) if average == "paper" else mean).numpy())
    return answers


def finish(answer: np.ndarray, average: str) -> np.ndarray:
    return np.exp(answer) / np.exp(answer).sum() if average == "scores" else answer


# ---- the same numbers as the test ----


@pytest.mark.parametrize("average", AVERAGES)
@pytest.mark.parametrize("name", NAMES)
def test_the_end_is_the_posterior_of_the_test(
    name: str, average: str, model: Classifier, picture: Path
) -> None:
    how = protocol(name, average=average)
    result = evaluate_samples([model], [Sample(picture, 0)], how, workers=0)
    found = explain([model], [how], picture)
    assert np.allclose(found.likely, result.answers.posteriors[0], atol=1e-6)
    assert 0.01 < float(found.likely.max()) < 0.999
    assert (found.steps, found.classes) == (result.steps, model.classes)
    assert found.source == picture
    assert sum(len(stage.glances) for stage in found.stages) == result.views


@pytest.mark.parametrize("average", AVERAGES)
@pytest.mark.parametrize("name", NAMES)
def test_every_stage_is_the_mean_of_its_views(
    name: str, average: str, model: Classifier, picture: Path
) -> None:
    found = explain([model], [protocol(name, average=average)], picture)
    means = []
    for stage in found.stages:
        answers = naive(model, stage, average)
        for glance, answer in zip(stage.glances, answers, strict=True):
            assert np.allclose(glance.likely, finish(answer, average), atol=1e-5)
            assert float(glance.likely.sum()) == pytest.approx(1, abs=1e-5)
        means.append(np.mean(answers, 0))
        assert np.allclose(stage.likely, finish(means[-1], average), atol=1e-5)
    assert np.allclose(found.likely, finish(np.mean(means, 0), average), atol=1e-5)


def test_each_stage_is_a_test_of_its_own(model: Classifier, picture: Path) -> None:
    found = explain([model], [protocol("both")], picture)
    assert [(s.kind, s.scale) for s in found.stages] == [
        *(("dense", 40), ("grid", 40), ("dense", 52), ("grid", 52)),
    ]
    for stage in found.stages:
        name = {"dense": "dense", "grid": "crops"}[stage.kind]
        alone = protocol(name, (stage.scale,))
        result = evaluate_samples([model], [Sample(picture, 0)], alone, workers=0)
        assert np.allclose(stage.likely, result.answers.posteriors[0], atol=1e-6)


def test_several_nets_have_their_stages_one_after_the_other(
    model: Classifier, other: Classifier, picture: Path
) -> None:
    how = [protocol("dense", (40, 52)), protocol("dense", (33,))]
    found = explain([model, other], how, picture)
    assert [stage.scale for stage in found.stages] == [40, 52, 33]
    result = evaluate_samples([model, other], [Sample(picture, 0)], how, workers=0)
    assert np.allclose(found.likely, result.answers.posteriors[0], atol=1e-6)
    # Nets weigh the same, however many scales they have.
    first, second, third = (stage.likely for stage in found.stages)
    assert np.allclose(found.likely, (first + second) / 4 + third / 2, atol=1e-6)


def test_torchvisions_preset_is_explained_as_it_is_tested(model: Classifier, picture: Path) -> None:
    for scale in (41, 42, 43):  # 56.84, 58.23 and 59.61 pixels wide
        how = protocol("center", (scale,), preset="torchvision", flip=False)
        found = explain([model], [how], picture)
        assert found.stages[0].pixels.shape == (scale, int(61 * scale / 44), 3)
        result = evaluate_samples([model], [Sample(picture, 0)], how, workers=0)
        assert np.allclose(found.likely, result.answers.posteriors[0], atol=1e-6)


# ---- windows and maps ----


def test_a_dense_view_is_the_whole_picture_with_a_map_of_every_position(
    model: Classifier, picture: Path
) -> None:
    found = explain([model], [protocol("dense", (32, 64, 96))], picture)
    assert [stage.pixels.shape for stage in found.stages] == [
        *((32, 44, 3), (64, 89, 3), (96, 133, 3)),
    ]
    maps = [(1, 1), (2, 2), (3, 4)]  # a position every 32 pixels of 32 each
    for stage, size in zip(found.stages, maps, strict=True):
        height, width, _ = stage.pixels.shape
        assert [tuple(glance.view.window) for glance in stage.glances] == [
            (0, 0, height, width)
        ] * 2
        assert [glance.view.flip for glance in stage.glances] == [False, True]
        assert {glance.map_size for glance in stage.glances} == {size}


@pytest.mark.parametrize("name", ["center", "crops", "ten-crop", "googlenet"])
def test_crops_are_of_the_nets_size_and_have_one_position(
    name: str, model: Classifier, picture: Path
) -> None:
    for stage in explain([model], [protocol(name)], picture).stages:
        height, width, _ = stage.pixels.shape
        for glance in stage.glances:
            top, left, h, w = glance.view.window
            assert glance.view.shown == (32, 32)
            assert glance.map_size == (1, 1)
            assert 0 <= top <= top + h <= height
            assert 0 <= left <= left + w <= width


def test_without_mirror_images_there_are_none(model: Classifier, picture: Path) -> None:
    found = explain([model], [protocol("both", flip=False)], picture)
    assert not any(glance.view.flip for stage in found.stages for glance in stage.glances)
    assert [len(stage.glances) for stage in found.stages] == [1, 6, 1, 6]


def test_a_picture_in_memory_has_no_file(model: Classifier, picture: Path) -> None:
    with Image.open(picture) as image:
        found = explain([model], [protocol("center")], image.convert("RGB"))
    assert found.source is None
    assert found.to_dict()["file"] is None
    from_file = explain([model], [protocol("center")], picture)
    assert np.array_equal(found.likely, from_file.likely)


def test_the_plain_values_say_the_same_and_can_be_written(
    model: Classifier, picture: Path, tmp_path: Path
) -> None:
    found = explain([model], [protocol("googlenet")], picture)
    write_json(tmp_path / "e.json", found.to_dict())
    value = strict_json((tmp_path / "e.json").read_text("utf-8"))
    assert value == found.to_dict()
    assert value["file"] == str(picture)
    assert value["class"] == model.classes[int(found.likely.argmax())]
    assert value["probability"] == pytest.approx(float(found.likely.max()))
    assert len(value["stages"]) == len(found.stages) == 2
    for plain, stage in zip(value["stages"], found.stages, strict=True):
        assert (plain["model"], plain["kind"], plain["scale"]) == ("A", "googlenet", stage.scale)
        assert plain["rescaled"] == [*stage.pixels.shape[:2]]
        assert plain["probability"] == pytest.approx(float(stage.likely.max()))
        assert len(plain["views"]) == 36
        for view, glance in zip(plain["views"], stage.glances, strict=True):
            assert View(tuple(view["window"]), view["flip"], glance.view.side) == glance.view
            assert (view["shown"], view["map"]) == ([32, 32], [1, 1])
            assert view["class"] == model.classes[int(glance.likely.argmax())]


# ---- faults ----


def test_a_picture_that_is_broken_is_refused_by_name(model: Classifier, tmp_path: Path) -> None:
    path = tmp_path / "broken.png"
    path.write_bytes(b"this is no image")
    with pytest.raises(PictureError, match=r"broken\.png"):
        explain([model], [protocol("dense")], path)
    with pytest.raises(PictureError, match=r"gone\.png"):
        explain([model], [protocol("dense")], tmp_path / "gone.png")


def test_a_scale_below_the_nets_size_is_refused(model: Classifier, picture: Path) -> None:
    with pytest.raises(InputError, match="at least 32"):
        explain([model], [protocol("dense", (40, 31))], picture)


def test_nets_of_other_classes_are_refused_as_in_a_test(model: Classifier, picture: Path) -> None:
    renamed = dataclasses.replace(model, classes=("x", "y", "z"))
    with pytest.raises(InputError, match="same classes"):
        explain([model, renamed], [protocol("dense")] * 2, picture)


def test_a_net_of_one_size_is_refused_densely_as_in_a_test(picture: Path) -> None:
    how = Evaluation(224, 256, (0.5, 0.5, 0.5), (0.5, 0.5, 0.5), "bilinear")
    net = TorchvisionClassifier("vit_b_16", nn.Identity(), ("a",), how, "random")
    with pytest.raises(InputError, match="takes images of 224 pixels only"):
        explain([net], [TestProtocol("dense", (256,), flip=True)], picture)


# ---- by the names of files ----


def explained(*arguments: Any, **how: Any) -> Explanation:
    return explain_test(*arguments, **how, compute=CPU)


def test_without_a_picture_it_is_the_first_of_the_split(trained_run: Path, pictures: Path) -> None:
    for split in ("test", "val"):
        found = explained(trained_run, split=split)
        assert found.source == sorted((pictures / split / "blue").iterdir())[0]
    assert explained(trained_run).source == explained(trained_run, split="test").source


def test_a_picture_needs_no_data(trained_run: Path, picture: Path, tmp_path: Path) -> None:
    alone = tmp_path / "alone"
    alone.symlink_to(trained_run / "model")
    found = explained(alone, picture=picture)
    assert found.source == picture
    (prediction,) = verydeep.load(trained_run, compute=CPU).predict(picture)
    assert found.guess(found.likely) == (prediction.label, pytest.approx(prediction.ranking[0][1]))
    with pytest.raises(InputError, match="data="):
        explained(alone)


def test_the_picture_of_the_views_is_written_where_asked_for(
    trained_run: Path, picture: Path, tmp_path: Path
) -> None:
    explained(trained_run, picture=picture, protocol="both", out=tmp_path / "a" / "b")
    assert [path.name for path in (tmp_path / "a" / "b").iterdir()] == ["views.png"]
    with Image.open(tmp_path / "a" / "b" / "views.png") as image:
        assert image.format == "PNG"
        image.load()


def test_torchvisions_nets_are_explained_too(pictures: Path) -> None:
    found = explained("torchvision/squeezenet1_1", pictures)
    (first, second) = found.stages[0].glances
    assert found.stages[0].pixels.shape[0] == 256 or found.stages[0].pixels.shape[1] == 256
    assert first.map_size == second.map_size == (1, 1)
    assert found.classes == ("blue", "green", "red")


def test_what_is_not_there_is_refused(trained_run: Path, picture: Path, tmp_path: Path) -> None:
    with pytest.raises(PictureError, match="no such file"):
        explained(trained_run, picture=tmp_path / "nowhere.png")
    with pytest.raises(PictureError, match="no such file"):
        explained(trained_run, picture=tmp_path)
    with pytest.raises(InputError, match="at least one model"):
        explained([], picture=picture)
    with pytest.raises(InputError, match="at least one model"):
        explained([])
    with pytest.raises(ModelError, match="no such folder"):
        explained(tmp_path / "no run", picture=picture)
    with pytest.raises(InputError, match="must be one of"):
        explained(trained_run, protocol="all", picture=picture)
