"""Recipe auto: valid for all facts, monotone, and never against what is given."""

from __future__ import annotations

from dataclasses import replace
from itertools import pairwise, product
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from verydeep.errors import RecipeError
from verydeep.recipe.auto import DataFacts, auto_recipe
from verydeep.recipe.recipe import Recipe, check, known_keys, load_recipe

PICTURES = (3, 100, 180, 499, 500, 999, 1_999, 2_000, 5_000, 30_000, 250_000, 1_281_167)
SIDES = (None, 1, 28, 64, 127, 128, 223, 224, 480, 4000)
NETS = ("A", "A-LRN", "B", "C", "D", "E")

facts = st.builds(
    DataFacts,
    pictures=st.integers(1, 10**8),
    classes=st.integers(1, 10**5),
    side=st.none() | st.integers(1, 10**5),
    pixels=st.none() | st.integers(1, 10**8),
    undivided=st.booleans(),
    streamed=st.booleans(),
    mirrored=st.booleans(),
    gpu=st.booleans(),
)


def chosen(known: DataFacts, **said: Any) -> Recipe:
    return auto_recipe(known, said)[0]


@given(facts)
def test_any_facts_give_a_valid_recipe_each_setting_with_its_reason(known: DataFacts) -> None:
    recipe, choices = auto_recipe(known, {})
    assert check(recipe.model_dump(mode="json")) == recipe
    assert auto_recipe(known, {}) == (recipe, choices)
    paths = [path for choice in choices for path in choice.settings]
    assert len(set(paths)) == len(paths)
    assert set(paths) <= set(known_keys())
    assert all(choice.reason and "\n" not in choice.reason for choice in choices)
    tree = recipe.model_dump(mode="json", exclude_unset=True)
    assert {f"{section}.{key}" for section, keys in tree.items() for key in keys} == set(paths)


@pytest.mark.parametrize("gpu", [False, True])
@pytest.mark.parametrize("side", SIDES)
def test_more_pictures_never_mean_a_smaller_net_or_batch_nor_more_epochs(
    side: int | None, gpu: bool
) -> None:
    recipes = [chosen(DataFacts(count, 3, side, gpu=gpu)) for count in PICTURES]
    for fewer, more in pairwise(recipes):
        assert NETS.index(fewer.net.name) <= NETS.index(more.net.name)
        assert (fewer.net.width, fewer.net.hidden) <= (more.net.width, more.net.hidden)
        assert fewer.training.batch <= more.training.batch
        assert fewer.training.epochs >= more.training.epochs


def test_larger_pictures_never_mean_smaller_crops_and_a_gpu_never_a_smaller_net() -> None:
    for count, gpu in product(PICTURES, (False, True)):
        sizes = [chosen(DataFacts(count, 3, side, gpu=gpu)).net.input_size for side in SIDES[1:]]
        assert sizes == sorted(sizes)
    for count, side in product(PICTURES, SIDES):
        cpu, gpu_one = (chosen(DataFacts(count, 3, side, gpu=gpu)) for gpu in (False, True))
        assert cpu.net.input_size <= gpu_one.net.input_size
        assert cpu.net.width <= gpu_one.net.width


def test_a_small_set_on_a_cpu_takes_the_shallowest_net_small_crops_and_many_updates() -> None:
    recipe = chosen(DataFacts(180, 3, 375, 375 * 500, undivided=True))
    assert (recipe.net.name, recipe.net.norm) == ("A", "batch")
    assert recipe.net.input_size <= 96
    training = recipe.training
    assert training.schedule == "one-cycle"
    assert 144 / training.batch * training.epochs > 500
    # A fifth is held back, in one split: a tenth would be 18 images.
    assert (recipe.data.validation_share, recipe.data.test_share) == (0.2, 0.0)
    assert chosen(DataFacts(180, 3, 375)).data.test_share == Recipe().data.test_share


def test_digits_are_not_mirrored_nor_streams_cached_nor_huge_sets() -> None:
    digits = chosen(DataFacts(5_000, 10, 28, 28 * 28, mirrored=False))
    assert (digits.data.flip, digits.test.flip) == (False, False)
    small = DataFacts(1_000, 10, 64, 64 * 64)
    assert chosen(small).data.cache == "device"
    for large in (replace(small, streamed=True), replace(small, pixels=10**7)):
        assert chosen(large).data.cache == "none"


SAID: list[dict[str, dict[str, Any]]] = [
    {"net": {"name": "E"}},
    {"net": {"input_size": 32}},
    {"net": {"input_size": 224}},
    {"net": {"norm": None, "dropout": 0.0}},
    {"data": {"train_scale": 40}},
    {"data": {"train_scale": [256, 512]}},
    {"data": {"workers": 2}},
    {"data": {"test_share": 0.5}},
    {"training": {"batch": 256}},
    {"training": {"micro_batch": 64}},
    {"training": {"epochs": 3}},
    {"training": {"schedule": "plateau"}},
    {"training": {"schedule": "cosine", "restarts": [10]}},
    {"initialize": {"stages": ["A"]}, "net": {"name": "B"}},
    {"test": {"protocol": "crops"}},
]


@pytest.mark.parametrize("said", SAID, ids=str)
def test_what_is_given_stands_and_the_rest_goes_with_it(said: dict[str, dict[str, Any]]) -> None:
    for count, side, gpu in product(PICTURES, SIDES, (False, True)):
        recipe, choices = auto_recipe(DataFacts(count, 3, side, 10**4, gpu=gpu), said)
        tree = recipe.model_dump(mode="json")
        given_paths = set()
        for section, settings in said.items():
            assert {key: tree[section][key] for key in settings} == settings
            given_paths |= {f"{section}.{key}" for key in settings}
        assert not given_paths & {path for choice in choices for path in choice.settings}


def test_a_protocol_with_scales_of_its_own_is_tested_at_these() -> None:
    known = DataFacts(5000, 10, 64)
    how = chosen(known, test={"protocol": "googlenet"}).test_protocol
    assert how.used_scales == (73, 82, 91, 101)  # 256, 288, 320, 352 at 224
    assert chosen(known, test={"protocol": "crops"}).test_protocol.used_scales == (64, 96)
    given = {"protocol": "googlenet", "scales": [80]}
    assert chosen(known, test=given).test_protocol.used_scales == (80,)


def test_labels_are_smoothed_for_cross_entropy_alone() -> None:
    known = DataFacts(5000, 10, 64)
    assert chosen(known, training={"loss": "squared-error"}).training.label_smoothing == 0
    assert chosen(known, training={"loss": "cross-entropy"}).training.label_smoothing == 0.1


def test_the_rate_goes_with_the_batch() -> None:
    known = DataFacts(180, 3, 64)
    ours, doubled = chosen(known), chosen(known, training={"batch": 32})
    assert doubled.training.learning_rate == pytest.approx(2 * ours.training.learning_rate)


def test_settings_that_contradict_one_another_are_refused() -> None:
    with pytest.raises(RecipeError, match=r"data\.train_scale"):
        chosen(DataFacts(180, 3), net={"input_size": 96}, data={"train_scale": 64})
    with pytest.raises(RecipeError, match="localization"):
        chosen(DataFacts(180, 3), localization={"per_class": True})


def test_thousands_of_small_pictures_on_a_cpu_get_the_recipe_small() -> None:
    ours = chosen(DataFacts(5_000, 10, 64, 64 * 64)).model_dump()
    small = load_recipe("small").model_dump()
    del ours["plateau"], small["plateau"]  # of another schedule
    assert ours == small
