"""Results of the demo as text."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from verydeep.cli.text.results import localization_as_text, run_as_text
from verydeep.run.demo import BOXES


def demo_as_text(metrics: dict[str, Any], out: Path) -> str:
    """Return the results of a demo and the paths of its files."""
    found = metrics["localization"]
    return "\n\n".join(
        [
            "What is it?\n" + run_as_text(metrics, out),
            "Where is it, if one knows what?\n" + run_as_text(found["center"], out / BOXES),
            "What is it, and where?\n" + localization_as_text(found["dense"]),
        ]
    )
