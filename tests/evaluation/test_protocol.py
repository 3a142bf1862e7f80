"""Protocols as values: what is refused and with what words, and the paper's own test scales."""

from __future__ import annotations

import dataclasses
import itertools
import json
from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from verydeep.errors import InputError
from verydeep.evaluation.protocol import (
    MOST_ON_A_LINE,
    NAMES,
    TestProtocol,
    in_proportion,
    multiple_scales,
    single_scale,
)
from verydeep.evaluation.views import Center, Dense, GoogLeNetCrops, Grid, TenCrop, Views

INPUT_SIZES = st.integers(32, 512)


# ---- what is refused ----


@pytest.mark.parametrize(
    ("name", "scales", "settings", "message"),
    [
        (
            "crop",
            (256,),
            {},
            "protocol must be one of center, dense, crops, both, ten-crop, googlenet, got 'crop' "
            "instead; did you mean 'crops'?",
        ),
        (
            "xyz",
            (256,),
            {},
            "protocol must be one of center, dense, crops, both, ten-crop, googlenet, got 'xyz' "
            "instead",
        ),
        (
            "dense",
            (256,),
            {"average": "score"},
            "average must be one of paper, scores, posteriors, got 'score' instead; did you mean "
            "'scores'?",
        ),
        (
            "center",
            (256,),
            {"preset": "torch"},
            "preset must be one of paper, torchvision, got 'torch' instead; did you mean "
            "'torchvision'?",
        ),
        ("dense", (), {}, "a protocol needs at least one test scale, in pixels"),
        ("dense", (256, 384, 256), {}, "each test scale once, got 256, 384, 256 instead"),
        ("crops", (256,), {"grid": (0, 5)}, "a grid has 1 to 100 rows and columns, got 0x5 in"),
        ("crops", (256,), {"grid": (5, -1)}, "a grid has 1 to 100 rows and columns, got 5x-1 in"),
        ("both", (256,), {"grid": (101, 5)}, "a grid has 1 to 100 rows and columns, got 101x5 in"),
        *(
            (
                "crops",
                (256,),
                {"grid": grid},
                f"a grid has two whole numbers, rows and columns, got {grid!r} instead",
            )
            for grid in ((3,), 5, (2.5, 3), "3x3", (3, 3, 3), None)
        ),
        (
            "dense",
            (256,),
            {"preset": "torchvision"},
            "preset torchvision is its way of taking the central crop; protocol dense has none",
        ),
    ],
)
def test_what_cannot_be_is_refused_with_what_can(
    name: str, scales: tuple[int, ...], settings: dict[str, Any], message: str
) -> None:
    with pytest.raises(InputError) as refusal:
        TestProtocol(name, scales, **{"flip": True, **settings})
    assert str(refusal.value).startswith(message)
    if not message.endswith(" in"):
        assert str(refusal.value) == message


@pytest.mark.parametrize("name", NAMES)
def test_the_preset_of_torchvision_is_for_the_central_crop_alone(name: str) -> None:
    if name == "center":
        assert TestProtocol(name, (256,), preset="torchvision", flip=True).preset == "torchvision"
    else:
        with pytest.raises(InputError, match=f"protocol {name} has none"):
            TestProtocol(name, (256,), preset="torchvision", flip=True)


def test_the_largest_grid_is_allowed_and_none_larger() -> None:
    most = (MOST_ON_A_LINE, MOST_ON_A_LINE)
    assert TestProtocol("crops", (256,), grid=most, flip=True).grid == most
    for grid in ((MOST_ON_A_LINE + 1, 1), (1, MOST_ON_A_LINE + 1)):
        with pytest.raises(InputError, match="grid"):
            TestProtocol("crops", (256,), grid=grid, flip=True)


@given(
    st.sampled_from(NAMES),
    st.lists(st.integers(1, 2000), min_size=1, max_size=5, unique=True),
    st.booleans(),
    st.tuples(st.integers(1, 100), st.integers(1, 100)),
    st.sampled_from(["paper", "scores", "posteriors"]),
)
def test_what_is_allowed_is_kept_as_it_was_given(
    name: Any, scales: list[int], flip: bool, grid: tuple[int, int], average: Any
) -> None:
    made = TestProtocol(name, scales, flip=flip, grid=grid, average=average)
    assert made == TestProtocol(name, tuple(scales), flip, grid, average, "paper")


