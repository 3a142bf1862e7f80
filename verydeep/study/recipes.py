"""Recipes of a study: the paper's, at the sizes of a budget, the same for every net."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import replace
from pathlib import Path
from typing import Any

from verydeep.errors import RecipeError
from verydeep.recipe.recipe import Recipe, load_recipe, said_settings
from verydeep.study.budget import Budget, goes_on
from verydeep.study.conditions import Condition

BY_BUDGET = {
    "net.width": "width",
    "training.epochs": "epochs",
    "training.batch": "batch",
    "training.learning_rate": "learning_rate",
    "training.schedule": "schedule",
}
"""Settings that change a size of the budget, with the name of the size."""

DECIDED = (
    *("net.name", "net.input_size", "data.train_scale", "training.seed", "test.scales"),
    *("initialize.source", "initialize.layers", "initialize.stages", "initialize.balance"),
)
"""Settings that differ between the nets, or follow from the budget."""

Settings = Mapping[str, Any]
"""Changes to the recipe by dotted path."""


def read_settings(given: Iterable[str] | Settings) -> dict[str, Any]:
    """Return changes to the recipe by dotted path.

    Raises:
        RecipeError: A key or a value is invalid, or the study decides it itself.
    """
    said = said_settings(None, given)
    found = {f"{section}.{key}": v for section, keys in said.items() for key, v in keys.items()}
    if taken := [path for path in found if path in DECIDED or path.startswith(("local", "trans"))]:
        raise RecipeError(
            f"{taken[0]} cannot be changed in a study: it differs between the trainings, or "
            "follows from the budget"
        )
    return found


def resize(budget: Budget, settings: Settings) -> Budget:
    """Return a budget with the sizes that the settings change."""
    changed = {size: settings[path] for path, size in BY_BUDGET.items() if path in settings}
    return replace(budget, **changed)


def study_recipe(
    budget: Budget,
    condition: Condition,
    *,
    seed: int,
    source: Path | None = None,
    settings: Settings | None = None,
) -> Recipe:
    """Return the recipe of one training.

    Args:
        budget: Sizes of the study.
        condition: What is trained.
        seed: Random seed.
        source: Run folder of the net that it is initialised from.
        settings: Changes to the recipe of every training; sizes are taken from the budget.

    Raises:
        RecipeError: The settings contradict each other.

    >>> from verydeep.study.budget import BUDGETS
    >>> recipe = study_recipe(BUDGETS["full"], Condition("E"), seed=0)
    >>> recipe.net.name, recipe.data.train_scale, recipe.training.learning_rate
    ('E', (256, 256), 0.01)
    """
    low, high = budget.train_scale(condition)
    chosen: dict[str, Any] = {
        "test.engine": "torch",
        **{path: value for path, value in (settings or {}).items() if path not in BY_BUDGET},
        "net.name": condition.net,
        "net.input_size": budget.input_size,
        "net.width": budget.width,
        "data.train_scale": [low, high],
        "training.batch": budget.batch,
        "training.epochs": budget.epochs_of(condition),
        "training.learning_rate": budget.rate(condition),
        "training.schedule": budget.schedule,
        "training.seed": seed,
    }
    if source is not None:
        chosen["initialize.source"] = str(source)
        chosen["initialize.layers"] = "all" if goes_on(condition) else "paper"
    if condition.head != "classes":
        chosen["localization.per_class"] = condition.head.startswith("pcr")
        chosen["localization.fine_tune"] = "fc" if condition.head.endswith("fc") else "all"
    if budget.schedule == "plateau" and goes_on(condition):
        chosen["plateau.drops"] = 2  # the first of the published rates is left out
    return load_recipe("paper", chosen)
