"""What was explained, as text."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from verydeep.tables.align import align


def explain_as_text(value: dict[str, Any]) -> str:
    """Return what was written of each picture, and where."""
    rows = [("picture", "likeliest", "", "sections")]
    for picture in value["pictures"]:
        likeliest = picture["ranking"][0]
        share = f"{100 * likeliest['probability']:.1f} %"
        rows.append((picture["name"], likeliest["class"], share, ", ".join(picture["sections"])))
    return f"{align(rows, left=4)}\n\npage  {Path(value['out']) / 'index.html'}"
