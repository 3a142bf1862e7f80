"""Additions to the theme: unbroken flags, and accessibility."""

from __future__ import annotations

import re
from typing import Any

FLAG = re.compile(r"(?<![\w-])--?[a-zA-Z][\w-]*")
IN_A_LINE = re.compile(r"(?<!</span>)<code>([^<]*)</code>")
SEARCH = 'data-md-component="search" role="dialog"'

CONFIG = '<script id="__config"'
"""Start of the theme's own script."""

NO_SEARCH = """<script>
if (location.protocol === "file:")
  for (const part of document.querySelectorAll(".md-search, .md-header [for=__search]"))
    part.remove();
</script>
"""
"""Hides the search on pages opened from disk, where browsers block its worker."""


def on_page_content(html: str, **kwargs: Any) -> str:
    """Prevent line breaks within flags; make scrollable tables reachable by keyboard."""
    html = IN_A_LINE.sub(lambda code: f"<code>{_unbroken(code[1])}</code>", html)
    return html.replace("<table>", '<table tabindex="0">')


def _unbroken(text: str) -> str:
    return FLAG.sub(lambda flag: f'<span class="unbroken">{flag[0]}</span>', text)


def on_post_page(output: str, **kwargs: Any) -> str:
    """Label the search dialog, and hide the search where it cannot work."""
    named = output.replace(SEARCH, f'{SEARCH} aria-label="Search"')
    return named.replace(CONFIG, NO_SEARCH + CONFIG)


def on_post_template(output_content: str, **kwargs: Any) -> str:
    """Do the same for template pages, such as the error page."""
    return on_post_page(output_content)
