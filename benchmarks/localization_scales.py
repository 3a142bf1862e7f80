"""Test a box net beside its classifier at several lists of scales, as in Table 9 of the paper.

python benchmarks/localization_scales.py runs/demo runs/demo/localization OUT.json 64 73 64,73 96

The first line is the box of the true class on the central crop, at the first scale.
"""

from __future__ import annotations

import json
import sys
from pathlib import Path
from typing import Any

import verydeep
from verydeep.run.boxes import rate_boxes, set_up_boxes
from verydeep.runtime import choose_machine, describe_environment

KEYS = (
    *("protocol", "scales", "flip", "localization_error", "localization_interval"),
    *("top1_localization_error", "true_class_error", "mean_iou", "images", "seconds"),
)
"""What is kept of each result."""


def main(classifier: str, boxes: str, out: Path, lists: list[str]) -> None:
    """Measure, print a line of Markdown for each test, and write them all."""
    bench = set_up_boxes(classifier, boxes, None)
    scales = [tuple(map(int, text.split(","))) for text in lists]
    tests = [("center", scales[0]), *(("dense", each) for each in scales)]
    rows: list[dict[str, Any]] = []
    for protocol, chosen in tests:
        result = rate_boxes(bench, protocol, scales=chosen).to_dict()
        rows.append({key: result[key] for key in KEYS})
        low, high = result["localization_interval"]
        print(
            f"| `{protocol}` | {', '.join(map(str, chosen))} "
            f"| {result['localization_error']:.1f} % ({low:.1f} to {high:.1f}) "
            f"| {result['true_class_error']:.1f} % | {result['mean_iou']:.3f} |",
            flush=True,
        )
    value = {
        "command": f"verydeep demo --out {classifier}; python {' '.join(sys.argv)}",
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
