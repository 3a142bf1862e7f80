"""Keyword aliases of :func:`verydeep.vgg`, and hints for keywords of other libraries."""

from __future__ import annotations

from collections.abc import Iterable

from verydeep.errors import InputError, did_you_mean

KEYWORDS = (
    "num_classes",
    "batch_norm",
    "input_size",
    "channels",
    "width",
    "hidden",
    "dropout",
    "dimensions",
)

ELSEWHERE = {
    "classes": "num_classes",
    "norm": "batch_norm",
    "classes_num": "num_classes",
    "n_classes": "num_classes",
    "nb_classes": "num_classes",
    "bn": "batch_norm",
    "in_chans": "channels",
    "in_channels": "channels",
    "img_size": "input_size",
    "imgsz": "input_size",
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
