"""Keyword aliases of :func:`verydeep.vgg`, and hints for keywords of other libraries."""

from __future__ import annotations

from collections.abc import Iterable
from typing import TypeVar

from verydeep.errors import InputError, did_you_mean

T = TypeVar("T")

KEYWORDS = ("num_classes", "batch_norm", "input_size", "channels", "width", "hidden", "dropout")

ELSEWHERE = {
    "classes_num": "num_classes",
    "n_classes": "num_classes",
    "nb_classes": "num_classes",
    "bn": "batch_norm",
    "in_chans": "channels",
    "in_channels": "channels",
    "img_size": "input_size",
    "image_size": "input_size",
    "drop_rate": "dropout",
}
"""Keywords of other libraries and ours."""

WEIGHTS = ("pretrained", "weights")


class UnknownKeyword(InputError, TypeError):
    """Unknown keyword argument."""


def refuse_unknown(unknown: Iterable[str]) -> None:
    """Raise an error with a suggestion for unknown keywords.

    Raises:
        UnknownKeyword: There is an unknown keyword.
    """
    for keyword in unknown:
        if keyword in WEIGHTS:
            raise UnknownKeyword(
                f"vgg() has no keyword {keyword!r}: it makes a net that is not trained yet. Load "
                "your own model with verydeep.load(FOLDER), or torchvision's, pretrained on "
                "ImageNet, with verydeep.load('torchvision/vgg16')"
            )
        meant = ELSEWHERE.get(keyword)
        hint = f"; did you mean {meant!r}?" if meant else did_you_mean(keyword, KEYWORDS)
        raise UnknownKeyword(
            f"vgg() has no keyword {keyword!r}; it has {', '.join(KEYWORDS)}{hint}"
        )


def one_of(first: T | None, second: T | None, name: str, other: str) -> T | None:
    """Return the given one of two aliases.

    Raises:
        InputError: Both are given and differ.

    >>> one_of(None, 3, "num_classes", "classes")
    3
    """
    if first is not None and second is not None and first != second:
        raise InputError(f"{name}= and {other}= are the same: got {first!r} and {second!r}")
    return second if first is None else first
