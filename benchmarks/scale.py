"""The model of docs/scale.md against measurements of one and two processes on this machine.

    python benchmarks/scale.py --out docs/results/scale.json

Measures what the model takes as given, each by itself: the time of an all-reduce by its size, and
that of an update in one process by the number of images, whose slope is the rate and whose
intercept is the fixed part. Then it measures updates in two processes of one thread, and compares
them with the prediction. The nets differ in the ratio of computing to exchange.

All times are processor time of rank 0: on a CPU the exchange takes the processor, too, so nothing
overlaps; and the figures hold on a machine that others use as well, where wall times do not. What
it leaves out is waiting for the other process.
"""

from __future__ import annotations

import argparse
import importlib
import json
import os
import statistics
import time
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch.nn import functional as F

from verydeep.nets.anatomy import anatomy
from verydeep.nets.vgg import vgg
from verydeep.recipe.recipe import Recipe
from verydeep.run.training.net_and_optimizer import make_optimizer
from verydeep.system.device import choose_machine, describe_environment
from verydeep.system.group.distributed import joined
from verydeep.system.group.launch import in_processes
from verydeep.training.gradients import gradients_of
from verydeep.training.scaling import Cluster, Plan, update

K = 100
SIZES = (64 * 1024, 2**20, 4 * 2**20, 16 * 2**20, 64 * 2**20)
CASES: tuple[dict[str, Any], ...] = (
    {"net": "D", "width": 0.25, "size": 112, "batch": 16},
    {"net": "A", "width": 0.25, "size": 64, "batch": 16},
    {"net": "A", "width": 0.5, "size": 32, "batch": 16},
    {"net": "A", "width": 0.5, "size": 32, "batch": 4},
)
"""From much computing and little exchange to the contrary."""


def time_all_reduce(repeats: int) -> dict[int, float]:
    """Return the median processor seconds of an all-reduce by the number of bytes."""
    torch.set_num_threads(1)
    found: dict[int, list[float]] = {size: [] for size in SIZES}
    with joined() as group:
        for _ in range(repeats):
            for size in SIZES:
                value = torch.zeros(size // 4)
                started = time.process_time()
                group.sum(value)
                found[size].append(time.process_time() - started)
    return {size: statistics.median(times) for size, times in found.items()}


def fit_link(times: dict[int, float]) -> tuple[float, float]:
    """Return bytes per second and seconds of latency of the all-reduce of two processes."""
    sizes, measured = np.array([*times], float), np.array([*times.values()])
    # Relative errors count alike for all sizes.
    matrix = np.stack([sizes, np.ones_like(sizes)], 1) / measured[:, None]
    (slope, latency), *_ = np.linalg.lstsq(matrix, np.ones_like(sizes), rcond=None)
    return float(1 / slope), max(0.0, float(latency)) / 2


def time_updates(case: dict[str, Any], updates: int) -> float:
    """Return the median processor seconds of an update."""
    torch.set_num_threads(1)
    torch.manual_seed(0)
    net = vgg(case["net"], K, input_size=case["size"], width=case["width"])
    net = net.to(memory_format=torch.channels_last)
    optimizer = make_optimizer(net, Recipe().replace(training__learning_rate=1e-6))
    seconds = []
    with joined() as group, gradients_of(net, group) as gradients:
        own = case["batch"] // group.size
        x = torch.randn(own, 3, case["size"], case["size"]).to(memory_format=torch.channels_last)
        labels = torch.arange(own) % K
        for _ in range(updates + 1):
            started = time.process_time()
            gradients.clear()
            gradients.last()
            (F.cross_entropy(net(x), labels, reduction="sum") / case["batch"]).backward()
            gradients.total(own)
            optimizer.step()
            seconds.append(time.process_time() - started)
    return statistics.median(seconds[1:])


def measure(mine: Any, case: dict[str, Any], options: Any) -> dict[str, list[float]]:
    """Return the times of all rounds: in one process, with half of the images, and in two."""
    half = {**case, "batch": case["batch"] // 2}
    jobs = {"one": (1, case), "half": (1, half), "two": (2, case)}
    found: dict[str, list[float]] = {name: [] for name in jobs}
    for number in range(options.rounds):
        for name in [*jobs] if number % 2 == 0 else reversed([*jobs]):
            count, what = jobs[name]
            found[name].append(in_processes(count, mine.time_updates, what, options.updates))
    return found


def compare(
    mine: Any, case: dict[str, Any], link: float, hop: float, options: Any
) -> dict[str, Any]:
    """Measure one net, and let the model predict two processes from one."""
    found = measure(mine, case, options)
    one, half, two = (statistics.median(found[name]) for name in ("one", "half", "two"))
    machine = Cluster(
        images=case["batch"] / 2 / (one - half),
        gpus_per_node=2,
        inside=link,
        between=link,
        hop=hop,
        leap=hop,
        fixed=max(0.0, 2 * half - one),
        decoded=1e9,  # nothing is read
        read=1e15,
        image_bytes=1.0,
        saved=1e9,
    )
    net = anatomy(case["net"], K, input_size=case["size"], width=case["width"])
    predicted = update(net, Plan(2, case["batch"], overlapped=False), machine)
    return {
        **case,
        "gradient_mb": 4e-6 * net.parameters,
        "seconds": {"one": one, "half": half, "two": two},
        "all_seconds": found,
        "fixed": machine.fixed,
        "predicted": predicted.seconds,
        "predicted_exchange": predicted.exchange,
    }


def main() -> None:
    """Measure, print, and write the results."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--updates", type=int, default=8)
    parser.add_argument("--out", type=Path)
    options = parser.parse_args()
    os.environ["OMP_NUM_THREADS"] = "1"
    mine = importlib.import_module(Path(__file__).stem)  # the other process imports it too
    times = in_processes(2, mine.time_all_reduce, 15)
    link, hop = fit_link(times)
    result = {
        "what": "processor seconds of an update in 1 and 2 processes of one thread, and the "
        "model's prediction for 2",
        "all_reduce_seconds": times,
        "link_bytes_per_second": link,
        "hop_seconds": hop,
        "rounds": options.rounds,
        "updates": options.updates,
        "cases": [compare(mine, case, link, hop, options) for case in CASES],
        "environment": describe_environment(choose_machine("cpu", "fp32")),
    }
    text = json.dumps(result, indent=1)
    if options.out:
        options.out.write_text(text + "\n")
    print(text)


if __name__ == "__main__":
    main()
