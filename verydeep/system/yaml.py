"""YAML of plain values, without repeated keys (which PyYAML accepts)."""

from __future__ import annotations

from typing import Any

import yaml


class _Loader(yaml.SafeLoader):
    """Loads plain values only, and refuses repeated keys."""


def _mapping(loader: _Loader, node: yaml.MappingNode) -> dict[Any, Any]:
    seen: set[str] = set()
    for key, _ in node.value:
        line = key.start_mark.line + 1
        if not isinstance(key, yaml.ScalarNode):
            raise yaml.YAMLError(f"the key in line {line} is a list or a mapping, not a word")
        if key.value in seen:
            raise yaml.YAMLError(f"the key {key.value!r} is repeated in line {line}")
        seen.add(key.value)
    return loader.construct_mapping(node, deep=True)


_Loader.add_constructor(yaml.resolver.BaseResolver.DEFAULT_MAPPING_TAG, _mapping)


def parse_yaml(text: str) -> Any:
    """Parse YAML.

    Raises:
        yaml.YAMLError: The text is not valid YAML, or a key is repeated or no single value.
    """
    return yaml.load(text, _Loader)  # noqa: S506 - a safe loader


def dump_yaml(tree: Any) -> str:
    """Format plain values as YAML, in order."""
    text = yaml.safe_dump(tree, sort_keys=False, allow_unicode=True)
    if yaml.safe_load(text) == tree:
        return text
    # PyYAML writes some of Unicode's line breaks unchanged, and folds them when reading.
    return yaml.safe_dump(tree, sort_keys=False)


def one_value(value: str | int) -> str:
    """Return a word or a number as YAML on one line, which is read as the same.

    >>> parse_yaml(one_value("yes: 🐶")), parse_yaml(one_value(3))
    ('yes: 🐶', 3)
    """
    if not isinstance(value, str):
        return str(value)
    # Unlike JSON's, its escapes of characters beyond the BMP are no surrogate pairs.
    return yaml.safe_dump(value, default_style='"', width=float("inf")).removesuffix("\n")
