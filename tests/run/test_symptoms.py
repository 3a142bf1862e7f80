"""Mistakes of import, made on purpose, and what a test says about them."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from colour_nets import CLASSES, SIZE, colour_net, coloured_images
from PIL import Image
from progresses import Listening
from tiny import Outcome

from verydeep.evaluation.result import Answers, EvaluationResult
from verydeep.models.weights.convert import Pixels
from verydeep.models.weights.families import AUTHORS_MEAN, TORCHVISION_MEAN, TORCHVISION_STD
from verydeep.run.import_weights import import_weights
from verydeep.run.testing.class_order import reordered_wrong
from verydeep.run.testing.evaluate import evaluate
from verydeep.run.testing.preparations import Preparation, Reprepared, other_preparations
from verydeep.run.testing.symptoms import _spread
from verydeep.system.settings import Compute

ONE = (1.0, 1.0, 1.0)
TORCHVISION = {"mean": TORCHVISION_MEAN, "std": TORCHVISION_STD}
AUTHORS = {"mean": AUTHORS_MEAN, "std": ONE}


def try_import(
    path: Path, data: Any = None, *, classes: Any = CLASSES, **said: Any
) -> tuple[EvaluationResult, list[str]]:
    """Import weights with the facts that are said, and test them; return the warnings, too."""
    model = import_weights(path, classes=classes, resize=SIZE, **said).model
    log = Listening()
    result = evaluate(model, data or coloured_images(), "center", progress=log)
    return result, [line for line in log.lines if "mistake" in line]


@pytest.mark.parametrize("bgr", [False, True])
@pytest.mark.parametrize("trained", [TORCHVISION, AUTHORS])
def test_right_import(tmp_path: Path, bgr: bool, trained: dict[str, Any]) -> None:
    path = colour_net(tmp_path / "net.pth", bgr=bgr, **trained)
    result, warnings = try_import(path, channels="bgr" if bgr else "rgb", **trained)
    assert result.top1_error < 5
    assert not warnings
    assert not result.symptoms


@pytest.mark.parametrize("trained", [TORCHVISION, AUTHORS])
@pytest.mark.parametrize("bgr", [False, True])
def test_channels(tmp_path: Path, bgr: bool, trained: dict[str, Any]) -> None:
    path = colour_net(tmp_path / "net.pth", bgr=bgr, **trained)
    result, (warning,) = try_import(path, channels="rgb" if bgr else "bgr", **trained)
    right = "bgr" if bgr else "rgb"
    order = "blue, green, red" if bgr else "red, green, blue"
    assert result.top1_error > 20
    assert f"seem to read pixels in the order {order}" in warning
    assert f"import them again with channels='{right}', mean=(" in warning  # said, so said again
    (symptom,) = result.symptoms
    assert symptom["error"] == pytest.approx(result.top1_error)
    assert symptom["error_without"] == try_import(path, channels=right, **trained)[0].top1_error


WRONG = {
    "not divided": (TORCHVISION, AUTHORS),
    "divided": (AUTHORS, TORCHVISION),
    "from 0 to 1 alone": ({"mean": (0.0,) * 3, "std": (255.0,) * 3}, AUTHORS),
    "in units of 1": (
        {"mean": (60.0, 120.0, 180.0), "std": (120.0, 30.0, 60.0)},
        {"mean": (60 / 255, 120 / 255, 180 / 255), "std": (120 / 255, 30 / 255, 60 / 255)},
    ),
    "deviations forgotten": (TORCHVISION, {"mean": TORCHVISION_MEAN, "std": (255.0,) * 3}),
    "deviations made up": ({"mean": TORCHVISION_MEAN, "std": (255.0,) * 3}, TORCHVISION),
}


@pytest.mark.parametrize("name", WRONG)
def test_scale(tmp_path: Path, name: str) -> None:
    """The advice is what the net was made for."""
    trained, said = WRONG[name]
    path = colour_net(tmp_path / "net.pth", **trained)
    result, (warning,) = try_import(path, channels="rgb", **said)
    assert result.top1_error > 20
    assert result.symptoms[0]["error_without"] < 5
    advice = eval(f"dict({warning.partition('import them again with ')[2]})")
    assert advice.pop("channels") == "rgb"
    for key in ("mean", "std"):
        assert advice[key] == pytest.approx(trained[key], abs=0.01)
    assert try_import(path, **advice)[0].top1_error < 5


def test_two_mistakes(tmp_path: Path) -> None:
    """Weights of the authors taken for torchvision's: order of channels and scale are wrong."""
    path = colour_net(tmp_path / "net.pth", bgr=True, **AUTHORS)
    result, (warning,) = try_import(path)
    assert "not divided, in the order blue, green, red" in warning
    assert warning.endswith("channels='bgr', mean=(123.68,116.779,103.939), std=(1,1,1)")
    assert result.symptoms[0]["error_without"] < 5


def test_order_of_classes(tmp_path: Path) -> None:
    path = colour_net(tmp_path / "net.pth", **TORCHVISION)
    result, (warning,) = try_import(path, classes=[*CLASSES[3:], *CLASSES[:3]])
    assert result.top1_error > 90
    assert "the classes lie in another order than that of the outputs" in warning
    assert warning.endswith("in the order of the outputs, classes=NAMES")
    assert result.symptoms[0]["error_without"] < 5


