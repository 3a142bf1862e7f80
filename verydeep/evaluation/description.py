"""A test in words: every step from images to posteriors, to make two results comparable."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import Any
from typing import Protocol as Interface

from verydeep.evaluation.protocol import TestProtocol
from verydeep.evaluation.views import Center, Dense, GoogLeNetCrops, Grid, TenCrop, Views
from verydeep.evaluation.volume_views import views_of
from verydeep.nets.dimensions import INPUT_WORDS


class Described(Interface):
    """Properties of a net that the steps mention."""

    @property
    def name(self) -> str:
        """Name of the net."""

    @property
    def input_size(self) -> int:
        """Side of its crops, in pixels."""

    @property
    def interpolation(self) -> str:
        """Interpolation for preset ``torchvision``; other presets are bilinear."""

    @property
    def density(self) -> str:
        """Its answer to an image larger than a crop, in words."""

    @property
    def dimensions(self) -> int:
        """Axes of space of what it classifies: 2 for images, 3 for volumes."""


def views_a_scale(views: Views, dimensions: int = 2) -> int:
    """Return the number of views of an image, or a volume, at one scale.

    >>> views_a_scale(Grid()), views_a_scale(GoogLeNetCrops()), views_a_scale(Grid(), dimensions=3)
    (50, 36, 250)
    """
    # The size is arbitrary: the count does not depend on it.
    return len(views_of(views, (5, 4, 6)[-dimensions:], 2))


def views_a_picture(protocols: Sequence[TestProtocol], dimensions: int = 2) -> int:
    """Return the number of views of an image in a test, over all nets and scales.

    >>> views_a_picture([TestProtocol("both", (256, 384, 512), flip=True)])
    156
    """
    return sum(
        len(protocol.used_scales) * sum(views_a_scale(kind, dimensions) for kind in protocol.kinds)
        for protocol in protocols
    )


def way_of_testing(
    models: Sequence[Described], protocols: Sequence[TestProtocol]
) -> dict[str, Any]:
    """Return how nets are tested together, by attribute of a result.

    Args:
        models: The nets.
        protocols: One for each net; they differ only in their scales and mirror images.
    """
    first = protocols[0]
    mirrors = {protocol.mirrors for protocol in protocols}
    return {
        "protocol": first.name,
        "scales": tuple(sorted({scale for how in protocols for scale in how.used_scales})),
        "flip": first.mirrors if len(mirrors) == 1 else None,
        "average": first.average,
        "views": views_a_picture(protocols, models[0].dimensions),
        "models": tuple(model.name for model in models),
    }


def steps(
    models: Sequence[Described], protocols: Sequence[TestProtocol], activation: str = "softmax"
) -> tuple[str, ...]:
    """Return the steps of a test, in order.

    Args:
        models: The nets.
        protocols: One for each net; they differ only in their scales and mirror images.
        activation: What makes posteriors of scores.
    """
    found = _steps(models, protocols)
    if activation == "softmax":
        return tuple(found)
    return tuple(step.replace("softmax", activation) for step in found)


def _steps(models: Sequence[Described], protocols: Sequence[TestProtocol]) -> Iterator[str]:
    first = protocols[0]
    for model, protocol in zip(models, protocols, strict=True):
        who = f"net {model.name}: " if len(models) > 1 else ""
        scales = ", ".join(str(scale) for scale in protocol.used_scales)
        own = first.preset == "torchvision"
        longer = "longer side" if model.dimensions == 2 else "the others"
        rounding = "rounded down" if own else "to the nearest pixel"
        interpolation = model.interpolation if own else "bilinear"
        unit = INPUT_WORDS[model.dimensions].unit
        yield (
            f"{who}rescale: smallest side to Q = {scales} {unit}, {longer} in proportion, "
            f"{rounding}; {interpolation}, antialiased"
        )
        for kind in protocol.kinds:
            count = views_a_scale(kind, model.dimensions)
            turns = ", with mirror images" if protocol.mirrors else ""
            shown = _picture_of(kind, model.input_size, model.dimensions)
            yield f"{who}views: {shown}{turns}: {count} a scale"
        if any(isinstance(kind, Dense) for kind in protocol.kinds):
            yield f"{who}answers densely: {model.density}"
    yield from _averages(protocols)


def _averages(protocols: Sequence[TestProtocol]) -> Iterator[str]:
    protocol = protocols[0]
    within = {
        "mirror images": any(one.mirrors for one in protocols),
        "crops": protocol.name in ("crops", "both", "ten-crop", "googlenet"),
        "dense and crops": protocol.name == "both",
        "scales": any(len(one.used_scales) > 1 for one in protocols),
        "nets": len(protocols) > 1,
    }
    over = [what for what, there in within.items() if there]
    over_all = f"over {', then '.join(over)}"
    then = f", then {over_all}" if over else ""
    match protocol.average:
        case "paper":
            yield "scores averaged over the positions of a map, before the softmax"
            yield "softmax"
            if over:
                yield f"posteriors averaged {over_all}"
        case "scores":
            yield f"scores averaged over the positions of a map{then}"
            yield "softmax, once at the end"
        case "posteriors":
            yield "softmax at every position"
            yield f"posteriors averaged over the positions of a map{then}"


def _picture_of(views: Views, size: int, dimensions: int) -> str:
    sides = "x".join([str(size)] * dimensions)
    match views:
        case Dense():
            return f"the whole {INPUT_WORDS[dimensions].thing}"
        case Center():
            return f"the central {sides} crop"
        case Grid(rows, columns):
            slices = "" if dimensions == 2 else f"{min(rows, columns)}x"
            return f"{slices}{rows}x{columns} crops of {sides} on a regular grid"
        case TenCrop():
            return f"corners and centre of the central square, {size}x{size}"
        case GoogLeNetCrops():
            return (
                f"three squares along the longer side, of each the corners and the centre of "
                f"{size}x{size}, and the square resized to that"
            )
    raise AssertionError(views)
