"""What axe, a checker of accessibility, finds wrong with a page in a browser."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, NamedTuple

import pytest

COLOUR = ("color-contrast", "link-in-text-block")
"""The rules about what differs between the light and the dark form of a page."""


class PageFault(NamedTuple):
    """A broken rule; ``html``: the first element that breaks it."""

    rule: str
    impact: str
    html: str


def page_faults(page: Any, rules: Sequence[str] = ()) -> list[PageFault]:
    """Return the faults of a page, by some rules or all.

    What is in order is not listed: on long pages that takes most of the time.
    """
    axe = pytest.importorskip(
        "axe_playwright_python.sync_playwright", reason="axe is not installed"
    )
    chosen = {"runOnly": {"type": "rule", "values": list(rules)}} if rules else {}
    found = axe.Axe().run(page, options={"resultTypes": ["violations"], **chosen})
    return [
        PageFault(one["id"], one["impact"], one["nodes"][0]["html"][:200])
        for one in found.response["violations"]
    ]
