"""Recipe ``auto``: collect facts about the data set, choose settings and log the reasons."""

from __future__ import annotations

import math
from collections.abc import Iterator, Mapping
from typing import Any

import numpy as np

from verydeep.data.dataset import Dataset
from verydeep.data.images.decode import upright_size
from verydeep.data.read import DataSource
from verydeep.data.volumes.read import size_of_volume
from verydeep.errors import PictureError, plural
from verydeep.models.path import is_weights
from verydeep.models.weights.named import source_config
from verydeep.recipe.auto import Choice, DataFacts, Said, auto_recipe
from verydeep.recipe.recipe import Recipe
from verydeep.system.device import Machine
from verydeep.system.progress import Progress

LOOKED_AT = 64
"""Number of images sampled for their size, evenly spaced over the data set."""

NOT_MIRRORED = ("digits", "digits-1989", "digits-multi", "mnist")
"""Built-in data sets on which flipping can change the class."""

INHERITED = ("name", "input_size", "width", "hidden", "norm", "dimensions")
INHERITED_BY_VOLUMES = ("name", "width", "norm")
"""Settings that a net for volumes shares with one for images, whose sizes do not fit it."""


def choose_recipe(
    source: DataSource, dataset: Dataset, said: Said, machine: Machine, progress: Progress
) -> Recipe:
    """Return a recipe suited to a data set and a machine; log each choice with its reason.

    Args:
        source: The DATA argument.
        dataset: Data set read from it, without drawn splits.
        said: Settings given by the user.
        machine: Machine to train on.
        progress: Receives the choices as log lines.

    Raises:
        RecipeError: The given settings conflict.
        ModelError: The source model cannot be read.
    """
    facts = facts_of(source, dataset, machine)
    given, inherited = _with_source(said, dataset.dimensions)
    recipe, choices = auto_recipe(facts, given)
    progress.log(
        f"recipe auto, for {plural(facts.pictures, 'image')} of "
        f"{plural(facts.classes, 'class', 'classes')} on {'a GPU' if facts.gpu else 'a CPU'}:"
    )
    for choice in (*inherited, *choices):
        progress.log("\n".join(_lines(choice)))
    return recipe


def facts_of(source: DataSource, dataset: Dataset, machine: Machine) -> DataFacts:
    """Return the facts that the choice of a recipe depends on."""
    split = _training_split(dataset)
    sizes = list(_sizes(dataset, split))
    return DataFacts(
        pictures=dataset.sizes[split],
        classes=len(dataset.classes),
        side=int(np.median([min(size) for size in sizes])) if sizes else None,
        pixels=int(np.median([math.prod(size) for size in sizes])) if sizes else None,
        undivided=set(dataset.sizes) == {"all"},
        streamed=dataset.stream is not None,
        mirrored=not (source.is_named and str(source.data) in NOT_MIRRORED),
        gpu=machine.device.type != "cpu",
        dimensions=dataset.dimensions,
        multi_label=dataset.multi_label,
    )


def typical_side(dataset: Dataset) -> int | None:
    """Return the smallest side of a typical training image, in pixels; None if unknown."""
    sizes = list(_sizes(dataset, _training_split(dataset)))
    return int(np.median([min(size) for size in sizes])) if sizes else None


def _training_split(dataset: Dataset) -> str:
    return "train" if "train" in dataset.sizes else next(iter(dataset.sizes))


def _sizes(dataset: Dataset, split: str) -> Iterator[tuple[float, ...]]:
    """Yield the sizes of some images; skip unreadable ones, which are reported later."""
    read = size_of_volume if dataset.dimensions == 3 else upright_size
    if dataset.stream is not None:
        return
    samples = dataset.split(split)
    spread = np.linspace(0, len(samples) - 1, min(LOOKED_AT, len(samples))).astype(int)
    for number in spread.tolist():
        try:
            yield read(samples[number].path)
        except PictureError:
            continue


def _with_source(said: Said, dimensions: int) -> tuple[Said, tuple[Choice, ...]]:
    """Return the settings, completed with those that a net must share with its source model."""
    source = (said.get("initialize") or {}).get("source")
    if source is None:
        return said, ()
    config = source_config(source)
    lifted = config.net.dimensions < dimensions  # sizes of images say nothing about volumes
    shared = INHERITED_BY_VOLUMES if lifted else INHERITED
    theirs = {key: value for key, value in config.net.model_dump().items() if key in shared}
    net: Mapping[str, Any] = said.get("net") or {}
    taken = {key: value for key, value in theirs.items() if key not in net}
    data = dict(said.get("data") or {})
    scale = {} if lifted or "train_scale" in data else {"train_scale": list(config.train_scale)}
    paths = {f"net.{key}": value for key, value in taken.items()}
    paths |= {f"data.{key}": value for key, value in scale.items()}
    start = dict(said.get("initialize") or {})
    if (lifted or is_weights(source)) and "layers" not in start:
        # Not just the paper's first four convolutions: such a net is given for all its layers.
        start["layers"] = paths["initialize.layers"] = "all"
    given = {**said, "net": {**taken, **net}, "data": {**data, **scale}, "initialize": start}
    return given, (Choice(paths, f"as in {source}"),) if paths else ()


def _lines(choice: Choice) -> Iterator[str]:
    """Yield the lines of a choice, at most 80 columns wide where possible.

    >>> list(_lines(Choice({"net.name": "A", "data.flip": True}, "why")))
    ['  net.name=A data.flip=true: why']
    """
    settings = " ".join(f"{path}={_plain(value)}" for path, value in choice.settings.items())
    whole = f"  {settings}: {choice.reason}"
    if len(whole) <= 80:
        yield whole
    else:
        yield f"  {settings}:"
        yield f"      {choice.reason}"


def _plain(value: Any) -> str:
    if isinstance(value, bool):
        return str(value).lower()
    return "[" + ",".join(map(str, value)) + "]" if isinstance(value, list) else str(value)
