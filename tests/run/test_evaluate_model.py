"""Tests of loaded models: protocols with each model's own scales, and what they are tested on."""

from __future__ import annotations

import dataclasses
import shutil
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from PIL import Image
from progresses import Listening
from tiny import COLOURS, recipe, write_class_folders
from torchvision import transforms

import verydeep
from verydeep import Classifier
from verydeep.errors import DataError, InputError, ModelError
from verydeep.evaluation.protocol import NAMES, TestProtocol
from verydeep.evaluation.views import Center, Grid
from verydeep.models.preprocessing import Preprocessing
from verydeep.models.torchvision import Evaluation, TorchvisionClassifier
from verydeep.nets.vgg import vgg
from verydeep.run.testing.bench import set_up
from verydeep.run.testing.evaluate import evaluate, evaluate_all
from verydeep.run.training.tasks.classification import ClassificationTask
from verydeep.system.progress import Progress
from verydeep.system.settings import Compute

CPU = Compute("cpu", "fp32")
TORCHVISION = "torchvision/squeezenet1_1"


def protocol_for(model: Classifier, name: str, **how: Any) -> TestProtocol:
    return TestProtocol(name, **how).for_model(model)


def classifier(
    train_scale: tuple[int, int] = (32, 40), test_flip: bool = True, input_size: int = 32
) -> Classifier:
    return Classifier(
        net=vgg("A", 3, input_size=input_size, width=0.03, hidden=16).eval(),
        classes=tuple(sorted(COLOURS)),
        preprocessing=Preprocessing((120.0, 110.0, 100.0)),
        train_scale=train_scale,
        test_scales=(34, 45),
        test_flip=test_flip,
    )


def of_torchvision() -> TorchvisionClassifier:
    how = Evaluation(224, 232, (0.5, 0.5, 0.5), (0.5, 0.5, 0.5), "bilinear")
    net = torch.nn.Identity()
    return TorchvisionClassifier("resnet18", net, tuple("abc"), how, "random")


@pytest.fixture(scope="module")
def model(trained_run: Path) -> Classifier:
    return verydeep.load(trained_run, compute=CPU)


# ---- scales ----


@pytest.mark.parametrize(
    ("name", "scales"),
    [
        ("center", (34, 45)),
        ("dense", (34, 45)),
        ("crops", (34, 45)),
        ("both", (34, 45)),
        ("ten-crop", (37,)),
        ("googlenet", (37, 41, 46, 50)),
    ],
)
def test_without_scales_those_of_the_model_or_the_protocol_are_taken(
    name: str, scales: tuple[int, ...]
) -> None:
    protocol = protocol_for(classifier(), name)
    assert (protocol.name, protocol.scales) == (name, scales)


@pytest.mark.parametrize("name", NAMES)
@pytest.mark.parametrize(
    ("train_scale", "single", "multi"),
    [
        ((32, 40), (36,), (32, 36, 40)),  # jittered: lowest, middle and highest
        ((40, 40), (40,), (35, 40, 45)),  # fixed: a step of 32 at 224 down and up
        ((32, 32), (32,), (32, 37)),  # never below the input size
    ],
)
def test_the_papers_scales_follow_from_the_training_scale(
    train_scale: tuple[int, int], single: tuple[int, ...], multi: tuple[int, ...], name: str
) -> None:
    model = classifier(train_scale)
    assert protocol_for(model, name, scales="single").scales == single
    assert protocol_for(model, name, scales="multi").scales == multi


def test_at_224_the_papers_scales_are_those_of_its_tables() -> None:
    model = classifier(input_size=224, train_scale=(256, 512))
    assert protocol_for(model, "dense", scales="single").scales == (384,)
    assert protocol_for(model, "dense", scales="multi").scales == (256, 384, 512)
    fixed = classifier(input_size=224, train_scale=(384, 384))
    assert protocol_for(fixed, "dense", scales="multi").scales == (352, 384, 416)
    assert protocol_for(fixed, "ten-crop").scales == (256,)
    assert protocol_for(fixed, "googlenet").scales == (256, 288, 320, 352)


