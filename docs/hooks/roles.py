"""Docstrings as Markdown: cross-references become links, doctests blocks of code."""

from __future__ import annotations

import html
import re
from typing import Any

import griffe

ROLE = re.compile(r":(?:class|func|meth|attr|data|mod|exc):`(~?)([\w.]+)`")

LITERAL = re.compile(r"^::\n\n", re.MULTILINE)
"""What announces a block of code in Sphinx; Markdown knows one by its indentation."""

DOCTEST = re.compile(r"^(>>> .*(?:\n.+)*)", re.MULTILINE)
"""An example, up to an empty line."""


def linked(text: str, scope: griffe.Object) -> str:
    """Replace roles by links to what they name, read from within ``scope``, and fence examples.

    What is on no page of the reference is code without a link. ``~`` shows the last part of a name
    alone, as in Sphinx.
    """

    def link(role: re.Match[str]) -> str:
        short, name = role.groups()
        shown = name.rpartition(".")[2] if short else name.removeprefix("verydeep.")
        target = html.escape(_resolved(name, scope))
        return f'<autoref identifier="{target}" optional>`{shown}`</autoref>'

    return ROLE.sub(link, DOCTEST.sub(r"```pycon\n\1\n```", LITERAL.sub("", text)))


def _resolved(name: str, scope: griffe.Object) -> str:
    if name.startswith("verydeep"):
        return name
    try:
        return scope.resolve(name)
    except griffe.NameResolutionError:
        return name


class Roles(griffe.Extension):
    """Rewrites every docstring as it is read."""

    def on_object(self, *, obj: griffe.Object, **kwargs: Any) -> None:
        """Turn roles of an object's docstring into links."""
        if obj.docstring:
            obj.docstring.value = linked(obj.docstring.value, obj)
