"""What a net of MatConvNet says of its preprocessing and classes.

H height, W width, K classes.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from typing import Any, NamedTuple

import numpy as np

from verydeep.errors import printable
from verydeep.models.folder import LARGEST_SCALE
from verydeep.models.weights.formats.chain import Chain
from verydeep.models.weights.formats.matconvnet.matlab_values import (
    Numbers,
    Struct,
    floats,
    text,
    texts,
)
from verydeep.models.weights.source import Fact

LARGEST_SIDE = 2**14
ILSVRC = 1000
SYNSET = re.compile(r"n\d{8}")


class Meta(NamedTuple):
    """What a net says of itself.

    Attributes:
        facts: Facts by name.
        classes: Names of the K classes, or None.
        input_size: Side of the images, in pixels, or None.
    """

    facts: dict[str, Fact]
    classes: tuple[str, ...] | None
    input_size: int | None


def read_meta(net: Struct, chain: Chain) -> Meta:
    """Return what the struct ``meta`` says, or, in older nets, the net itself.

    Args:
        net: The net.
        chain: Where to report what cannot be used.
    """
    meta = net.get("meta")
    meta = meta if isinstance(meta, dict) else net
    normalization = meta.get("normalization")
    facts: dict[str, Fact] = {}
    size = None
    if isinstance(normalization, dict):
        facts |= _mean(normalization, chain)
        size = _side(normalization)
        facts |= _resize(normalization, size)
        if (kind := text(normalization.get("interpolation"))) in ("bilinear", "bicubic"):
            facts["interpolation"] = Fact(kind, "normalization.interpolation")
    classes, is_ilsvrc = _classes(meta.get("classes"))
    if is_ilsvrc:
        facts["classes"] = Fact("ilsvrc", "classes.name lists 1,000 WordNet ids in their order")
    return Meta(facts, classes, size)


def _mean(normalization: Mapping[str, Any], chain: Chain) -> dict[str, Fact]:
    image = normalization.get("averageImage")
    if isinstance(image, str) and image:
        chain.ignore(f"averageImage {printable(image)}, not in this file")
    if not isinstance(image, Numbers) or image.count % 3 or not image.count:
        return {}
    if image.count > 3 * LARGEST_SIDE**2 // 16 or (len(image.dims) < 3 and image.count != 3):
        return {}
    pixels = image.load().astype(np.float64).reshape(-1, 3, order="F")
    if not np.isfinite(pixels).all():
        return {}
    red, green, blue = (float(value) for value in pixels.mean(axis=0))
    spread = float(np.ptp(pixels, axis=0).max())
    how = "averageImage"
    if spread > 1e-3:
        how = f"mean over the pixels of averageImage, which differ by up to {spread:.3g}"
    return {"mean": Fact((red, green, blue), how)}


def _side(normalization: Mapping[str, Any]) -> int | None:
    sides = floats(normalization.get("imageSize"))
    if len(sides) >= 2 and sides[0] == sides[1] and 0 < sides[0] < LARGEST_SIDE:
        return int(sides[0])
    return None


def _resize(normalization: Mapping[str, Any], size: int | None) -> dict[str, Fact]:
    """Return how images are resized before the central crop, if ``keepAspect`` says so."""
    keeps = floats(normalization.get("keepAspect"))
    if size is None or len(keeps) != 1:
        return {}
    border, share = floats(normalization.get("border")), floats(normalization.get("cropSize"))
    whole = not any(border) and all(one == 1 for one in share)
    if not keeps[0]:
        how = "normalization.keepAspect is false"
        return {"resize": Fact(0, how)} if whole and (border or share) else {}
    if border and 0 <= border[0] <= LARGEST_SCALE - size:
        return {"resize": Fact(round(size + border[0]), "normalization.border")}
    if share and size / LARGEST_SCALE <= share[0] <= 1:
        return {"resize": Fact(round(size / share[0]), "normalization.cropSize")}
    return {}


def _classes(classes: Any) -> tuple[tuple[str, ...] | None, bool]:
    """Return the names of the classes, and whether they are those of ILSVRC in their order."""
    if not isinstance(classes, dict):
        return None, False
    names, described = texts(classes.get("name")), texts(classes.get("description"))
    ids = len(names) == ILSVRC and all(SYNSET.fullmatch(name) for name in names)
    is_ilsvrc = ids and names == sorted(set(names))
    usable = len(set(described)) == len(described) >= len(names)
    chosen = described if usable else names
    return tuple(printable(name) for name in chosen) or None, is_ilsvrc