@pytest.mark.parametrize("name", NAMES)
@pytest.mark.parametrize("scales", [[33, 48], (40,)])
def test_given_scales_are_taken_as_they_are(name: str, scales: list[int]) -> None:
    assert protocol_for(classifier(), name, scales=scales).scales == tuple(scales)


def test_torchvisions_nets_have_the_scale_of_their_own_evaluation() -> None:
    net = of_torchvision()
    assert protocol_for(net, "dense").scales == (232,)
    assert protocol_for(net, "center", preset="torchvision").scales == (232,)
    assert protocol_for(net, "dense", scales="single").scales == (256,)
    assert protocol_for(net, "dense", scales="multi").scales == (224, 256, 288)
    assert protocol_for(net, "googlenet").scales == (256, 288, 320, 352)


@pytest.mark.parametrize(
    ("scales", "words"),
    [
        ("many", "scales must be single, multi or whole numbers, got 'many'"),
        ("36", "single, multi or whole numbers"),
        ([], "at least one test scale"),
        ([36, 36], "each test scale once"),
    ],
)
def test_other_scales_are_refused(scales: object, words: str) -> None:
    with pytest.raises(InputError, match=words):
        protocol_for(classifier(), "dense", scales=scales)


# ---- mirror images, presets, averages ----


@pytest.mark.parametrize("test_flip", [False, True])
@pytest.mark.parametrize("name", NAMES)
def test_without_a_word_mirror_images_are_shown_as_when_the_model_was_tested(
    name: str, test_flip: bool
) -> None:
    model = classifier(test_flip=test_flip)
    always = name in ("ten-crop", "googlenet")  # 10 and 144 views count them in
    assert protocol_for(model, name).flip == (always or test_flip)
    assert protocol_for(model, name, flip=True).flip
    assert not protocol_for(model, name, flip=False).flip


def test_torchvisions_preset_is_one_central_crop_at_its_scale() -> None:
    protocol = protocol_for(classifier(), "center", preset="torchvision")
    assert (protocol.scales, protocol.flip, protocol.preset) == ((37,), False, "torchvision")
    assert protocol.kinds == (Center(flip=False, half_even=True),)
    chosen = protocol_for(classifier(), "center", preset="torchvision", scales=[40], flip=True)
    assert (chosen.scales, chosen.flip) == ((40,), True)
    single = protocol_for(classifier(), "center", preset="torchvision", scales="single")
    assert single.scales == (36,)


def test_grid_and_average_are_handed_on() -> None:
    protocol = protocol_for(classifier(), "crops", grid=(2, 3), average="scores")
    assert protocol.kinds == (Grid(2, 3, flip=True),)
    assert (protocol.average, protocol.preset) == ("scores", "paper")


@pytest.mark.parametrize(
    ("name", "how", "words"),
    [
        ("dens", {}, "did you mean 'dense'"),
        ("dense", {"average": "score"}, "did you mean 'scores'"),
        ("center", {"preset": "torchvison"}, "did you mean 'torchvision'"),
        ("dense", {"preset": "torchvision"}, "central crop"),
        ("crops", {"grid": (0, 5)}, "got 0x5"),
    ],
)
def test_what_is_not_there_is_refused(name: str, how: dict, words: str) -> None:
    with pytest.raises(InputError, match=words):
        protocol_for(classifier(), name, **how)


# ---- models and images ----


def test_a_run_is_tested_on_its_own_test_split(trained_run: Path, pictures: Path) -> None:
    for source in (trained_run, str(trained_run), trained_run / "model", [trained_run]):
        bench = set_up(source, None, compute=CPU)
        assert (bench.split, bench.dataset.root) == ("test", pictures)
        assert len(bench.classifiers) == 1
        assert bench.classifiers[0].classes == tuple(sorted(COLOURS))
        assert len(bench.samples) == 12
        for sample in bench.samples:
            assert sample.path.parent.parent == pictures / "test"
            assert sample.path.parent.name == bench.classifiers[0].classes[sample.label]


