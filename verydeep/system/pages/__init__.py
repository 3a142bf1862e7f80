"""Base template, style sheet and rendering of HTML pages.

A page is one self-contained file: style sheet, drawings and images are embedded, there is no
script (but in an exported net), and its content security policy forbids all requests. A template
beside its module begins with ``{% extends "base.html" %}`` and fills these blocks:

=============  ====================================================================
``title``      title of the browser tab; plain text
``style``      rules for this page only
``header``     ``h1`` and a line or two below
``navigation`` optional links to its parts, as ``<li><a href="#…">``
``content``    everything else, in sections with headings
``policy``     sources allowed besides ``data:`` URLs, for pages that show files beside
               them
=============  ====================================================================

``{% from "macros.html" import wide %}`` gives ``{% call wide("label") %}<table>…{% endcall %}`` for
content that may be wider than a phone's screen and scrolls, with the keyboard too. File names are
written ``{{ name|file_name }}``, and class names within ``<bdi>``, so that right-to-left text does
not affect its surroundings.
"""

from __future__ import annotations

from functools import cache
from importlib import resources
from typing import Any

from jinja2 import Environment, FunctionLoader, StrictUndefined
from markupsafe import Markup

LONGEST_ENDING = 8
"""Maximum length of a file extension; a longer one is part of the name."""


def render(package: str, name: str, **values: Any) -> str:
    """Render a template.

    Values are escaped unless the template marks them ``|safe``. A missing value is an error.

    Args:
        package: Package of the template, like ``verydeep.checks``; templates that it extends,
            includes or imports may be there or here.
        name: File name of the template.
        values: Values for the template.
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
    """Return a file name that may be wrapped anywhere but in its extension.

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
