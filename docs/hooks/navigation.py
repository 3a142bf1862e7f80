"""Navigation entries that expand to pages.

In ``mkdocs.yml`` the entry ``folder/`` stands for the pages of that folder, ``index.md`` first and
the others by name, and ``*.md`` for the top-level pages that are listed nowhere else.
"""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any


def on_config(config: Any) -> Any:
    """Replace such entries by pages."""
    docs = Path(config.docs_dir)
    named = set(_names(config.nav))
    config.nav = [entry for entry in _expanded(config.nav, docs, named) if entry]
    return config


def _names(entries: Any) -> Iterator[str]:
    if isinstance(entries, str):
        yield entries
    elif isinstance(entries, dict):
        for value in entries.values():
            yield from _names(value)
    else:
        for entry in entries:
            yield from _names(entry)


def _expanded(entries: list[Any], docs: Path, named: set[str]) -> Iterator[Any]:
    for entry in entries:
        if entry == "*.md":
            yield from (page.name for page in sorted(docs.glob("*.md")) if page.name not in named)
        elif isinstance(entry, str) and entry.endswith("/"):
            pages = sorted(
                (docs / entry).glob("*.md"), key=lambda p: (p.name != "index.md", p.name)
            )
            yield from (page.relative_to(docs).as_posix() for page in pages)
        elif isinstance(entry, dict):
            yield {
                title: list(_expanded(inside, docs, named)) if isinstance(inside, list) else inside
                for title, inside in entry.items()
                if not isinstance(inside, list) or [*_expanded(inside, docs, named)]
            }
        else:
            yield entry