def test_split_and_data_can_be_named(model: Classifier, pictures: Path, tmp_path: Path) -> None:
    train = set_up(model, pictures, split="train")
    assert (train.split, len(train.samples)) == ("train", 24)
    loose = set_up(model, write_class_folders(tmp_path / "loose", 2))
    assert (loose.split, len(loose.samples)) == ("all", 6)
    with pytest.raises(DataError, match="did you mean 'val'"):
        set_up(model, pictures, split="vall")


def test_loaded_models_are_taken_as_they_are(model: Classifier, pictures: Path) -> None:
    assert set_up(model, pictures).classifiers[0] is model
    assert [*map(id, set_up([model, model], pictures).classifiers)] == [id(model)] * 2


def test_device_and_precision_are_those_asked_for(trained_run: Path) -> None:
    for precision in ("fp32", "bf16"):
        (loaded,) = set_up(trained_run, None, compute=Compute("cpu", precision)).classifiers
        assert str(loaded.machine) == f"cpu, {precision}"


def test_torchvisions_nets_take_the_classes_of_the_models_beside_them(
    trained_run: Path, tmp_path: Path
) -> None:
    progress = Listening()
    bench = set_up([TORCHVISION, trained_run], None, progress=progress, compute=CPU)
    first, second = bench.classifiers
    assert isinstance(first, TorchvisionClassifier)
    assert isinstance(second, Classifier)
    assert first.classes == second.classes == tuple(sorted(COLOURS))
    assert progress.lines == ["torchvision's squeezenet1_1: weights random"]
    # On data that have not all of the model's classes, those of the model.
    two = write_class_folders(tmp_path / "two", 2, names=["green", "red"])
    bench = set_up([TORCHVISION, trained_run], two, compute=CPU)
    assert bench.classifiers[0].classes == bench.classifiers[1].classes
    assert {bench.classifiers[0].classes[sample.label] for sample in bench.samples} == {
        "green",
        "red",
    }


def test_torchvisions_nets_by_themselves_take_the_classes_of_the_data(tmp_path: Path) -> None:
    two = write_class_folders(tmp_path / "two", 2, names=["green", "red"])
    bench = set_up(TORCHVISION, two, compute=CPU)
    assert bench.classifiers[0].classes == ("green", "red")
    with pytest.raises(InputError, match="data="):
        set_up(TORCHVISION, None, compute=CPU)


def test_what_cannot_be_tested_is_refused(
    trained_run: Path, pictures: Path, tmp_path: Path
) -> None:
    with pytest.raises(InputError, match="at least one model"):
        set_up([], pictures)
    with pytest.raises(ModelError, match="no such folder"):
        set_up(tmp_path / "nowhere", pictures)
    with pytest.raises(ModelError, match="did you mean"):
        set_up("torchvision/resnet19", pictures)
    shutil.copytree(trained_run / "model", tmp_path / "alone")
    with pytest.raises(InputError, match="data="):
        set_up(tmp_path / "alone", None)


# ---- from end to end ----


def rescaled_twice(model: Classifier) -> Classifier:
    """Return a net that was trained at another scale, and answers otherwise."""
    preprocessing = Preprocessing((200.0, 90.0, 30.0), 100.0)
    return dataclasses.replace(
        model, train_scale=(48, 48), test_scales=(44,), preprocessing=preprocessing
    )


def test_every_model_is_tested_at_its_own_scales(model: Classifier, pictures: Path) -> None:
    other = rescaled_twice(model)
    for scales, own, others in (
        (None, model.test_scales, (44,)),
        ("single", (36,), (48,)),
        ("multi", (32, 36, 40), (43, 48, 53)),
    ):
        fused = evaluate([model, other], pictures, TestProtocol(scales=scales))
        assert fused.scales == tuple(sorted({*own, *others}))
        alone = [
            evaluate(model, pictures, TestProtocol(scales=own)),
            evaluate(other, pictures, TestProtocol(scales=others)),
        ]
        mean = sum(result.answers.posteriors.astype(np.float64) for result in alone) / 2
        np.testing.assert_allclose(fused.answers.posteriors, mean, rtol=0, atol=1e-6)


