"""Which task a recipe is for."""

from __future__ import annotations

from typing import Any

from verydeep.data.samples import Dataset
from verydeep.recipe import Recipe
from verydeep.run.localize import ToLocalize
from verydeep.run.task import Task, ToClassify


def task_of(recipe: Recipe, dataset: Dataset) -> Task[Any]:
    """Return what a run of a recipe is for: to tell classes, or boxes."""
    return (ToLocalize if recipe.localization else ToClassify)(recipe, dataset)
