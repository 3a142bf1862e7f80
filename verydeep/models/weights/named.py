"""Nets from names of published weights, and from files of weights."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from functools import lru_cache
from pathlib import Path
from typing import Any

from verydeep.errors import ModelError, did_you_mean
from verydeep.models.folder import ModelConfig, NetConfig, PreprocessingConfig, read_config
from verydeep.models.path import TORCHVISION, check_vgg, find_model, is_weights, names_weights
from verydeep.models.weights.convert import DIVISOR
from verydeep.models.weights.download import fetch
from verydeep.models.weights.families import AUTHORS_MEAN, HABITS
from verydeep.models.weights.imported import USUAL_SIZE, Imported, import_file
from verydeep.models.weights.neighbours import facts_of_neighbour
from verydeep.models.weights.published import Published, find_published, published_like
from verydeep.models.weights.source import Fact
from verydeep.nets.norm import norm_name
from verydeep.nets.registry import HIDDEN, family_of
from verydeep.system.files import expanded
from verydeep.system.progress import Progress

TORCHVISION_FEATURES = "torchvision/vgg16-features"
"""The authors' convolutions for torchvision's preprocessing: deviations of one."""

_MEMBERS = {"": "", "DEFAULT": "", "IMAGENET1K_V1": "", "IMAGENET1K_FEATURES": "-features"}
"""Suffix of a name for a member of torchvision's enumerations of weights."""


def import_source(
    source: str | Path,
    said: Mapping[str, Any] | None = None,
    *,
    classes: Sequence[str] | None = None,
    progress: Progress | None = None,
) -> Imported:
    """Make a net from a name of published weights, downloaded once, or from a file.

    Args:
        source: A name like ``keras/vgg16``; a name and a file like ``torchvision/vgg16:FILE``; or a
            file, whose habits of preprocessing are then told by its format.
        said: Preprocessing given by the user.
        classes: Names of the classes in the order of the outputs; None takes what is known.
        progress: Receives the progress of a download.

    Raises:
        ModelError: There are no such weights, they cannot be downloaded, or the file is broken.
        InputError: A given value makes no sense.
    """
    name, file = split_name(source)
    if name is None:
        path = expanded(source)
        same = published_like(path.name)
        return import_file(path, said, classes=classes, known=facts_of(same) if same else None)
    known = find_published(name)
    path, sha256 = fetch(known, progress) if file is None else (file, None)
    about = _about(known) if file is None else {"name": name}
    made = import_file(
        path, said, classes=classes, known=facts_of(known), source=about, sha256=sha256
    )
    found = made.match
    if (found.name, found.batch_norm) != (known.net, known.batch_norm):
        norm = " with batch normalisation" if found.batch_norm else ""
        raise ModelError(f"{source}: the file holds net {found.name}{norm}, not {known.alias}")
    return made


def split_name(source: str | Path) -> tuple[str | None, Path | None]:
    """Return the name of published weights and the file after a colon; None for each not given.

    >>> split_name("torchvision/vgg16:IMAGENET1K_V1"), split_name("weights.h5")
    (('torchvision/vgg16', None), (None, None))
    """
    if not names_weights(source):
        return None, None
    name, _, rest = str(source).partition(":")
    check_vgg(name)
    if name.startswith(TORCHVISION) and rest in _MEMBERS and not Path(rest or ".").is_file():
        return name + _MEMBERS[rest], None
    if rest and not expanded(rest).is_file():
        members = [member for member in _MEMBERS if member]
        raise ModelError(
            f"{source}: {rest} is no file, and no weights of that name are published"
            f"{did_you_mean(rest, members)}"
        )
    return name, expanded(rest) if rest else None


def facts_of(known: Published) -> Mapping[str, Fact]:
    """Return what published weights are known to expect."""
    facts = dict(facts_of_neighbour(known.family, known.net) or HABITS[known.family])
    if known.name == TORCHVISION_FEATURES:
        how = "torchvision's transforms of these weights: the authors' mean, std 1/255"
        facts |= {"mean": Fact(AUTHORS_MEAN, how), "std": Fact((1.0, 1.0, 1.0), how)}
    return facts


def _about(known: Published) -> dict[str, Any]:
    """Return what the model folder keeps of published weights."""
    return {
        "name": known.name,
        "url": known.url,
        "licence": known.licence,
        "published": {
            "top1_error": known.top1_error,
            "top5_error": known.top5_error,
            "protocol": known.protocol,
            "reference": known.reference,
        },
    }


def source_config(source: str | Path) -> ModelConfig:
    """Return the configuration of a model folder or of weights, without a download.

    Raises:
        ModelError: There is no such model.
    """
    name, file = split_name(source)
    if name is not None and file is None:
        return _config_of(find_published(name))
    if not is_weights(source):
        return read_config(find_model(source))
    facts = expanded(file or source).stat()
    return _config_of_file(str(source), facts.st_mtime_ns, facts.st_size)


@lru_cache(maxsize=4)
def _config_of_file(source: str, changed: int, size: int) -> ModelConfig:
    """Return the configuration of a file of weights; a training asks for it several times."""
    return import_source(source).config


def _config_of(known: Published) -> ModelConfig:
    """Return the configuration of published weights as far as it is known without the file."""
    facts = facts_of(known)
    resize = facts["resize"].value
    own = family_of(known.net).settings
    hidden = HIDDEN if known.classifier else 0
    return ModelConfig(
        net=NetConfig(
            name=known.net,
            input_size=USUAL_SIZE,
            width=1.0,
            hidden=hidden if "hidden" in own else None,
            dropout=own["dropout"],
            norm=norm_name(known.batch_norm),
            auxiliary=False if "auxiliary" in own else None,
        ),
        classes=("0",) if known.classifier else (),
        preprocessing=PreprocessingConfig(mean=facts["mean"].value, divisor=DIVISOR),
        train_scale=(resize, resize),
        test_scales=(resize,),
    )