@pytest.mark.parametrize(
    ("given", "kept"),
    [
        (np.int64(32), (32,)),
        ([np.int64(32), 40], (32, 40)),
        (np.arange(32, 49, 8), (32, 40, 48)),
        (iter([32, 40]), (32, 40)),
    ],
    ids=["number", "numbers", "array", "iterator"],
)
def test_numpy_scales_become_numbers_that_json_can_hold(given: Any, kept: tuple[int, ...]) -> None:
    made = TestProtocol("center", given, flip=False)
    assert made == TestProtocol("center", kept, flip=False)
    assert json.loads(json.dumps(made.used_scales)) == [*kept]


@pytest.mark.parametrize("given", [[32.5], 32.5, "", "many", [None], np.array([[32]])], ids=repr)
def test_what_is_no_whole_number_is_no_scale(given: Any) -> None:
    with pytest.raises(InputError, match="scales must be single, multi or whole numbers, got"):
        TestProtocol("center", given, flip=False)


# ---- the value ----


def test_left_alone_a_protocol_is_the_papers() -> None:
    made = TestProtocol("crops", (256,), flip=True)
    assert (made.flip, made.grid, made.average, made.preset) == (True, (5, 5), "paper", "paper")


@pytest.mark.parametrize("field", dataclasses.fields(TestProtocol), ids=lambda field: field.name)
def test_a_protocol_cannot_be_changed(field: dataclasses.Field[Any]) -> None:
    made = TestProtocol("dense", (256,), flip=True)
    with pytest.raises(dataclasses.FrozenInstanceError):
        setattr(made, field.name, getattr(made, field.name))


def test_equal_protocols_are_one_key_and_others_are_others() -> None:
    def all_of_them() -> list[TestProtocol]:
        return [
            TestProtocol(name, scales, flip=flip, grid=grid, average=average)
            for name, scales, flip, grid, average in itertools.product(
                NAMES,
                ([256], [256, 384]),
                (True, False),
                ((5, 5), (3, 4)),
                ("paper", "scores", "posteriors"),
            )
        ]

    one, other = all_of_them(), all_of_them()
    assert dict.fromkeys(one) == dict.fromkeys(other)
    assert len(set(one + other)) == len(one)


@pytest.mark.parametrize("flip", [True, False])
@pytest.mark.parametrize(
    ("name", "kinds"),
    [
        ("center", (Center,)),
        ("dense", (Dense,)),
        ("crops", (Grid,)),
        ("both", (Dense, Grid)),
        ("ten-crop", (TenCrop,)),
        ("googlenet", (GoogLeNetCrops,)),
    ],
)
def test_each_protocol_has_its_kinds_of_views(
    name: str, kinds: tuple[type[Views], ...], flip: bool
) -> None:
    made = TestProtocol(name, (256,), flip=flip, grid=(3, 4))
    assert tuple(type(kind) for kind in made.kinds) == kinds
    assert {kind.flip for kind in made.kinds} == {flip}
    assert made.has_grid == (Grid in kinds)
    for kind in made.kinds:
        if isinstance(kind, Grid):
            assert (kind.rows, kind.columns) == (3, 4)


def test_every_name_has_kinds() -> None:
    assert all(TestProtocol(name, (256,), flip=True).kinds for name in NAMES)


def test_the_central_crop_rounds_as_torchvision_only_with_its_preset() -> None:
    assert TestProtocol("center", (256,), flip=True).kinds == (Center(half_even=False),)
    made = TestProtocol("center", (256,), flip=False, preset="torchvision")
    assert made.kinds == (Center(flip=False, half_even=True),)


