"""What the theme leaves out for those who hear a page or have no mouse."""

from __future__ import annotations

from typing import Any

SEARCH = 'data-md-component="search" role="dialog"'


def on_page_content(html: str, **kwargs: Any) -> str:
    """Let the keyboard reach tables, which scroll where they are too wide."""
    return html.replace("<table>", '<table tabindex="0">')


def on_post_page(output: str, **kwargs: Any) -> str:
    """Give the dialog of the search a name."""
    return output.replace(SEARCH, f'{SEARCH} aria-label="Search"')


def on_post_template(output_content: str, **kwargs: Any) -> str:
    """Do the same for pages without text of their own, like that of an error."""
    return on_post_page(output_content)
