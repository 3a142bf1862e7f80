"""The figures that were written, as text."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from verydeep.tables.align import align


def figures_as_text(value: dict[str, Any]) -> str:
    """Return what :func:`verydeep.insight.figures.write.write_figures` wrote, a line a figure."""
    rows = [(figure["name"], figure["title"]) for figure in value["figures"]]
    rows += [(name, f"left out: {why}") for name, why in value["left_out"].items()]
    return f"{align(rows, left=2)}\n\npage  {Path(value['out']) / 'index.html'}"
