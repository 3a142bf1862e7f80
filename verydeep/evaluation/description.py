"""A test in words: every step from images to posteriors, so that two numbers can be compared."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import Protocol as Interface

from verydeep.evaluation.protocol import TestProtocol
from verydeep.evaluation.views import Center, Dense, GoogLeNetCrops, Grid, TenCrop, Views


class Described(Interface):
    """What a step says of a net."""

    @property
    def name(self) -> str:
        """Name of the net."""

    @property
    def input_size(self) -> int:
        """Side of its crops, in pixels."""

    @property
    def interpolation(self) -> str:
        """How images are rescaled for it in its own preset; else always bilinearly."""

    @property
    def density(self) -> str:
        """How it answers on an image larger than a crop."""


def views_a_scale(views: Views) -> int:
    """Return how many views of an image there are at one scale.

    >>> views_a_scale(Grid()), views_a_scale(GoogLeNetCrops())
    (50, 36)
    """
    # Counted on a made-up size: their number is that of any other.
    return len(views(4, 6, 2))


def views_a_picture(protocols: Sequence[TestProtocol]) -> int:
    """Return how many views of an image a test shows to its nets, over all scales.

    >>> views_a_picture([TestProtocol("both", (256, 384, 512), flip=True)])
    156
    """
    return sum(
        len(protocol.used_scales) * sum(views_a_scale(kind) for kind in protocol.kinds)
        for protocol in protocols
    )


def steps(models: Sequence[Described], protocols: Sequence[TestProtocol]) -> tuple[str, ...]:
    """Return the steps of a test, in order.

    Args:
        models: The nets.
        protocols: One for each net; they differ in their scales alone.
    """
    return tuple(_steps(models, protocols))


def _steps(models: Sequence[Described], protocols: Sequence[TestProtocol]) -> Iterator[str]:
    first = protocols[0]
    for model, protocol in zip(models, protocols, strict=True):
        who = f"net {model.name}: " if len(models) > 1 else ""
        scales = ", ".join(str(scale) for scale in protocol.used_scales)
        own = first.preset == "torchvision"
        rounding = "rounded down" if own else "to the nearest pixel"
        interpolation = model.interpolation if own else "bilinear"
        yield (
            f"{who}rescale: smallest side to Q = {scales} pixels, longer side in proportion, "
            f"{rounding}; {interpolation}, antialiased"
        )
        for kind in protocol.kinds:
            count, turns = views_a_scale(kind), ", with mirror images" if first.mirrors else ""
            yield f"{who}views: {_picture_of(kind, model.input_size)}{turns}: {count} a scale"
        if any(isinstance(kind, Dense) for kind in protocol.kinds):
            yield f"{who}answers densely: {model.density}"
    yield from _averages(first, len(models), max(len(p.used_scales) for p in protocols))


def _averages(protocol: TestProtocol, nets: int, scales: int) -> Iterator[str]:
    within = {
        "mirror images": protocol.mirrors,
        "crops": protocol.name in ("crops", "both", "ten-crop", "googlenet"),
        "dense and crops": protocol.name == "both",
        "scales": scales > 1,
        "nets": nets > 1,
    }
    over = [what for what, there in within.items() if there]
    over_all = f"over {', then '.join(over)}"
    then = f", then {over_all}" if over else ""
    match protocol.average:
        case "paper":
            yield "scores averaged over the positions of a map, before the softmax"
            yield "soft-max"
            if over:
                yield f"posteriors averaged {over_all}"
        case "scores":
            yield f"scores averaged over the positions of a map{then}"
            yield "softmax, once at the end"
        case "posteriors":
            yield "softmax at every position"
            yield f"posteriors averaged over the positions of a map{then}"


def _picture_of(views: Views, size: int) -> str:
    match views:
        case Dense():
            return "the whole image"
        case Center():
            return f"the central {size}x{size} crop"
        case Grid(rows, columns):
            return f"{rows}x{columns} crops of {size}x{size} on a regular grid"
        case TenCrop():
            return f"corners and centre of the central square, {size}x{size}"
        case GoogLeNetCrops():
            return (
                f"three squares along the longer side, of each the corners and the centre of "
                f"{size}x{size}, and the square resized to that"
            )
    raise AssertionError(views)