def test_torchvisions_preset_is_its_pipeline_picture_by_picture(
    model: Classifier, tmp_path: Path
) -> None:
    generator = np.random.default_rng(0)
    sizes = ((41, 60), (51, 40), (44, 44), (37, 90), (101, 77), (20, 31))
    for number, (height, width) in enumerate(sizes):
        folder = tmp_path / ("red", "green")[number % 2]
        folder.mkdir(exist_ok=True)
        pixels = generator.integers(0, 256, (height, width, 3), np.uint8)
        Image.fromarray(pixels).save(folder / f"{number}.png")
    result = evaluate(model, tmp_path, TestProtocol("center", preset="torchvision"))
    theirs = transforms.Compose([transforms.Resize(37), transforms.CenterCrop(32)])
    mean, divisor = np.float32(model.preprocessing.mean), np.float32(model.preprocessing.divisor)
    likely = []
    for name in result.answers.names:
        with Image.open(tmp_path / name) as image:
            x = torch.from_numpy((np.asarray(theirs(image), np.float32) - mean) / divisor)
        with torch.no_grad():
            likely.append(model.net(x.permute(2, 0, 1)[None]).double().softmax(1)[0])
    assert len(likely) == len(sizes)
    difference = result.answers.posteriors - torch.stack(likely).numpy()
    assert np.abs(difference).max() < 1e-5
    # Rounding as the paper's preset does moves some of these crops.
    ours = evaluate(model, tmp_path, TestProtocol("center", scales=[37], flip=False))
    difference = ours.answers.posteriors - torch.stack(likely).numpy()
    assert np.abs(difference).max() > 1e-3


def test_all_protocols_at_once_are_each_alone(model: Classifier, pictures: Path) -> None:
    models, how = [model, rescaled_twice(model)], {"grid": (2, 2), "average": "scores"}
    table = evaluate_all(models, pictures, TestProtocol(**how), split="val")
    rows = {row.letter: row.result for row in table.rows}
    assert len(rows) == 17
    for letter, which, name, scales in (
        ("a", models[:1], "dense", "single"),
        ("d", models[1:], "dense", "multi"),
        ("j", models, "crops", "multi"),
        ("k", models, "both", "multi"),
        ("m", models[1:], "center", "single"),
        ("n", models[:1], "ten-crop", None),
        ("q", models[1:], "googlenet", None),
    ):
        alone = evaluate(which, pictures, TestProtocol(name, scales, **how), split="val")
        assert rows[letter].loss == pytest.approx(alone.loss, rel=1e-6, abs=1e-6)
        for key in ("top1_error", "top5_error", "protocol", "scales", "flip", "steps", "split"):
            assert getattr(rows[letter], key) == getattr(alone, key)


@pytest.mark.parametrize(
    ("protocol", "names"),
    [("dense", ["center", "dense"]), ("crops", ["center", "dense", "crops"])],
)
def test_a_run_ends_with_the_center_the_dense_and_its_own_test(
    protocol: str, names: list[str], model: Classifier, pictures: Path
) -> None:
    how = ("test.scales=[33,40]", "test.flip=false", "test.grid=[2,3]", "test.average=scores")
    chosen = recipe(f"test.protocol={protocol}", "data.workers=0", *how)
    results = ClassificationTask(chosen, verydeep.read_dataset(pictures)).tests(model, Progress())
    assert [result.protocol for result in results] == names
    for result in results:
        assert (result.scales, result.flip, result.average) == ((33, 40), False, "scores")
        assert (result.split, result.images) == ("test", 12)
        settings = {"scales": [33, 40], "flip": False, "grid": (2, 3), "average": "scores"}
        alone = evaluate(model, pictures, TestProtocol(result.protocol, **settings))
        assert result.loss == pytest.approx(alone.loss, rel=1e-6)
