"""What all HTML pages share: one template to extend, one style sheet, one way to fill them in.

A page is one file that opens from disk and loads nothing: style sheet, drawings and images stand
within it, there is no script, and its policy forbids the browser any request. A template beside
its module begins with ``{% extends "base.html" %}`` and fills these blocks:

=============  ====================================================================
``title``      of the browser's tab; plain text
``style``      rules that this page alone needs
``header``     its ``h1`` and a line or two below
``navigation`` links to its parts, as ``<li><a href="#…">``; left out, there is none
``content``    all else, in sections with headings
``policy``     what may be loaded besides ``data:`` addresses; a page that shows files
               beside it says so here
=============  ====================================================================

``{% from "macros.html" import wide %}`` gives ``{% call wide("label") %}<table>…{% endcall %}``:
what may be wider than a telephone scrolls by itself, with the keyboard as well. Names of files are
written ``{{ name|file_name }}``, and names of classes within ``<bdi>``: one that runs from right to
left turns nothing around it.
"""

from __future__ import annotations

from functools import cache
from importlib import resources
from typing import Any

from jinja2 import Environment, FunctionLoader, StrictUndefined
from markupsafe import Markup

LONGEST_ENDING = 8
"""Letters of the ending of a file name; what is longer is a part of the name."""


def render(package: str, name: str, **values: Any) -> str:
    """Fill in a template.

    Everything that is put in is escaped, unless the template says ``|safe``. A value that the
    template asks for and that is not given is an error.

    Args:
        package: Where the template lies, as ``verydeep.checks``; what it extends, includes or
            imports may lie there too, or here.
        name: Of its file.
        values: What it asks for.
    """
    return _environment(package).get_template(name).render(**values)


@cache
def _environment(package: str) -> Environment:
    def load(name: str) -> str | None:
        files = (resources.files(place) / name for place in (package, __name__))
        return next((file.read_text("utf-8") for file in files if file.is_file()), None)

    environment = Environment(
        loader=FunctionLoader(load),
        autoescape=True,
        undefined=StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
    )
    environment.filters["file_name"] = file_name
    return environment


def file_name(name: str) -> Markup:
    """Return the name of a file that may be broken anywhere but in its ending.

    >>> print(file_name("photos/a <long> name.jpeg"))
    <bdi>photos/a &lt;long&gt; na<span class="ending">me.jpeg</span></bdi>
    """
    stem, dot, ending = name.rpartition(".")
    if not dot or not stem or not 0 < len(ending) <= LONGEST_ENDING:
        return Markup("<bdi>{}</bdi>").format(name)
    kept = 2 if stem[-2:].isprintable() and "/" not in stem[-2:] else 0
    parts = (stem[:-kept], stem[-kept:]) if kept else (stem, "")
    last = f"{parts[1]}{dot}{ending}"
    return Markup('<bdi>{}<span class="ending">{}</span></bdi>').format(parts[0], last)
