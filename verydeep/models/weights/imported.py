"""A net made from a file of weights, with its configuration and a report of how it was made."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch

from verydeep.errors import InputError, ModelError, plural, printable
from verydeep.models.folder import ModelConfig, NetConfig, PreprocessingConfig
from verydeep.models.weights.checksum import digest_of
from verydeep.models.weights.convert import DIVISOR, to_net
from verydeep.models.weights.families import known_facts, pixels_of
from verydeep.models.weights.imagenet import ilsvrc_classes, ilsvrc_numbers
from verydeep.models.weights.match import Match, match
from verydeep.models.weights.neighbours import facts_of_neighbour, match_neighbour
from verydeep.models.weights.recognize import read_weights
from verydeep.models.weights.source import Fact, Family, SourceFile
from verydeep.nets.interface import Net
from verydeep.nets.registry import final_map, input_for_map
from verydeep.system.option_names import in_program, option

USUAL_SIZE = 224
ILSVRC = 1000
BILINEAR = "bilinear"


@dataclass(frozen=True, eq=False)
class Imported:
    """A net made from a file of weights.

    Attributes:
        net: The net, in evaluation mode.
        config: Configuration of its model folder.
        match: Layers of the file by layer of the net, and those left out.
        facts: What was taken for granted, and how it is known.
        format: Format of the file, in words.
        family: Framework that the file is of.
        path: The file.
    """

    net: Net
    config: ModelConfig
    match: Match
    facts: Mapping[str, Fact]
    format: str
    family: Family
    path: Path

    def lines(self) -> Iterator[str]:
        """Yield the report: layers, what was left out, and what was taken for granted."""
        found = self.match
        norm = ", batch normalisation" if found.batch_norm else ""
        width = "" if found.width == 1 else f", {found.width:g} of its width"
        head = plural(found.num_classes, "class", "classes") if found.head else "convolutions only"
        yield f"{self.format}: net {found.name}{norm}{width}, {head}"
        yield from (f"  {note}" for note in found.notes)
        for layer in (*found.convolutions, *found.head, *found.left_out):
            yield f"  {layer}"
        yield "taken for granted:"
        for name, fact in self.facts.items():
            if name != "classes" or found.head:
                yield f"  {name}: {_plain(fact.value)} ({fact.how})"
        if self.departures:
            yield "not done as by the source:"
            yield from (f"  {line}" for line in self.departures)
        yield from self._published()

    @property
    def departures(self) -> tuple[str, ...]:
        """What the source does to images before their central crop and this package does not."""
        size, found = self.config.net.input_size, []
        resize, interpolation = self.facts["resize"], self.facts["interpolation"]
        if not resize.value:
            found.append(
                f"it squashes images to {size}x{size} ({resize.how}); here their smallest side "
                f"becomes {size} and the central crop is taken, which differs unless they are "
                "square"
            )
        if interpolation.value != BILINEAR:
            found.append(
                f"it rescales images by {interpolation.value} interpolation "
                f"({interpolation.how}); here they are rescaled by {BILINEAR} interpolation"
            )
        return tuple(found)

    def _published(self) -> Iterator[str]:
        """Yield the published errors, and how to measure by the same protocol."""
        source = self.config.source or {}
        said = source.get("published") or {}
        if said.get("top1_error") is None and said.get("top5_error") is None:
            return
        errors = [
            f"top-{k} error {said[f'top{k}_error']:.2f} %"
            for k in (1, 5)
            if said.get(f"top{k}_error") is not None
        ]
        yield f"published: {', '.join(errors)}; {said['protocol']} ({said['reference']})"
        yield (
            "to measure the same, evaluate the model on ImageNet's validation set with "
            f"{option('protocol', 'center')} {option('scales', self.config.test_scales[0])} "
            f"{option('no_flip', True) if in_program() else 'flip=False'}"
        )
        yield f"licence: {source['licence']}"

    def to_dict(self) -> dict[str, Any]:
        """Return plain values for JSON."""
        found = self.match
        return {
            "format": self.format,
            "net": found.name,
            "batch_norm": found.batch_norm,
            "classes": found.num_classes,
            "copied": {one.layer: one.source.name for one in (*found.convolutions, *found.head)},
            "notes": list(found.notes),
            "left_out": [{"layer": one.source, "why": one.why} for one in found.left_out],
            "facts": {name: _stored(fact) for name, fact in self.facts.items()},
            "departures": list(self.departures),
        }


def import_file(
    path: Path,
    said: Mapping[str, Any] | None = None,
    *,
    classes: Sequence[str] | None = None,
    known: Mapping[str, Fact] | None = None,
    source: Mapping[str, Any] | None = None,
    sha256: str | None = None,
    dtype: torch.dtype = torch.float32,
) -> Imported:
    """Read a file of weights and make a net of it, with the same scores.

    Args:
        path: File of any known format; see :func:`~verydeep.models.weights.recognize.read_weights`.
        said: Preprocessing given by the user, by the names in
            :data:`~verydeep.models.weights.source.FACTS`.
        classes: Names of the classes in the order of the outputs; None takes what is known.
        known: Facts about these weights, in place of the habits of the file's format.
        source: What is known of published weights, for the configuration.
        sha256: Checksum of the file, if it is known already.
        dtype: Precision of the net's weights.

    Raises:
        ModelError: The file is broken, of no known format, or holds no net of the paper.
        MissingExtra: The format needs a library that is not installed.
        InputError: A given value makes no sense, the number of classes differs, or two
            have one name.
    """
    file = read_weights(path)
    try:
        found = match_neighbour(file) or match(file)
    except ModelError as error:
        raise ModelError(f"{printable(path)}: {error}") from error
    known = known or facts_of_neighbour(file.family, found.name)
    facts = known_facts(file, said, known)
    size = _input_size(file, found)
    net = to_net(found, pixels_of(facts), input_size=size, dtype=dtype)
    names, titles = _classes(file, found, facts, classes)
    sha256 = sha256 or digest_of(path, "sha256")
    about = {"file": path.name, "sha256": sha256, "format": file.format, **(source or {})}
    about["facts"] = {name: _stored(fact) for name, fact in facts.items()}
    resize = max(size, int(facts["resize"].value))
    config = ModelConfig(
        net=NetConfig.of(net),
        classes=names,
        titles=titles,
        preprocessing=PreprocessingConfig(mean=facts["mean"].value, divisor=DIVISOR),
        train_scale=(resize, resize),
        test_scales=(resize,),
        source=about,
    )
    return Imported(net, config, found, facts, file.format, file.family, path)


def _input_size(file: SourceFile, found: Match) -> int:
    """Return the side of the images, which the head fixes but for rounding.

    A head in convolutional form may be declared for larger images than its map needs.
    """
    side = found.final_map
    if file.input_size and (side is None or final_map(file.input_size) == side):
        return file.input_size
    return USUAL_SIZE if side is None else input_for_map(side)


def _classes(
    file: SourceFile, found: Match, facts: Mapping[str, Fact], given: Sequence[str] | None
) -> tuple[tuple[str, ...], dict[str, str]]:
    """Return names and titles of the classes."""
    count = found.num_classes
    if given is not None:
        if len(given) != count:
            raise InputError(
                f"{plural(len(given), 'class', 'classes')} given, but the net has "
                f"{plural(count, 'output')}"
            )
        if len(set(given)) < count:
            twice = next(name for name in given if given.count(name) > 1)
            raise InputError(
                f"two classes are called {printable(twice)!r}; give them different names"
            )
        return tuple(given), {}
    names = file.classes if file.classes is not None and len(file.classes) == count else None
    order = None if names is None else ilsvrc_numbers(names)
    if names is None and count == ILSVRC and facts["classes"].value == "ilsvrc":
        order = tuple(range(ILSVRC))
    if order is not None:
        known = [ilsvrc_classes()[number] for number in order]
        return tuple(one.wnid for one in known), {one.wnid: one.name for one in known}
    if names is not None and len(set(names)) == count:
        return names, {}
    return tuple(map(str, range(count))), {}


def _stored(fact: Fact) -> dict[str, Any]:
    """Return a fact as JSON gives it back."""
    value = list(fact.value) if isinstance(fact.value, tuple) else fact.value
    return {"value": value, "how": fact.how}


def _plain(value: object) -> str:
    if isinstance(value, tuple):
        return ", ".join(f"{number:.6g}" for number in value)
    return str(value)
