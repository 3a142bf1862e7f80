"""ImageNet's 1,000 classes (ILSVRC-2012 to 2017): WordNet ids and names.

The outputs of torchvision's, timm's and Keras's nets, of the authors' Caffe release and of
MatConvNet's are in the order of the WordNet ids. The table beside this file,
``imagenet_classes.txt``, is written by ``benchmarks/imagenet_classes.py``.
"""

from __future__ import annotations

import functools
from collections.abc import Sequence
from importlib import resources
from typing import NamedTuple

CLASSES = 1000
"""Number of classes K."""

_NAMED_APART = {"n02012849": "crane bird", "n03710721": "maillot tank suit"}
"""Names of classes whose first word is another class's as well; torchvision gives them too."""


class ImageNetClass(NamedTuple):
    """A class of ImageNet.

    Attributes:
        wnid: WordNet id, as in the names of ImageNet's folders and files.
        words: WordNet's words for it, separated by ``", "``.
    """

    wnid: str
    words: str

    @property
    def name(self) -> str:
        """Unique name: the first of the words, except for two classes."""
        return _NAMED_APART.get(self.wnid, self.words.split(", ")[0])


@functools.cache
def ilsvrc_classes() -> tuple[ImageNetClass, ...]:
    """Return the classes in the order of their WordNet ids.

    >>> ilsvrc_classes()[0]
    ImageNetClass(wnid='n01440764', words='tench, Tinca tinca')
    """
    text = resources.files(__package__).joinpath("imagenet_classes.txt").read_text("utf-8")
    lines = (line for line in text.splitlines() if not line.startswith("#"))
    return tuple(ImageNetClass(*line.split("\t")) for line in lines)


def ilsvrc_names() -> tuple[str, ...]:
    """Return unique class names in the order of the WordNet ids; torchvision's are the same.

    >>> ilsvrc_names()[:3]
    ('tench', 'goldfish', 'great white shark')
    """
    return tuple(one.name for one in ilsvrc_classes())


def ilsvrc_numbers(names: Sequence[str]) -> tuple[int, ...] | None:
    """Return each name's class number in the order of the WordNet ids.

    Args:
        names: WordNet ids, names or words of the 1,000 classes in any order, as a file of weights
            lists them.

    Returns:
        A permutation of 0 to 999; None if these are not ImageNet's classes.

    >>> names = [f"{one.wnid} {one.words}" for one in ilsvrc_classes()]
    >>> ilsvrc_numbers(names[::-1])[:2]
    (999, 998)
    """
    numbers = [_number(name) for name in names]
    return tuple(numbers) if sorted(numbers) == list(range(CLASSES)) else None


def _number(name: str) -> int:
    """Return the class number for a name such as ``n01440764 tench, Tinca tinca``, or -1."""
    plain = _plain(name)
    return _by_name().get(plain, _by_name().get(plain.partition(" ")[0], -1))


@functools.cache
def _by_name() -> dict[str, int]:
    """Return class numbers by WordNet id, by name and by all words."""
    known: dict[str, int] = {}
    # Later keys win: one word may be the only one of a class, and the name of another.
    for field in ("words", "name", "wnid"):
        for number, one in enumerate(ilsvrc_classes()):
            known[_plain(getattr(one, field))] = number
    return known


def _plain(name: str) -> str:
    return name.strip().replace("_", " ")
