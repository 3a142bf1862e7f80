"""The model of docs/scale.md against measurements of one and two processes on this machine.

    python benchmarks/scale.py --out docs/results/scale.json

Measures what the model takes as given, each by itself: the time of an all-reduce by its size, and
that of the optimizer. Then it measures training in one and two processes with one thread each, by
benchmarks/processes.py, and compares the rate of two with what the model makes of the rate of one.
The nets differ in the ratio of computing to exchange. ``--nice -10`` (as root) gives the processes
precedence over others of a busy machine.
"""

from __future__ import annotations

import argparse
import importlib
import json
import os
import statistics
import subprocess
import sys
import time
from collections.abc import Sequence
from dataclasses import asdict
from pathlib import Path
from typing import Any

import numpy as np
import torch

from verydeep.nets.anatomy import Anatomy, anatomy
from verydeep.nets.vgg import vgg
from verydeep.recipe.recipe import Recipe
from verydeep.run.training.setup import make_optimizer
from verydeep.system.device import choose_machine, describe_environment
from verydeep.system.distributed import joined
from verydeep.system.launch import in_processes
from verydeep.training.scaling import Cluster, Plan, update

K = 100
SIZES = (4, 64 * 1024, 2**20, 4 * 2**20, 16 * 2**20, 64 * 2**20)
CASES = (
    {"net": "D", "width": 0.25, "size": 112, "batch": 32},
    {"net": "A", "width": 0.25, "size": 64, "batch": 16},
    {"net": "A", "width": 0.5, "size": 32, "batch": 16},
    {"net": "A", "width": 0.5, "size": 32, "batch": 4},
)
"""From much computing and little exchange to the contrary."""


def time_all_reduce(rounds: int) -> dict[int, float]:
    """Return the median seconds of an all-reduce by the number of bytes."""
    torch.set_num_threads(1)
    found: dict[int, list[float]] = {size: [] for size in SIZES}
    with joined() as group:
        for _ in range(rounds):
            for size in SIZES:
                value = torch.zeros(size // 4)
                group.gather(None)  # all begin together
                started = time.perf_counter()
                group.sum(value)
                found[size].append(time.perf_counter() - started)
    return {size: statistics.median(times) for size, times in found.items()}


def fit_link(times: dict[int, float]) -> tuple[float, float]:
    """Return bytes per second and seconds of latency of the all-reduce of two processes."""
    sizes = np.array([*times], float)
    measured = np.array([*times.values()])
    # Relative errors count alike for all sizes.
    matrix = np.stack([sizes, np.ones_like(sizes)], 1) / measured[:, None]
    (slope, latency), *_ = np.linalg.lstsq(matrix, np.ones_like(sizes), rcond=None)
    return 1 / slope, max(0.0, latency) / 2


def time_optimizer(case: dict[str, Any], rounds: int) -> float:
    """Return the median seconds of a step of the optimizer."""
    torch.set_num_threads(1)
    net = vgg(case["net"], K, input_size=case["size"], width=case["width"])
    optimizer = make_optimizer(net, Recipe())
    for parameter in net.parameters():
        parameter.grad = torch.zeros_like(parameter)
    times = []
    for _ in range(rounds + 1):
        started = time.perf_counter()
        optimizer.step()
        times.append(time.perf_counter() - started)
    return statistics.median(times[1:])


def train(case: dict[str, Any], rounds: int) -> dict[str, Any]:
    """Return what benchmarks/processes.py measures."""
    words = [f"--{name}={value}" for name, value in case.items()]
    script = Path(__file__).with_name("processes.py")
    images = 8 * case["batch"]
    done = subprocess.run(
        [sys.executable, script, *words, f"--images={images}", f"--rounds={rounds}"],
        stdout=subprocess.PIPE,
        text=True,
        check=True,
    )
    found: dict[str, Any] = json.loads(done.stdout)
    return found


def cluster_of(
    net: Anatomy, rate: float, batch: int, link: float, hop: float, fixed: float
) -> Cluster:
    """Return this machine as the model sees it, from the rate of one process."""
    return Cluster(
        images=batch / (batch / rate - fixed),
        gpus_per_node=2,
        inside=link,
        between=link,
        hop=hop,
        leap=hop,
        fixed=fixed,
        decoded=1e9,  # images are decoded already
        read=1e15,
        image_bytes=1.0,
        saved=1e9,
    )


def compare(case: dict[str, Any], link: float, hop: float, rounds: int) -> dict[str, Any]:
    """Measure one net, and let the model predict the rate of two processes."""
    fixed, measured = time_optimizer(case, rounds), train(case, rounds)
    alone, together = (measured["median"][count] for count in ("1", "2"))
    net = anatomy(case["net"], K, input_size=case["size"], width=case["width"])
    batch = case["batch"]
    cluster = cluster_of(net, alone, batch, link, hop, fixed)
    one = update(net, Plan(2, batch), cluster)
    late = update(net, Plan(2, batch, overlapped=False), cluster)
    return {
        **case,
        "images_per_second": measured["images_per_second"],
        "median": {"1": alone, "2": together},
        "optimizer_seconds": fixed,
        "predicted": batch / one.seconds,
        "predicted_without_overlap": batch / late.seconds,
        "measured_to_predicted": together * one.seconds / batch,
        "update": asdict(one),
        "waited_for_gradients": measured["costs"]["2"]["seconds_each"]["sums of gradients"],
    }


def main(words: Sequence[str] | None = None) -> None:
    """Measure, print, and write the results."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--nice", type=int, default=0)
    parser.add_argument("--out", type=Path)
    options = parser.parse_args(words)
    os.nice(options.nice)
    os.environ["OMP_NUM_THREADS"] = "1"
    mine = importlib.import_module(Path(__file__).stem)  # the other process imports it too
    times = in_processes(2, mine.time_all_reduce, 5 * options.rounds)
    link, hop = fit_link(times)
    print(f"link {link / 1e9:.2f} GB/s, {hop * 1e6:.0f} us", file=sys.stderr)
    result = {
        "what": "training in 1 and 2 processes of one thread, and the model's prediction for 2",
        "all_reduce_seconds": times,
        "link_bytes_per_second": link,
        "hop_seconds": hop,
        "load": os.getloadavg()[1],
        "cases": [compare(case, link, hop, options.rounds) for case in CASES],
        "environment": describe_environment(choose_machine("cpu", "fp32")),
    }
    text = json.dumps(result, indent=1)
    if options.out:
        options.out.write_text(text + "\n")
    print(text)


if __name__ == "__main__":
    main()
