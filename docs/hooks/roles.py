"""Docstrings as Markdown: cross-references become links, doctests become code blocks.

A field of a dataclass made by ``described(default, help)`` is shown with its default.
"""

from __future__ import annotations

import html
import re
from typing import Any

import griffe

ROLE = re.compile(r":(?:class|func|meth|attr|data|mod|exc):`(~?)([\w.]+)`")

LITERAL = re.compile(r"^::\n\n", re.MULTILINE)
"""Sphinx's mark before a code block; Markdown needs only the indentation."""

DOCTEST = re.compile(r"^(>>> .*(?:\n.+)*)", re.MULTILINE)
"""An example, up to an empty line."""


def linked(text: str, scope: griffe.Object) -> str:
    """Replace roles by links, resolved in ``scope``, and fence examples.

    A name that is not in the reference becomes code without a link. ``~`` shows only the last part
    of a name, as in Sphinx.
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
    """Griffe extension that rewrites every docstring, and defaults that carry a help."""

    def on_object(self, *, obj: griffe.Object, **kwargs: Any) -> None:
        """Turn the roles in an object's docstring into links."""
        if obj.docstring:
            obj.docstring.value = linked(obj.docstring.value, obj)

    def on_attribute_instance(self, *, attr: griffe.Attribute, **kwargs: Any) -> None:
        """Replace ``described(default, help)`` by the default."""
        if isinstance(attr.value, griffe.ExprCall) and str(attr.value.function) == "described":
            attr.value = attr.value.arguments[0]
