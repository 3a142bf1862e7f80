"""The task that a recipe and its data ask for."""

from __future__ import annotations

from typing import Any

from verydeep.data.dataset import Dataset
from verydeep.recipe.recipe import Recipe
from verydeep.run.training.tasks.classification import ClassificationTask
from verydeep.run.training.tasks.localization import LocalizationTask
from verydeep.run.training.tasks.multi_label import MultiLabelTask
from verydeep.run.training.tasks.task import TrainingTask


def task_of(recipe: Recipe, dataset: Dataset) -> TrainingTask[Any]:
    """Return the task of a recipe and its data."""
    if recipe.localization:
        return LocalizationTask(recipe, dataset)
    return (MultiLabelTask if dataset.multi_label else ClassificationTask)(recipe, dataset)
