"""What the theme leaves out: flags in one piece, and care for those who hear a page."""

from __future__ import annotations

import re
from typing import Any

FLAG = re.compile(r"(?<![\w-])--?[a-zA-Z][\w-]*")
IN_A_LINE = re.compile(r"(?<!</span>)<code>([^<]*)</code>")
SEARCH = 'data-md-component="search" role="dialog"'

CONFIG = '<script id="__config"'
"""What stands before the theme's own script."""

NO_SEARCH = """<script>
if (location.protocol === "file:")
  for (const part of document.querySelectorAll(".md-search, .md-header [for=__search]"))
    part.remove();
</script>
"""
"""A browser lets no page from the disk start the worker that searches."""


def on_page_content(html: str, **kwargs: Any) -> str:
    """Break no line behind the strokes of a flag; let the keyboard reach tables, which scroll."""
    html = IN_A_LINE.sub(lambda code: f"<code>{_unbroken(code[1])}</code>", html)
    return html.replace("<table>", '<table tabindex="0">')


def _unbroken(text: str) -> str:
    return FLAG.sub(lambda flag: f'<span class="unbroken">{flag[0]}</span>', text)


def on_post_page(output: str, **kwargs: Any) -> str:
    """Give the dialog of the search a name, and take the search away where it cannot work."""
    named = output.replace(SEARCH, f'{SEARCH} aria-label="Search"')
    return named.replace(CONFIG, NO_SEARCH + CONFIG)


def on_post_template(output_content: str, **kwargs: Any) -> str:
    """Do the same for pages without text of their own, like that of an error."""
    return on_post_page(output_content)
