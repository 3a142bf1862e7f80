"""Settings of a transfer that follow from the source model and the data."""

from __future__ import annotations

from typing import Any

from verydeep.data.builtin.named import DIGITS, MULTI_DIGITS
from verydeep.data.dataset import Dataset
from verydeep.errors import ModelError, RecipeError
from verydeep.evaluation.protocol import OWN_SCALES
from verydeep.models.weights.named import source_config
from verydeep.recipe.recipe import Recipe
from verydeep.run.training.auto import typical_side
from verydeep.system.option_names import option

SOURCE = "keras/vgg16-notop"
"""Default source: the authors' convolutions of net D, in a file of 59 MB."""

SHARED = ("name", "width", "norm")
"""Settings of the net that its convolutions fix."""

SMALL = 128
"""Images with a smaller side than this are enlarged to crops of this size."""

FEW = 20_000
"""Number of training images below which a pretrained net is advised."""

INHERITED = (*SHARED, "input_size", "hidden")
"""Settings of the net that a net with all layers of its source takes from it."""


def inherit_net(recipe: Recipe) -> Recipe:
    """Return a recipe that copies all layers, completed by the sizes of the net it begins with."""
    start = recipe.initialize
    if start.source is None or start.layers != "all" or recipe.localization or recipe.transfer:
        return recipe
    config = source_config(start.source)
    taken = {
        f"net__{key}": getattr(config.net, key)
        for key in INHERITED
        if key not in recipe.net.model_fields_set
    }
    if "train_scale" not in recipe.data.model_fields_set:
        taken["data__train_scale"] = list(config.train_scale)
    return recipe.replace(**taken)


def inherit_transfer(recipe: Recipe, dataset: Dataset) -> Recipe:
    """Return a transfer's recipe, completed by what its source and the images decide.

    Raises:
        ModelError: The source is no classifier, or does not exist.
        RecipeError: The recipe contradicts its source in a setting that they must share.
    """
    if recipe.transfer is None:
        return recipe
    if dataset.stream is not None:
        raise RecipeError("data.stream: must be false for a transfer, which reads images by index")
    source = recipe.initialize.source or SOURCE
    config = source_config(source)
    if config.task == "localization":
        raise ModelError(f"{source}: a box regressor, where a transfer begins with a classifier")
    net = {key: getattr(config.net, key) for key in SHARED}
    faults = [
        f"\n  net.{key}: must be {net[key]!r}, as in {source}, got {getattr(recipe.net, key)!r}"
        for key in SHARED
        if key in recipe.net.model_fields_set and getattr(recipe.net, key) != net[key]
    ]
    if faults:
        raise RecipeError(f"the convolutions are those of the source:{''.join(faults)}")
    taken: dict[str, Any] = {f"net__{key}": value for key, value in net.items()}
    taken |= {"initialize__source": source, "initialize__layers": "all"}
    taken |= {"data__divisor": config.preprocessing.divisor}
    return recipe.replace(**taken, **_sizes(recipe, dataset, config.net.input_size))


def _sizes(recipe: Recipe, dataset: Dataset, source_size: int) -> dict[str, Any]:
    """Return input size and scales that are not given, in the proportion 8 to 7 as 256 to 224.

    Crops of multi-label images should show every object: they are little smaller than the image.
    """
    size = recipe.net.input_size
    if "input_size" not in recipe.net.model_fields_set:
        side = typical_side(dataset)
        size = SMALL if side is not None and side < SMALL else source_size
    taken: dict[str, Any] = {"net__input_size": size}
    low, high = round(size * 8 / 7), round(size * 10 / 7)
    if dataset.multi_label:
        low, high = size, size * 9 // 8
    if "train_scale" in recipe.data.model_fields_set:  # from which the test's follow
        return taken
    taken["data__train_scale"] = [low, high]
    if "scales" not in recipe.test.model_fields_set and recipe.test.protocol not in OWN_SCALES:
        taken["test__scales"] = [low]
    return taken


def hint_at_transfer(recipe: Recipe, dataset: Dataset) -> str | None:
    """Return advice for a small set that is trained from random weights, or None."""
    few = dataset.sizes["train"] < FEW
    # Handwriting shows nothing of what a net of photographs looks for.
    if dataset.layout in (DIGITS, MULTI_DIGITS):
        return None
    if dataset.dimensions == 3:  # nor do volumes
        return None
    if recipe.initialize.source or recipe.localization or dataset.stream is not None or not few:
        return None
    return (
        f"trained from random weights; so few images serve better with a net that has seen "
        f"ImageNet: {option('recipe', 'transfer')} (begins with {SOURCE}; "
        f"{option('init_from')} names another)"
    )
