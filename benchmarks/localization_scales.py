"""Test a box regressor and its classifier by several protocols and scales, as in Table 9.

python benchmarks/localization_scales.py runs/demo runs/demo/localization OUT.json \
    center:64 dense:64 dense:64,96 crops:3x3:64,96

The box of the true class on the central crop (``center``), boxes at every position (``dense``), or
those of a grid of crops (``crops``).
"""

from __future__ import annotations

import json
import sys
from pathlib import Path
from typing import Any, NamedTuple

import verydeep
from verydeep.cli.options import grid_in
from verydeep.evaluation.protocol import USUAL_GRID
from verydeep.localization.protocol import BoxProtocol
from verydeep.system.device import choose_machine, describe_environment

KEYS = (
    *("protocol", "grid", "scales", "flip", "localization_error", "localization_interval"),
    *("top1_localization_error", "true_class_error", "mean_iou", "images", "seconds"),
)
"""What is kept of each result."""


class Wanted(NamedTuple):
    """A test that is wanted: protocol, grid of crops and scales."""

    protocol: str
    grid: tuple[int, int]
    scales: tuple[int, ...]


def read(text: str) -> Wanted:
    """Return what is wanted by words like ``dense:64,96`` or ``crops:3x3:64,96``."""
    protocol, *grid, scales = text.split(":")
    chosen = grid_in(grid[0]) if grid else USUAL_GRID
    return Wanted(protocol, chosen, tuple(map(int, scales.split(","))))


def main(classifier: str, boxes: str, out: Path, words: list[str]) -> None:
    """Measure, print a line of Markdown for each test, and write them all."""
    rows: list[dict[str, Any]] = []
    for wanted in map(read, words):
        protocol, grid, scales = wanted
        how = BoxProtocol(protocol, scales, grid=grid)  # type: ignore[arg-type]
        result = verydeep.evaluate_localization(classifier, boxes, None, how).to_dict()
        rows.append({key: result[key] for key in KEYS})
        low, high = result["localization_interval"]
        name = "{} {}x{}".format(protocol, *grid) if result["grid"] else protocol
        print(
            f"| `{name}` | {', '.join(map(str, scales))} "
            f"| {result['localization_error']:.1f} % ({low:.1f} to {high:.1f}) "
            f"| {result['true_class_error']:.1f} % | {result['mean_iou']:.3f} |",
            flush=True,
        )
    value = {
        "command": f"python {' '.join(sys.argv)}",
        "seed": 0,
        "version": verydeep.__version__,
        "environment": describe_environment(choose_machine()),
        "baselines": result["baselines"],
        "merging": result["merging"],
        "tests": rows,
    }
    out.write_text(json.dumps(value, indent=2) + "\n", encoding="utf-8")


if __name__ == "__main__":
    main(sys.argv[1], sys.argv[2], Path(sys.argv[3]), sys.argv[4:])
