"""A test in words: how many views, which averages in which order, whose scales."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from verydeep.cli.text.results import mirrors_as_text
from verydeep.evaluation.description import (
    steps,
    views_a_picture,
    views_a_scale,
    way_of_testing,
)
from verydeep.evaluation.protocol import NAMES, TestProtocol
from verydeep.evaluation.views import Center, Dense, GoogLeNetCrops, Grid, TenCrop, Views

THREE = (256, 384, 512)


@dataclass
class Net:
    """All that a step wants to know of a net."""

    name: str = "D"
    input_size: int = 224
    density: str = "as convolutions"
    dimensions: int = 2
    interpolation: str = "bilinear"


# ---- how many views ----


@pytest.mark.parametrize(
    ("kind", "count"),
    [
        (Dense(), 2),
        (Dense(flip=False), 1),
        (Center(), 2),
        (Center(flip=False, half_even=True), 1),
        (Grid(), 50),
        (Grid(flip=False), 25),
        (Grid(100, 1), 200),
        (TenCrop(), 10),
        (TenCrop(flip=False), 5),
        (GoogLeNetCrops(), 36),
        (GoogLeNetCrops(flip=False), 18),
    ],
)
def test_views_a_scale_are_those_that_any_picture_has(kind: Views, count: int) -> None:
    assert views_a_scale(kind) == count
    for height, width in ((224, 224), (256, 341), (500, 256), (224, 4480)):
        assert len(kind(height, width, 224)) == count


@pytest.mark.parametrize(
    ("name", "scales", "count"),
    [
        ("center", (256,), 2),
        ("dense", (384,), 2),
        ("dense", THREE, 6),
        ("crops", (384,), 50),
        ("crops", THREE, 150),  # "50 crops a scale, 150 over three scales", section 3.2
        ("both", (384,), 52),
        ("both", THREE, 156),
        ("ten-crop", (256,), 10),
        ("googlenet", (256, 288, 320, 352), 144),
    ],
)
def test_a_picture_is_shown_as_often_as_the_papers_say(
    name: str, scales: tuple[int, ...], count: int
) -> None:
    assert views_a_picture([TestProtocol(name, scales, flip=True)]) == count
    assert 2 * views_a_picture([TestProtocol(name, scales, flip=False)]) == count


def test_the_views_of_several_nets_add_up() -> None:
    dense, both = TestProtocol("dense", (256,), flip=True), TestProtocol("both", THREE, flip=True)
    assert views_a_picture([dense, both, both]) == 2 + 156 + 156
    assert views_a_picture([]) == 0


@given(
    st.sampled_from(NAMES),
    st.sets(st.integers(32, 600), min_size=1, max_size=4),
    st.booleans(),
    st.tuples(st.integers(1, 6), st.integers(1, 6)),
)
def test_the_steps_name_every_view_that_is_counted(
    name: str, scales: set[int], flip: bool, grid: tuple[int, int]
) -> None:
    protocol = TestProtocol(name, sorted(scales), flip=flip, grid=grid)
    named = [
        int(step.split(": ")[-1].removesuffix(" a scale"))
        for step in steps([Net()], [protocol])
        if step.startswith("views: ")
    ]
    assert len(named) == len(protocol.kinds)
    assert len(scales) * sum(named) == views_a_picture([protocol])


# ---- the words ----


def test_the_papers_best_test_of_one_net() -> None:
    assert steps([Net()], [TestProtocol("both", THREE, flip=True)]) == (
        "rescale: smallest side to Q = 256, 384, 512 pixels, longer side in proportion, to the "
        "nearest pixel; bilinear, antialiased",
        "views: the whole image, with mirror images: 2 a scale",
        "views: 5x5 crops of 224x224 on a regular grid, with mirror images: 50 a scale",
        "answers densely: as convolutions",
        "scores averaged over the positions of a map, before the softmax",
        "softmax",
        "posteriors averaged over mirror images, then crops, then dense and crops, then scales",
    )


def test_the_plainest_test_has_nothing_to_average() -> None:
    assert steps([Net(input_size=64)], [TestProtocol("center", (64,), flip=False)]) == (
        "rescale: smallest side to Q = 64 pixels, longer side in proportion, to the nearest "
        "pixel; bilinear, antialiased",
        "views: the central 64x64 crop: 1 a scale",
        "scores averaged over the positions of a map, before the softmax",
        "softmax",
    )


def test_torchvisions_test_is_rounded_down() -> None:
    protocol = TestProtocol("center", (256,), flip=False, preset="torchvision")
    first = steps([Net()], [protocol])[0]
    assert "rounded down" in first
    assert "nearest" not in first


@pytest.mark.parametrize(
    ("name", "words"),
    [
        ("center", "the central 96x96 crop, with mirror images: 2 a scale"),
        ("dense", "the whole image, with mirror images: 2 a scale"),
        ("crops", "3x4 crops of 96x96 on a regular grid, with mirror images: 24 a scale"),
        (
            "ten-crop",
            "corners and centre of the central square, 96x96, with mirror images: 10 a scale",
        ),
        (
            "googlenet",
            "three squares along the longer side, of each the corners and the centre of 96x96, "
            "and the square resized to that, with mirror images: 36 a scale",
        ),
    ],
)
def test_each_kind_of_view_in_words(name: str, words: str) -> None:
    found = steps([Net(input_size=96)], [TestProtocol(name, (128,), grid=(3, 4), flip=True)])
    assert [step for step in found if step.startswith("views")] == [f"views: {words}"]


@pytest.mark.parametrize("name", NAMES)
def test_how_a_net_answers_densely_is_said_where_it_does(name: str) -> None:
    found = steps([Net(density="in its own way")], [TestProtocol(name, (256,), flip=True)])
    assert ("answers densely: in its own way" in found) == (name in ("dense", "both"))


# ---- averages ----


def averages(nets: int, protocol: TestProtocol) -> tuple[str, ...]:
    """Return the steps behind the last view and answer."""
    found = steps([Net(str(number)) for number in range(nets)], [protocol] * nets)
    about_views = ("rescale: ", "views: ", "answers densely: ")
    return tuple(s for s in found if not any(begin in s for begin in about_views))


@pytest.mark.parametrize("nets", [1, 2])
@pytest.mark.parametrize(
    ("name", "scales", "flip", "over"),
    [
        ("center", (256,), True, ["mirror images"]),
        ("dense", (256,), False, []),
        ("dense", THREE, False, ["scales"]),
        ("dense", THREE, True, ["mirror images", "scales"]),
        ("crops", (256,), False, ["crops"]),
        ("ten-crop", (256,), True, ["mirror images", "crops"]),
        ("googlenet", THREE, True, ["mirror images", "crops", "scales"]),
        ("both", THREE, True, ["mirror images", "crops", "dense and crops", "scales"]),
    ],
)
def test_the_three_averages_in_words(
    name: str, scales: tuple[int, ...], flip: bool, over: list[str], nets: int
) -> None:
    over = [*over, "nets"] if nets > 1 else over
    listed = f"over {', then '.join(over)}"

    def found(average: Any) -> tuple[str, ...]:
        return averages(nets, TestProtocol(name, scales, flip=flip, average=average))

    paper = (
        "scores averaged over the positions of a map, before the softmax",
        "softmax",
        f"posteriors averaged {listed}",
    )
    assert found("paper") == (paper if over else paper[:2])
    then = f", then {listed}" if over else ""
    assert found("scores") == (
        f"scores averaged over the positions of a map{then}",
        "softmax, once at the end",
    )
    assert found("posteriors") == (
        "softmax at every position",
        f"posteriors averaged over the positions of a map{then}",
    )


def test_of_several_nets_each_step_names_its_own_and_the_averages_are_common() -> None:
    nets = [Net("D", 224, "as convolutions"), Net("E", 64, "by sliding")]
    protocols = [
        TestProtocol("dense", (256,), flip=True),
        TestProtocol("dense", (64, 96), flip=True),
    ]
    assert steps(nets, protocols) == (
        "net D: rescale: smallest side to Q = 256 pixels, longer side in proportion, to the "
        "nearest pixel; bilinear, antialiased",
        "net D: views: the whole image, with mirror images: 2 a scale",
        "net D: answers densely: as convolutions",
        "net E: rescale: smallest side to Q = 64, 96 pixels, longer side in proportion, to the "
        "nearest pixel; bilinear, antialiased",
        "net E: views: the whole image, with mirror images: 2 a scale",
        "net E: answers densely: by sliding",
        "scores averaged over the positions of a map, before the softmax",
        "softmax",
        "posteriors averaged over mirror images, then scales, then nets",
    )


def test_nets_with_and_without_mirror_images_are_told_apart_in_any_order() -> None:
    members = [
        (Net("D"), TestProtocol("dense", (256,), flip=False)),
        (Net("E"), TestProtocol("dense", (256,), flip=True)),
    ]
    for order in (members, members[::-1]):
        nets, protocols = zip(*order, strict=True)
        found = steps(nets, protocols)
        assert "net D: views: the whole image: 1 a scale" in found
        assert "net E: views: the whole image, with mirror images: 2 a scale" in found
        assert found[-1] == "posteriors averaged over mirror images, then nets"
        told = way_of_testing(nets, protocols)
        assert (told["flip"], told["views"]) == (None, 3)
    for net, protocol in members:
        assert way_of_testing([net, net], [protocol] * 2)["flip"] is protocol.flip
    texts = {flip: mirrors_as_text({"flip": flip}) for flip in (True, False, None)}
    assert len({*texts.values()}) == 3
    assert texts[None].startswith("some nets with")


def test_a_net_without_its_protocol_is_a_mistake() -> None:
    with pytest.raises(ValueError, match="zip"):
        steps([Net(), Net()], [TestProtocol("dense", (256,), flip=True)])
