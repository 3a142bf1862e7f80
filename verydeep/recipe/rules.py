"""Settings of a recipe that are valid alone, but not together."""

from __future__ import annotations

from collections.abc import Iterator
from itertools import pairwise
from typing import TYPE_CHECKING

from verydeep.errors import InputError
from verydeep.evaluation.protocol import OWN_SCALES, checked_grid, checked_scales
from verydeep.recipe.net_rules import impossible_nets
from verydeep.system.option_names import option, placeholder

if TYPE_CHECKING:
    from verydeep.recipe.recipe import Recipe

WITHOUT_AN_END = ("plateau", "constant")
"""Schedules whose rate does not depend on the number of epochs."""


def impossible_combinations(recipe: Recipe) -> Iterator[str]:
    """Yield a fault for each setting that conflicts with others: path, rule and value found."""
    net, data, training = recipe.net, recipe.data, recipe.training
    low, high = data.train_scale
    size = _smallest_crop(recipe)
    if low > high:
        yield f"data.train_scale: the range must rise, got [{low}, {high}] instead"
    if low < size:
        yield (
            f"data.train_scale: must be at least net.input_size ({size}), so that a "
            f"crop fits into the rescaled image; got {low} instead"
        )
    if training.micro_batch is not None and training.micro_batch > training.batch:
        yield (
            f"training.micro_batch: must be at most training.batch ({training.batch}), "
            f"got {training.micro_batch} instead"
        )
    ends = (0, *training.restarts, training.epochs)
    if any(end <= start for start, end in pairwise(ends)):
        yield (
            f"training.restarts: must rise between 0 and training.epochs ({training.epochs}), got "
            f"{list(training.restarts)} instead"
        )
    if training.restarts and training.schedule in WITHOUT_AN_END:
        yield (
            "training.restarts: is for the schedules one-cycle, cosine and polynomial, got "
            f"{list(training.restarts)} with {training.schedule}"
        )
    if data.cache == "device" and data.workers:
        yield (
            "data.workers: must be null or 0 with data.cache=device, which decodes once and then "
            f"augments on the device; got {data.workers} instead"
        )
    if data.validation_share + data.test_share >= 1:
        yield (
            "data.validation_share: with data.test_share it must leave images to train on "
            f"(sum below 1), got {data.validation_share} + {data.test_share} instead"
        )
    if len(set(recipe.initialize.stages)) < len(recipe.initialize.stages):
        yield (f"initialize.stages: each net once, got {list(recipe.initialize.stages)} instead")
    if net.name in recipe.initialize.stages:
        yield (
            f"initialize.stages: must not name the net that they lead up to ({net.name}), got "
            f"{list(recipe.initialize.stages)} instead"
        )
    yield from impossible_nets(recipe)
    yield from _impossible_multi_label(recipe)
    yield from _impossible_box_regressors(recipe)
    yield from _impossible_transfers(recipe)
    yield from _impossible_volumes(recipe)
    yield from _impossible_tests(recipe, size)


def _smallest_crop(recipe: Recipe) -> int:
    """Return the net's input size, or the smallest allowed if a classifier will decide it."""
    told_later = recipe.localization is not None and recipe.initialize.source is not None
    told_later = told_later or recipe.transfer is not None
    if told_later and "input_size" not in recipe.net.model_fields_set:
        return recipe.net.family.smallest_input
    return recipe.net.input_size


def _impossible_tests(recipe: Recipe, smallest: int) -> Iterator[str]:
    """Yield what only the test would refuse, once the net is trained."""
    given = recipe.test.scales
    try:
        checked_scales(given)
    except InputError as error:
        yield f"test.scales: {error}"
    try:
        checked_grid(recipe.test.grid)
    except InputError as error:
        yield f"test.grid: {error}"
    for scale in given if isinstance(given, tuple) else ():
        if scale < smallest:
            yield f"test.scales: must be at least {smallest}, got {scale} instead"


def _impossible_volumes(recipe: Recipe) -> Iterator[str]:
    if recipe.net.dimensions != 3:
        return
    if recipe.data.crop == "area":
        yield "data.crop: must be random or center for volumes, got 'area' instead"
    if recipe.test.protocol in OWN_SCALES:
        yield (
            "test.protocol: must be center, dense, crops or both for volumes, got "
            f"{recipe.test.protocol!r} instead"
        )


def _impossible_transfers(recipe: Recipe) -> Iterator[str]:
    if recipe.transfer is None:
        return
    if recipe.localization is not None:
        yield "transfer: is for classifiers; a box regressor is trained without it"
    if recipe.initialize.stages:
        yield (
            "initialize.stages: leads up to a net from random weights; a transfer begins with one "
            f"net ({option('init_from', placeholder('MODEL'))}), got "
            f"{list(recipe.initialize.stages)} instead"
        )
    if recipe.data.stream:
        yield "data.stream: must be false for a transfer, which reads images by index; got true"


def _impossible_multi_label(recipe: Recipe) -> Iterator[str]:
    if recipe.data.task != "multi-label":
        return
    if recipe.localization is not None:
        yield "localization: a box regressor learns from images of one class (multi-label data)"
    if recipe.data.balance == "sampling":
        yield "data.balance: must be none or weights for multi-label data, got 'sampling' instead"
    if recipe.data.stream:
        yield "data.stream: must be false or null for multi-label data, got true instead"
    if recipe.training.loss != "cross-entropy":
        yield (
            "training.loss: must be cross-entropy for multi-label data (binary, of each class), "
            f"got {recipe.training.loss!r} instead"
        )
    if recipe.net.output == "tanh":
        yield "net.output: must be linear for multi-label data, got 'tanh' instead"
    if recipe.initialize.stages:
        yield (
            "initialize.stages: is for one class per image; train the nets one by one, each with "
            f"{option('init_from')}, got {list(recipe.initialize.stages)} instead"
        )


def _impossible_box_regressors(recipe: Recipe) -> Iterator[str]:
    boxes, initialize = recipe.localization, recipe.initialize
    if boxes is None:
        return
    if boxes.fine_tune == "fc" and not initialize.source:
        yield (
            "localization.fine_tune: fc keeps the convolutions of a classifier as they are: name "
            f"it ({option('init_from', placeholder('MODEL'))}), or train all layers"
        )
    if initialize.stages:
        yield (
            "initialize.stages: leads up to a classifier; train that first, and give it to the box "
            f"net with {option('init_from')}, got {list(initialize.stages)} instead"
        )
    if recipe.training.loss != "cross-entropy":
        yield (
            "training.loss: is of classifiers, and a box regressor has localization.loss, got "
            f"{recipe.training.loss!r}; leave it out"
        )
    if recipe.training.label_smoothing:
        yield (
            "training.label_smoothing: must be 0 for a box regressor, whose loss knows no classes, "
            f"got {recipe.training.label_smoothing} instead"
        )
    if recipe.data.crop == "area":
        yield "data.crop: must be random or center for a box regressor, got 'area' instead"
    if recipe.data.stream:
        yield "data.stream: must be false or null for a box regressor, got true instead"
    if recipe.data.balance == "weights":
        yield "data.balance: must be none or sampling for a box regressor, got 'weights' instead"
