"""The child process in which an engine is tried: ``python -m … SPEC``. It needs no PyTorch.

The file SPEC holds the runner's class, its files and settings, and the images. The scores and the
time that they took are written to a file.
"""

from __future__ import annotations

import json
import sys
import time
from pathlib import Path
from typing import Any

import numpy as np

from verydeep.models.engines.runner import runner_type
from verydeep.system.workers.parent_watch import Owner, end_with


def main(spec: dict[str, Any]) -> None:
    """Let a runner answer for the images, and write its scores.

    Args:
        spec: Runner, files and settings, as from :class:`verydeep.models.engines.trial.Trial`.
    """
    end_with(Owner(spec["owner"], main_thread=spec["main_thread"]))
    sys.path[:0] = spec["path"]
    kind = runner_type(spec["runner"])
    file, graph = Path(spec["file"]), Path(spec["graph"])
    if file != graph and not file.exists():
        kind.convert(graph, file)
    runner = kind(file, spec["precision"], spec["threads"])
    with np.load(spec["images"]) as images:
        batches = [images[name] for name in sorted(images.files)]
    scores = [runner.run(batch, spec["output"]) for batch in batches]
    seconds = []
    for _ in range(spec["repeats"]):
        started = time.perf_counter()
        runner.run(batches[0], spec["output"])
        seconds.append(time.perf_counter() - started)
    named: dict[str, Any] = {f"batch{number}": found for number, found in enumerate(scores)}
    np.savez(spec["scores"], seconds=np.array(min(seconds)), **named)


if __name__ == "__main__":
    try:
        main(json.loads(Path(sys.argv[1]).read_text("utf-8")))
    except Exception as error:
        sys.exit(f"{type(error).__name__}: {' '.join(str(error).split())[:500]}")
