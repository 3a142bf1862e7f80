"""Settings of a recipe that do not fit the net."""

from __future__ import annotations

from collections.abc import Iterator
from typing import TYPE_CHECKING

from verydeep.nets.norm import to_norm
from verydeep.system.option_names import option

if TYPE_CHECKING:
    from verydeep.recipe.recipe import Recipe


def impossible_nets(recipe: Recipe) -> Iterator[str]:
    """Yield a fault for each setting that the net does not have, or cannot be trained with."""
    net = recipe.net
    own = {"name", *to_norm(net.family.settings)}
    if net.dimensions == 2:  # true of every net
        own.add("dimensions")
    for key, value in net.model_dump().items():
        if key not in own and value is not None:
            yield f"net.{key}: net {net.name} has no such setting, got {value!r}; leave it out"
        elif key in own and value is None and key != "norm":
            yield f"net.{key}: must have a value for net {net.name}, got null instead"
    if not net.family.any_size:
        yield from _impossible_sizes(recipe)
    if not net.family.adaptable:
        yield from _impossible_uses(recipe)
    if recipe.training.loss == "squared-error" and recipe.training.label_smoothing:
        yield (
            "training.label_smoothing: must be 0 with training.loss=squared-error, got "
            f"{recipe.training.label_smoothing} instead"
        )


def _impossible_sizes(recipe: Recipe) -> Iterator[str]:
    net, size = recipe.net, recipe.net.family.settings["input_size"]
    if net.input_size != size:
        yield (
            f"net.input_size: net {net.name} takes images of exactly {size} pixels, got "
            f"{net.input_size} instead"
        )
    if recipe.test.protocol in ("dense", "both"):
        yield (
            f"test.protocol: net {net.name} has no dense form: center, crops, ten-crop or "
            f"googlenet, got {recipe.test.protocol} instead"
        )


def _impossible_uses(recipe: Recipe) -> Iterator[str]:
    name = recipe.net.name
    if recipe.localization is not None:
        yield f"localization: box regressors are made of the paper's nets, not of net {name}"
    if recipe.transfer is not None:
        yield (
            f"transfer: is for the paper's nets, not for net {name}; train all its layers on "
            f"({option('recipe', 'fine-tune')})"
        )
