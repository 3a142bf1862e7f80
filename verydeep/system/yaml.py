"""YAML as recipes use it: plain values, every key once."""

from __future__ import annotations

from typing import Any

import yaml


class _Loader(yaml.SafeLoader):
    """Reads plain values only, and refuses a key that stands there twice."""


def _mapping(loader: _Loader, node: yaml.MappingNode) -> dict[Any, Any]:
    seen: set[str] = set()
    for key, _ in node.value:
        if key.value in seen:
            line = key.start_mark.line + 1
            raise yaml.YAMLError(f"the key {key.value!r} stands there twice, again in line {line}")
        seen.add(str(key.value))
    return loader.construct_mapping(node, deep=True)


_Loader.add_constructor(yaml.resolver.BaseResolver.DEFAULT_MAPPING_TAG, _mapping)


def parse_yaml(text: str) -> Any:
    """Read plain values.

    Raises:
        yaml.YAMLError: It is not valid YAML, or a key stands there twice.
    """
    return yaml.load(text, _Loader)  # noqa: S506 - a safe loader


def dump_yaml(tree: Any) -> str:
    """Write plain values, in their order."""
    text = yaml.safe_dump(tree, sort_keys=False, allow_unicode=True)
    if yaml.safe_load(text) == tree:
        return text
    # Unicode has line breaks that YAML's writer leaves as they are and its reader folds.
    return yaml.safe_dump(tree, sort_keys=False)
