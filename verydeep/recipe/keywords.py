"""Settings of a recipe as Python keywords: ``learning_rate=0.01``, ``data__flip=False``."""

from __future__ import annotations

import os
from collections.abc import Mapping
from typing import Any

from verydeep.errors import RecipeError, did_you_mean
from verydeep.recipe.aliases import KEYS, other_word
from verydeep.recipe.recipe import known_keys

SHORT = {"net": "net.name", "init_from": "initialize.source"}
"""Settings with another name on the command line, by that name."""


class UnknownKeyword(RecipeError, TypeError):
    """A keyword that is not a setting of a recipe."""


def keyword_settings(keywords: Mapping[str, Any]) -> dict[str, Any]:
    """Convert keywords to settings by dotted path.

    Args:
        keywords: Name of a setting, if only one section has it (``epochs``); section and name,
            joined by two underscores (``data__flip``) or a dot; or ``net`` and ``init_from``, as
            on the command line.

    Raises:
        UnknownKeyword: A keyword names no setting, or several.

    >>> keyword_settings({"epochs": 3, "data__flip": False, "net": "A"})
    {'training.epochs': 3, 'data.flip': False, 'net.name': 'A'}
    """
    faults, found = [], {}
    for keyword, value in keywords.items():
        try:
            found[_path(keyword)] = _plain(value)
        except UnknownKeyword as error:
            faults.append(str(error))
    if faults:
        raise UnknownKeyword("\n".join(faults))
    return found


def _path(keyword: str) -> str:
    path = SHORT.get(keyword, keyword.replace("__", "."))
    if path in known_keys():
        return path
    fitting = [key for key in known_keys() if key.partition(".")[2] == keyword]
    if len(fitting) == 1:
        return fitting[0]
    if fitting:
        choices = " or ".join(f"{key.replace('.', '__')}=" for key in fitting)
        raise UnknownKeyword(f"{keyword}= is a setting of several sections: write {choices}")
    raise UnknownKeyword(f"{keyword}= is no setting of a recipe{_hint(keyword)}")


def _hint(keyword: str) -> str:
    name = keyword.rpartition("__")[2].rpartition(".")[2]
    if name.lower() in KEYS:
        return f"; did you mean {_shortest(KEYS[name.lower()])!r}?"
    if word := other_word(name):
        return word
    short = [*SHORT, *(_shortest(key) for key in known_keys())]
    return did_you_mean(keyword, short) or did_you_mean(name, short)


def _shortest(key: str) -> str:
    """Return the shortest keyword that names a setting."""
    by_key = {path: short for short, path in SHORT.items()}
    section, _, name = key.partition(".")
    alone = sum(known.partition(".")[2] == name for known in known_keys()) == 1
    return by_key.get(key) or (name if alone else f"{section}__{name}")


def _plain(value: Any) -> Any:
    """Return a value as a recipe stores it: paths and devices as text, NumPy's as Python's."""
    if isinstance(value, os.PathLike):
        return os.fspath(value)
    if type(value).__module__ == "numpy" and hasattr(value, "tolist"):
        return value.tolist()
    if type(value).__module__ == "torch":  # a device
        return str(value)
    return value