@pytest.mark.parametrize(
    ("protocol", "words"),
    [
        (TestProtocol("dense", (256, 384), flip=True), "dense at Q = 256, 384, with mirror images"),
        (TestProtocol("center", (256,), flip=False), "center at Q = 256, without mirror images"),
        (
            TestProtocol("crops", (9,), grid=(3, 4), flip=True),
            "crops 3x4 at Q = 9, with mirror images",
        ),
        (TestProtocol("both", (9,), flip=True), "both 5x5 at Q = 9, with mirror images"),
        (
            TestProtocol("ten-crop", (9,), grid=(3, 4), flip=True),
            "ten-crop at Q = 9, with mirror images",
        ),
        (
            TestProtocol("dense", (9,), average="scores", flip=True),
            "dense at Q = 9, with mirror images, scores averaged everywhere",
        ),
        (
            TestProtocol("dense", (9,), average="posteriors", flip=True),
            "dense at Q = 9, with mirror images, posteriors averaged everywhere",
        ),
        (
            TestProtocol("center", (9,), flip=False, preset="torchvision"),
            "center at Q = 9, without mirror images, rounded as torchvision does",
        ),
    ],
)
def test_a_protocol_says_what_it_does(protocol: TestProtocol, words: str) -> None:
    assert str(protocol) == words


# ---- test scales ----


@pytest.mark.parametrize(
    ("train_scale", "single", "multiple"),
    [
        ((256, 256), (256,), (224, 256, 288)),  # tables 3 and 4
        ((384, 384), (384,), (352, 384, 416)),
        ((256, 512), (384,), (256, 384, 512)),
    ],
)
def test_the_papers_scales(
    train_scale: tuple[int, int], single: tuple[int, ...], multiple: tuple[int, ...]
) -> None:
    assert single_scale(train_scale) == single
    assert multiple_scales(train_scale, 224) == multiple


@given(INPUT_SIZES, st.integers(0, 400))
def test_the_step_around_a_fixed_scale_is_a_seventh_of_the_input_size(
    input_size: int, more: int
) -> None:
    scale = input_size + more
    scales = multiple_scales((scale, scale), input_size)
    step = scales[-1] - scale
    assert abs(7 * step - input_size) <= 3.5  # 32/224, to half a pixel
    assert set(scales) == {max(input_size, scale - step), scale, scale + step}


@given(INPUT_SIZES, st.integers(0, 400), st.integers(0, 400))
def test_no_scale_is_below_the_input_size_nor_twice_there(
    input_size: int, more: int, longer: int
) -> None:
    train_scale = (input_size + more, input_size + more + longer)
    scales = multiple_scales(train_scale, input_size)
    assert min(scales) >= input_size
    assert list(scales) == sorted(set(scales))
    assert set(single_scale(train_scale)) <= set(scales)
    if longer:
        assert {scales[0], scales[-1]} == set(train_scale)


@given(INPUT_SIZES)
def test_scales_in_proportion_are_the_nearest_whole_numbers(input_size: int) -> None:
    made_for_224 = (224, 256, 288, 320, 352, 512)
    scales = in_proportion(made_for_224, input_size)
    for scale, original in zip(scales, made_for_224, strict=True):
        assert 2 * abs(224 * scale - original * input_size) <= 224
    assert scales[0] == input_size
    assert len(set(scales)) == len(scales)


def test_for_crops_of_224_pixels_scales_stay_what_they_are() -> None:
    assert in_proportion((256, 288, 320, 352), 224) == (256, 288, 320, 352)
    assert in_proportion((256, 512), 112) == (128, 256)


def usual_scales(name: str, input_size: int, tested: tuple[int, ...]) -> tuple[int, ...]:
    """Return the scales that a protocol takes for a net tested at some."""
    net = SimpleNamespace(input_size=input_size, test_scales=tested, test_flip=True)
    return TestProtocol(name).for_model(net).used_scales


@pytest.mark.parametrize("name", NAMES)
def test_protocols_of_other_papers_bring_their_own_scales(name: str) -> None:
    own = {"ten-crop": (256,), "googlenet": (256, 288, 320, 352)}
    assert usual_scales(name, 224, (300, 400)) == own.get(name, (300, 400))
    halved = {"ten-crop": (128,), "googlenet": (128, 144, 160, 176)}
    assert usual_scales(name, 112, (300, 400)) == halved.get(name, (300, 400))


@given(st.sampled_from(["ten-crop", "googlenet"]), INPUT_SIZES)
def test_usual_scales_can_be_tested_at(name: str, input_size: int) -> None:
    assert min(usual_scales(name, input_size, ())) >= input_size
    made = TestProtocol(name, usual_scales(name, input_size, ()), flip=True)
    assert len(made.scales) == (1 if name == "ten-crop" else 4)
