"""Trial of an engine on this machine, in a child process that may crash or hang.

Its scores for a few images are compared with those of eager PyTorch in float32.

N images, H height, W width, K outputs; h, w: sides of a score map.
"""

from __future__ import annotations

import json
import math
import os
import signal
import subprocess
import sys
import tempfile
import time
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from verydeep.evaluation.softmax import softmax
from verydeep.models.engines.eager import Eager
from verydeep.models.engines.runner import Maps, Pixels
from verydeep.models.exported.session import SCORES
from verydeep.system.workers.parent_watch import Owner

BOUNDS = {"fp32": (1e-4, 1e-3), "bf16": (0.05, 0.1), "int8": (0.35, 0.35)}
"""Largest difference accepted, by precision: of posteriors, and of scores as a share of the range.

That of int8 only finds faults of an engine; how well int8 answers is judged on images of a data set
when the model is quantized, and not before.
"""

TIME_LIMIT = 600.0
"""Seconds after which an engine counts as hanging."""

REPEATS = 2
"""Timed repetitions; the fastest counts."""

TRIED = 4
"""Images of the input size in the trial; one larger image follows."""


@dataclass(frozen=True)
class Trial:
    """What is tried: the class of a runner, and the files that it reads.

    Attributes:
        runner: Module and class of the runner.
        file: File that the runner reads.
        graph: ONNX graph to make this file from, if it is missing.
        precision: Precision.
        limit: Seconds after which the runner counts as hanging.
        compared: Whether the scores must resemble those of eager PyTorch; otherwise any finite
            scores pass.
        output: What is compared: the scores, or a layer of a net without classes, whose averages
            are then taken as scores are.
    """

    runner: str
    file: Path
    graph: Path
    precision: str
    limit: float = TIME_LIMIT
    compared: bool = True
    output: str = SCORES


@dataclass(frozen=True)
class Outcome:
    """Outcome of a trial.

    Attributes:
        fault: Reason not to use the engine; None if it passed.
        difference: Largest difference of posteriors; None if it gave none.
        speed: Images of the input size per second; None if it gave no scores.
        torch_speed: The same of eager PyTorch in the model's own precision.
    """

    fault: str | None
    difference: float | None = None
    speed: float | None = None
    torch_speed: float | None = None


def run_trial(trial: Trial, exact: Eager, usual: Eager) -> Outcome:
    """Try an engine.

    Args:
        trial: What to try.
        exact: Eager PyTorch in float32.
        usual: Eager PyTorch in the model's own precision, for comparison of speed.
    """
    batches = trial_images(exact.net.input_size)
    with tempfile.TemporaryDirectory(prefix="verydeep-trial-") as name:
        folder = Path(name)
        fault = _run_child(trial, batches, folder)
        if fault:
            return Outcome(fault)
        with np.load(folder / "scores.npz") as found:
            scores = [found[f"batch{number}"] for number in range(len(batches))]
            seconds = float(found["seconds"])
    wanted = [_answers(exact, batch, trial.output).numpy() for batch in batches]
    bounds = BOUNDS[trial.precision] if trial.compared else (math.inf, math.inf)
    fault, difference = _compare(scores, wanted, bounds)
    return Outcome(
        fault, difference, TRIED / seconds, TRIED / _seconds(usual, batches[0], trial.output)
    )


def trial_images(size: int) -> list[Pixels]:
    """Return batches of smooth random images: some of a net's input size, one larger and wider."""
    generator = np.random.default_rng(0)
    shapes = [(TRIED, size, size), (1, size + 32, size + 75)]
    return [np.stack([_image(generator, h, w) for _ in range(n)]) for n, h, w in shapes]


def _image(generator: np.random.Generator, height: int, width: int) -> Pixels:
    coarse = generator.uniform(0, 255, (8, 8, 3))
    rows, columns = np.linspace(0, 7, height).astype(int), np.linspace(0, 7, width).astype(int)
    noise = generator.normal(0, 20, (height, width, 3))
    pixels: Pixels = np.clip(coarse[rows][:, columns] + noise, 0, 255).astype(np.uint8)
    return pixels


