"""Time of ``verydeep predict F.onnx IMAGE`` by part, each in a fresh process.

    python benchmarks/predict_exported.py d.onnx cat.jpg --runs 5

Prints processor and wall-clock seconds: lowest of the runs.
"""

from __future__ import annotations

import argparse
import json
import resource
import subprocess
import sys
import time
from pathlib import Path

PARTS = """
import json, sys, time
marks = []
def mark(name):
    marks.append((name, time.perf_counter(), time.process_time()))
mark("start")
import numpy, PIL.Image; mark("numpy and Pillow")
import verydeep.cli.app; mark("program")
import verydeep.run.predict
from verydeep.models.exported.classifier import load_exported; mark("prediction")
import onnxruntime; mark("onnxruntime")
model = load_exported(sys.argv[1]); mark("metadata")
model.session; mark("session")
model.predict(sys.argv[2]); mark("first prediction")
model.predict(sys.argv[2]); mark("second prediction")
assert "torch" not in sys.modules
pairs = zip(marks, marks[1:])
print(json.dumps({b[0]: [b[1] - a[1], b[2] - a[2]] for a, b in pairs}))
"""


def main() -> None:
    """Measure and print the parts, then the whole program."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0] if __doc__ else None)
    parser.add_argument("file", type=Path)
    parser.add_argument("image", type=Path)
    parser.add_argument("--runs", type=int, default=5)
    given = parser.parse_args()
    words = [str(given.file), str(given.image)]
    runs = [json.loads(_run([sys.executable, "-c", PARTS, *words])) for _ in range(given.runs)]
    for part in runs[0]:
        wall, processor = (min(run[part][place] for run in runs) for place in (0, 1))
        print(f"{part:20} processor {processor:.3f} s, wall {wall:.3f} s")
    commands = {
        "whole program": [sys.executable, "-m", "verydeep", "predict", *words],
        "import onnxruntime": [sys.executable, "-c", "import onnxruntime"],
    }
    for name, command in commands.items():
        wall, processor = (
            min(costs) for costs in zip(*(_cost(command) for _ in runs), strict=True)
        )
        print(f"{name:20} processor {processor:.3f} s, wall {wall:.3f} s")


def _run(command: list[str]) -> str:
    return subprocess.run(command, check=True, capture_output=True, text=True).stdout


def _cost(command: list[str]) -> tuple[float, float]:
    """Return the wall-clock and processor time of a command, in seconds."""
    begin, before = time.perf_counter(), resource.getrusage(resource.RUSAGE_CHILDREN)
    _run(command)
    wall, after = time.perf_counter() - begin, resource.getrusage(resource.RUSAGE_CHILDREN)
    return wall, after.ru_utime + after.ru_stime - before.ru_utime - before.ru_stime


if __name__ == "__main__":
    main()