def test_bad_net(tmp_path: Path) -> None:
    """A net that errs for another reason: no mistake of an import explains it."""
    path = colour_net(tmp_path / "net.pth", **TORCHVISION)
    state = torch.load(path)
    generator = torch.Generator().manual_seed(0)
    shape = state["classifier.weight"].shape
    state["classifier.weight"] = torch.randn(shape, generator=generator)
    torch.save(state, path)
    result, warnings = try_import(path, channels="rgb", **TORCHVISION)
    assert result.top1_error > 50
    assert not warnings


def test_few_images(tmp_path: Path) -> None:
    """Five images prove nothing, however wrong."""
    path = colour_net(tmp_path / "net.pth", **TORCHVISION)
    pixels, labels = coloured_images(5)
    assert not try_import(path, (pixels, labels), channels="bgr")[1]


def test_own_nets_are_left_alone(tmp_path: Path) -> None:
    """Without facts of an import there is nothing to doubt."""
    path = colour_net(tmp_path / "net.pth", **TORCHVISION)
    model = import_weights(path, classes=CLASSES, resize=SIZE, channels="bgr").model
    log = Listening()
    for source in (None, {}, {"facts": 3}, {"facts": {"mean": {"value": "x"}}}):
        model.source = source
        evaluate(model, coloured_images(40), "center", progress=log)
    assert not log.lines


def test_published_error_decides(tmp_path: Path) -> None:
    """With a published error, two points more are looked into; without one, 20 % are."""
    path = colour_net(tmp_path / "net.pth", **TORCHVISION)
    model = import_weights(path, classes=CLASSES, resize=SIZE, channels="bgr").model
    assert model.source is not None
    for published, warns in ((10.0, True), (95.0, False), (None, True)):
        model.source = {**model.source, "published": {"top1_error": published}}
        result = evaluate(model, coloured_images(), "center")
        assert bool(result.symptoms) is warns


def test_squashed_images(tmp_path: Path) -> None:
    """Images of one square size, where the published error is of images cut after scaling."""
    path = colour_net(tmp_path / "net.pth", **TORCHVISION)
    model = import_weights(path, classes=CLASSES, resize=SIZE + 8).model
    assert model.source is not None
    model.source = {**model.source, "published": {"top1_error": 1.0}}
    pixels, labels = coloured_images(60)
    random = np.random.default_rng(0).integers(0, 256, (30, SIZE, SIZE, 3))
    pixels[::2] = random  # errors that nothing explains
    log = Listening()
    evaluate(model, (pixels, labels), "center", progress=log)
    assert any("all images are 64x64; if they were squashed" in line for line in log.lines)


def test_program(tmp_path: Path, verydeep: Callable[..., Outcome]) -> None:
    """The warning names flags, and ``--json`` has the numbers."""
    pixels, labels = coloured_images(100)
    for number, (image, label) in enumerate(zip(pixels, labels, strict=True)):
        (tmp_path / "data" / label).mkdir(parents=True, exist_ok=True)
        Image.fromarray(image).save(tmp_path / "data" / label / f"{number}.png")
    (tmp_path / "names.txt").write_text("\n".join(CLASSES))
    net = colour_net(tmp_path / "net.pth", **TORCHVISION)
    said = ("--classes", tmp_path / "names.txt", "--resize", SIZE, "--channels", "bgr")
    verydeep("import", net, "--out", tmp_path / "model", *said)
    data = ("--data", tmp_path / "data", "--protocol", "center", "--json")
    outcome = verydeep("evaluate", tmp_path / "model", *data)
    assert "import them again with --channels rgb\n" in outcome.err
    (symptom,) = json.loads(outcome.out)["symptoms"]
    assert symptom["images"] == 100
    assert symptom["error"] > symptom["error_without"]


def test_reprepared_is_what_an_import_makes(tmp_path: Path) -> None:
    """Changed pixels give the scores of the net that an import with other facts makes."""
    path = colour_net(tmp_path / "net.pth", **TORCHVISION)
    exact = Compute("cpu", "fp32")
    model = import_weights(path, channels="rgb", resize=SIZE, compute=exact).model
    given = Preparation("", Pixels(False, *TORCHVISION.values()))
    images = torch.from_numpy(coloured_images(4)[0]).permute(0, 3, 1, 2)
    for other in other_preparations(given):
        facts = {"mean": other.pixels.mean, "std": other.pixels.std}
        channels = "bgr" if other.pixels.bgr else "rgb"
        again = import_weights(path, channels=channels, resize=SIZE, compute=exact, **facts).model
        ours = Reprepared(model, given, other).score_map(images.numpy())
        np.testing.assert_allclose(ours, again.score_map(images), rtol=1e-3, atol=1e-2)


def test_order_needs_images_to_judge_by() -> None:
    """Random answers agree with some order by chance, but not on other images."""
    labels = np.arange(200) % 50
    likely = np.random.default_rng(0).random((200, 50), np.float32)
    answers = Answers(("",) * 200, labels, likely, tuple(map(str, range(50))))
    masks = reordered_wrong(answers)
    assert masks is not None
    assert masks[1].mean() > 0.9


@pytest.mark.parametrize(("count", "most"), [(0, 4), (3, 4), (4, 4), (1000, 200)])
def test_images_are_spread(count: int, most: int) -> None:
    numbers = _spread(count, most)
    assert len(numbers) == min(count, most)
    assert numbers == sorted({*numbers})
    assert not numbers or (numbers[0] < count / len(numbers) and numbers[-1] < count)
    if count == 1000:
        assert len({number % 5 for number in numbers}) == 5