def _run_child(trial: Trial, batches: Sequence[Pixels], folder: Path) -> str | None:
    """Run the trial in a child process; return the reason why it failed, or None."""
    owner = Owner.here()
    spec = {
        "owner": owner.pid,
        "main_thread": owner.main_thread,
        "path": [place for place in sys.path if place],
        "runner": trial.runner,
        "file": str(trial.file.absolute()),
        "graph": str(trial.graph.absolute()),
        "precision": trial.precision,
        "threads": torch.get_num_threads(),
        "images": str(folder / "images.npz"),
        "scores": str(folder / "scores.npz"),
        "output": trial.output,
        "repeats": REPEATS,
    }
    named: dict[str, Any] = {f"batch{number}": batch for number, batch in enumerate(batches)}
    np.savez(folder / "images.npz", **named)
    (folder / "spec.json").write_text(json.dumps(spec), "utf-8")
    command = [sys.executable, "-m", "verydeep.models.engines.trial_child", "spec.json"]
    places = os.pathsep.join(place for place in sys.path if place)
    with (folder / "errors").open("wb") as errors:
        try:
            code = subprocess.run(  # noqa: S603 - our own module
                command,
                cwd=folder,
                env={**os.environ, "PYTHONPATH": places},
                stdin=subprocess.DEVNULL,
                stdout=subprocess.DEVNULL,
                stderr=errors,
                timeout=trial.limit,
                check=False,
            ).returncode
        except subprocess.TimeoutExpired:
            return f"it gave no answer within {trial.limit:g} s"
    return _fault(code, (folder / "errors").read_text("utf-8", "replace"))


def _fault(code: int, errors: str) -> str | None:
    """Return the reason of a failure in words, from exit code and stderr."""
    if code == 0:
        return None
    if code < 0:
        known = {int(one): one.name for one in signal.Signals}
        return f"it crashed ({known.get(-code, f'signal {-code}')})"
    lines = [line.strip() for line in errors.splitlines() if line.strip()]
    return f"it failed: {lines[-1]}" if lines else f"it failed (exit code {code})"


def _compare(
    found: Sequence[Maps], wanted: Sequence[Maps], bounds: tuple[float, float]
) -> tuple[str | None, float | None]:
    """Return the reason to distrust scores, or None, and the largest difference of posteriors."""
    if [one.shape for one in found] != [one.shape for one in wanted]:
        shapes = [(one.shape, other.shape) for one, other in zip(found, wanted, strict=True)]
        return f"its scores have the wrong shape: {shapes}", None
    if not all(np.isfinite(one).all() for one in found):
        return "its scores are not finite", None
    of_posteriors, of_scores = bounds
    pairs = list(zip(found, wanted, strict=True))
    difference = max(_largest(posteriors(a), posteriors(b)) for a, b in pairs)
    spread = max(float(np.ptp(b)) for _, b in pairs)
    if difference > of_posteriors:
        return (
            f"its posteriors differ by up to {difference:.2g} from those of torch in fp32, more "
            f"than {of_posteriors:g}",
            difference,
        )
    if max(_largest(a, b) for a, b in pairs) > of_scores * max(spread, 1e-6):
        return f"its scores differ by more than {of_scores:.1%} of their range", difference
    return None, difference


def posteriors(scores: Maps) -> NDArray[np.float64]:
    """Return the softmax (N, K) of scores (N, K, h, w) averaged over positions."""
    return softmax(scores.astype(np.float64).mean((2, 3)), 1)


def _largest(a: NDArray[Any], b: NDArray[Any]) -> float:
    return float(np.abs(a - b).max())


def _seconds(engine: Eager, images: Pixels, output: str) -> float:
    """Return the time of eager PyTorch for images, the fastest of a few."""
    times = []
    for _ in range(REPEATS + 1):
        started = time.perf_counter()
        _answers(engine, images, output)
        times.append(time.perf_counter() - started)
    return min(times[1:])


def _answers(engine: Eager, images: Pixels, output: str) -> Tensor:
    """Return the scores or the map of a layer, float32 (N, outputs, h, w)."""
    return engine.output_of(torch.from_numpy(images).permute(0, 3, 1, 2), output)
