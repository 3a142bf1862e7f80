"""Names of splits, in any usual spelling, and the split each name means.

A name is parsed word by word, ignoring case: ``Train_Data``, ``pets-train``, ``TestSet``,
``instances_val2017``. A split word inside a longer word means nothing (``trainer``, ``contest``).
"""

from __future__ import annotations

import re
import unicodedata
from collections.abc import Collection, Iterable, Iterator, Mapping
from typing import NamedTuple

from verydeep.errors import DataError, did_you_mean, shortened

ORDER = ("train", "val", "test", "all")
"""``all`` holds images without splits."""

EVAL = "eval"
"""A split that means ``test`` beside a ``val``, else ``val``; see :func:`meaning_of_eval`."""

SPLITS = {
    "train": "train",
    "training": "train",
    "trn": "train",
    "trainval": "train",
    "val": "val",
    "valid": "val",
    "validation": "val",
    "test": "test",
    "testing": "test",
    "tst": "test",
    "dev": "val",
    "development": "val",
    "eval": EVAL,
    "evaluation": EVAL,
    "holdout": "test",
    "heldout": "test",
}
"""Lower-case words for splits, and the split each means."""

_WEAK = frozenset(("dev", "development", "eval", "evaluation", "holdout", "heldout"))
"""Words that count only where no other does: COCO's ``test-dev`` is a test."""

_TOGETHER = {
    ("hold", "out"): "holdout",
    ("held", "out"): "heldout",
    ("train", "val"): "trainval",
}
_FILLERS = frozenset(
    (
        *("set", "sets", "data", "dataset", "datasets", "split", "splits", "sample", "samples"),
        *("image", "images", "img", "imgs", "picture", "pictures", "pic", "pics", "photo"),
        *("photos", "folder", "folders", "file", "files"),
    )
)
"""Words that do not change the meaning of a name."""

_GLUED = re.compile(r"(\w+?)(sets?|data|dataset|images|imgs|split)")
_WORD = re.compile(r"\d+|[^\W\d_]+")
_HUMP = re.compile(r"(?<=[a-z])(?=[A-Z])|(?<=[A-Z])(?=[A-Z][a-z])")


class SplitName(NamedTuple):
    """The split that a name contains.

    Attributes:
        split: The split; may be :data:`EVAL`.
        rest: The other words, without fillers like ``data`` and ``set``; numbers count only
            beside words. A name without a rest means the split and nothing else.
    """

    split: str
    rest: tuple[str, ...] = ()


def split_name(name: str) -> SplitName | None:
    """Parse a name; None unless it contains exactly one split.

    >>> split_name("Training_Data"), split_name("pets-Test")
    (SplitName(split='train', rest=()), SplitName(split='test', rest=('pets',)))
    >>> split_name("trainer"), split_name("train or test")
    (None, None)
    """
    words = list(_words(name))
    found = {SPLITS[word] for word in _counting(words)}
    if len(found) != 1:
        return None
    rest = tuple(word for word in words if word not in SPLITS and word not in _FILLERS)
    return SplitName(found.pop(), () if all(map(str.isdigit, rest)) else rest)


def whole_split(name: str) -> str | None:
    """Return the split that a whole name means; None if it means anything else too.

    >>> [whole_split(name) for name in ("TEST", "hold-out set", "bullet_train")]
    ['test', 'test', None]
    """
    found = split_name(name)
    return found.split if found and not found.rest else None


def last_split(name: str) -> str | None:
    """Return the split that the last split word in a file's name means.

    >>> last_split("imagenet1k-validation-03.tar"), last_split("Train/007.tar"), last_split("7.tar")
    ('val', 'train', None)
    """
    found = _counting(list(_words(name)))
    return SPLITS[found[-1]] if found else None


def meaning_of_eval(splits: Collection[str]) -> str:
    """Return the split that ``eval`` means beside other splits.

    >>> meaning_of_eval(["train", "eval"]), meaning_of_eval(["train", "val", "eval"])
    ('val', 'test')
    """
    return "test" if "val" in splits else "val"


def resolve_eval(splits: Mapping[str, str]) -> dict[str, str]:
    """Return the split of every name, with :data:`EVAL` resolved."""
    meaning = meaning_of_eval(splits.values())
    return {name: meaning if split == EVAL else split for name, split in splits.items()}


def unknown_split(name: object, place: str) -> DataError:
    """Return the error for an unknown split name."""
    words = [word for word in SPLITS if word not in ("trainval", "heldout")]
    return DataError(
        f"{place}: split must be one of {', '.join(words)}, got {shortened(name)} instead"
        f"{did_you_mean(str(name).strip().lower(), words)}"
    )


def spelled_out(names: Iterable[tuple[str, str]]) -> str:
    """List which name means which split, without names equal to their split.

    >>> spelled_out([("Training/", "train"), ("val/", "val")])
    'Training/ as train'
    """
    return ", ".join(f"{name} as {split}" for name, split in names if name.strip("/") != split)


def _counting(words: Iterable[str]) -> list[str]:
    """Return the split words that count."""
    found = [word for word in words if word in SPLITS]
    return [word for word in found if word not in _WEAK] or found


def _words(name: str) -> Iterator[str]:
    """Yield the lower-case words and numbers of a name."""
    plain = unicodedata.normalize("NFKC", name)
    parts = [found.casefold() for found in _WORD.findall(_HUMP.sub(" ", plain))]
    while parts:
        pair = _TOGETHER.get(tuple(parts[:2]))
        word = pair or parts[0]
        del parts[: 2 if pair else 1]
        glued = _GLUED.fullmatch(word)
        yield glued[1] if glued and glued[1] in SPLITS else word
