"""Recipes of a study: the paper's, and the same for every net."""

from __future__ import annotations

from pathlib import Path

import pytest

from verydeep.errors import RecipeError
from verydeep.recipe.recipe import load_recipe
from verydeep.study.budget import BUDGETS
from verydeep.study.conditions import Condition, Head
from verydeep.study.recipes import read_settings, resize, study_recipe

SMALL, FULL = BUDGETS["small"], BUDGETS["full"]
SOURCE = Path("runs/source")


def test_the_full_budget_trains_by_the_papers_recipe() -> None:
    found = study_recipe(FULL, Condition("D"), seed=0).model_dump()
    paper = load_recipe("paper").model_dump()
    assert {**found, "test": None} == {**paper, "test": None}


@pytest.mark.parametrize("budget", [SMALL, FULL], ids=lambda one: one.name)
def test_nets_differ_in_their_name_only(budget: object) -> None:
    nets = ("A", "A-LRN", "B", "B-5x5", "C", "D", "E")
    recipes = [
        study_recipe(budget, Condition(net, "fixed", "scaled"), seed=1)  # type: ignore[arg-type]
        for net in nets
    ]
    assert [one.net.name for one in recipes] == list(nets)
    assert len({one.replace(net__name="A").to_yaml() for one in recipes}) == 1


def test_a_deeper_net_takes_the_papers_layers_and_the_whole_rate() -> None:
    found = study_recipe(SMALL, Condition("E"), seed=0, source=SOURCE)
    assert (found.initialize.source, found.initialize.layers) == (str(SOURCE), "paper")
    assert found.training.learning_rate == SMALL.learning_rate
    assert found.training.epochs == SMALL.epochs


@pytest.mark.parametrize("train", ["fixed-large", "jitter"])
def test_the_same_net_at_a_larger_scale_goes_on_with_a_tenth_of_the_rate(train: str) -> None:
    condition = Condition("E", train)  # type: ignore[arg-type]
    found = study_recipe(FULL, condition, seed=0, source=SOURCE)
    assert (found.initialize.source, found.initialize.layers) == (str(SOURCE), "all")
    assert found.training.learning_rate == pytest.approx(0.001)
    # The lowest rate is the published one: 1e-2 / 1000.
    assert found.training.learning_rate / 10**found.plateau.drops == pytest.approx(1e-5)
    assert study_recipe(SMALL, condition, seed=0, source=SOURCE).training.epochs == 15


def test_settings_change_every_training_or_a_size_of_the_budget() -> None:
    settings = read_settings(["data.flip=false", "training.epochs=7", "net.width=0.05"])
    budget = resize(SMALL, settings)
    assert (budget.epochs, budget.width) == (7, 0.05)
    found = study_recipe(budget, Condition("B"), seed=3, settings=settings)
    assert not found.data.flip
    assert (found.training.epochs, found.net.width, found.training.seed) == (7, 0.05, 3)


@pytest.mark.parametrize(
    "setting", ["net.name=E", "training.seed=3", "initialize.source=x", "data.train_scale=64"]
)
def test_what_the_study_decides_cannot_be_set(setting: str) -> None:
    with pytest.raises(
        RecipeError, match=rf"{setting.split('=', maxsplit=1)[0]} cannot be changed"
    ):
        read_settings([setting])


def test_an_unknown_setting_is_refused_with_the_nearest() -> None:
    with pytest.raises(RecipeError, match=r"training\.epochs"):
        read_settings(["training.epoch=3"])


@pytest.mark.parametrize(
    ("head", "per_class", "fine_tune"),
    [("scr-fc", False, "fc"), ("pcr-fc", True, "fc"), ("pcr-all", True, "all")],
)
def test_boxes_are_trained_by_the_papers_recipe_for_them(
    head: Head, per_class: bool, fine_tune: str
) -> None:
    condition = Condition("D", "fixed-large", head=head)
    found = study_recipe(FULL, condition, seed=0, source=SOURCE)
    published = load_recipe("localization")
    assert found.localization is not None
    assert published.localization is not None
    expected = {"per_class": per_class, "fine_tune": fine_tune}
    assert found.localization.model_dump() == published.localization.model_dump() | expected
    assert found.training.learning_rate == published.training.learning_rate
    assert (found.initialize.source, found.initialize.layers) == (str(SOURCE), "all")
    assert found.data.train_scale == (384, 384)
    small = study_recipe(SMALL, condition, seed=0, source=SOURCE)
    assert (small.training.learning_rate, small.training.epochs) == (SMALL.learning_rate, 15)
