"""Training in 1, 2, … processes with one thread each, and the cost of keeping them together.

    python benchmarks/processes.py --out docs/results/processes.json

All numbers of processes train the same net on the same images with the real training loop; images
are decoded already. Rounds take turns. Per update, the time is given that rank 0 waits for the sums
of the gradients after its backward pass, and for the word that the processes exchange; per epoch,
that of comparing the weights.
"""

from __future__ import annotations

import argparse
import json
import statistics
import sys
import tempfile
import time
from collections import defaultdict
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import torch

from verydeep.data.pipeline.augment import Augmentation
from verydeep.data.pipeline.batches import TrainingBatches
from verydeep.data.pipeline.image_cache import PictureStore
from verydeep.data.samples import Sample
from verydeep.models.preprocessing import Preprocessing
from verydeep.nets.vgg import vgg
from verydeep.recipe.recipe import Recipe
from verydeep.run.training.net_and_optimizer import make_optimizer
from verydeep.system.device import choose_machine, describe_environment
from verydeep.system.group.distributed import joined
from verydeep.system.group.launch import in_processes
from verydeep.training.loop import Loop
from verydeep.training.objective import Classification
from verydeep.training.schedule import make_schedule

K = 100

WATCHED = {"sums of gradients": "total", "word": "_agree", "comparison of weights": "check_same"}
"""Methods whose time is measured, by what they do."""


class Stopwatch:
    """Adds up the time of calls."""

    def __init__(self) -> None:
        self.seconds: dict[str, float] = defaultdict(float)
        self.calls: dict[str, int] = defaultdict(int)

    def restart_after_first(self, row: dict[str, Any]) -> None:
        """Forget the first epoch."""
        if row["epoch"] == 1:
            self.seconds.clear()
            self.calls.clear()

    def watch(self, owner: Any, method: str, name: str) -> None:
        """Measure the calls of a method under a name."""
        inner: Callable[..., Any] = getattr(owner, method)

        def timed(*arguments: Any, **named: Any) -> Any:
            started = time.perf_counter()
            try:
                return inner(*arguments, **named)
            finally:
                self.seconds[name] += time.perf_counter() - started
                self.calls[name] += 1

        object.__setattr__(owner, method, timed)


def be_a_member(options: argparse.Namespace) -> dict[str, Any]:
    """Train for two epochs in one of the processes; the first epoch warms up."""
    torch.set_num_threads(1)
    torch.manual_seed(0)
    recipe = Recipe().replace(training__learning_rate=1e-6, training__epochs=2)
    machine = choose_machine("cpu", options.precision)
    noise = np.random.default_rng(0).integers(0, 256, (8, options.size, options.size, 3), np.uint8)
    pictures = [noise[number % 8] for number in range(options.images)]
    samples = [Sample(Path(f"{n}.png"), n % K) for n in range(options.images)]
    net = vgg(options.net, K, input_size=options.size, width=options.width)
    net.to(memory_format=torch.channels_last)
    clock = Stopwatch()
    with joined() as group, tempfile.TemporaryDirectory() as folder:
        batches = TrainingBatches(
            samples,
            Augmentation(size=options.size, scale=(options.size, options.size)),
            batch=options.batch,
            micro_batch=options.batch,
            seed=0,
            store=PictureStore(pictures, machine.device),
            rank=group.rank,
            world=group.size,
        )
        loop = Loop(
            net=net,
            optimizer=make_optimizer(net, recipe),
            schedule=make_schedule(recipe),
            batches=batches,
            prepare=Preprocessing((124.0, 117.0, 104.0)),
            objective=Classification(K),
            validate=lambda: {"loss": 1.0, "top1_error": 50.0, "top5_error": 0.0},
            watch="loss",
            machine=machine,
            epochs=2,
            folder=Path(folder),
            on_keep=lambda row: None,
            checkpoint_minutes=1e9,
            group=group,
            on_epoch=clock.restart_after_first,
        )
        owners = {"total": loop._gradients, "_agree": loop, "check_same": loop._health}
        for name, method in WATCHED.items():
            clock.watch(owners[method], method, name)
        row = loop.run().history[-1]
        each = {name: clock.seconds[name] / max(1, clock.calls[name]) for name in WATCHED}
        epoch = options.images / row["images_per_second"]
        return {
            "rank": group.rank,
            "images_per_second": row["images_per_second"],
            "seconds_each": each,
            "share_of_epoch": {name: clock.seconds[name] / epoch for name in WATCHED},
            "gradient_mib": sum(p.numel() for p in net.parameters()) * 4 / 2**20,
        }


def train_in(count: int, options: argparse.Namespace) -> dict[str, Any]:
    """Train in a number of processes, of which this one is the first; return its figures."""
    from processes import be_a_member as member  # not of __main__, which others do not have

    return in_processes(count, member, options)


def compare(options: argparse.Namespace) -> dict[str, Any]:
    """Measure all numbers of processes in turn; return all rates, medians and costs."""
    found: dict[int, list[dict[str, Any]]] = {count: [] for count in options.processes}
    for number in range(options.rounds):
        for count in options.processes if number % 2 == 0 else options.processes[::-1]:
            found[count].append(train_in(count, options))
            rate = found[count][-1]["images_per_second"]
            print(f"round {number + 1}, {count}: {rate:.2f} images/s", file=sys.stderr)
    rates = {count: [row["images_per_second"] for row in rows] for count, rows in found.items()}
    medians = {count: statistics.median(values) for count, values in rates.items()}
    first = medians[options.processes[0]] / options.processes[0]
    return {
        "what": f"training of net {options.net}, width {options.width:g}, {options.size} pixels, "
        "in processes of one thread",
        "batch": options.batch,
        "images": options.images,
        "rounds": options.rounds,
        "gradient_mib": found[options.processes[0]][0]["gradient_mib"],
        "images_per_second": rates,
        "median": medians,
        "efficiency": {count: median / count / first for count, median in medians.items()},
        "costs": {
            count: {
                key: {name: statistics.median(row[key][name] for row in rows) for name in WATCHED}
                for key in ("seconds_each", "share_of_epoch")
            }
            for count, rows in found.items()
        },
        "environment": describe_environment(choose_machine("cpu", options.precision)),
    }


def main() -> None:
    """Measure all numbers of processes."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--net", default="D")
    parser.add_argument("--width", type=float, default=0.25)
    parser.add_argument("--size", type=int, default=112)
    parser.add_argument("--batch", type=int, default=32)
    parser.add_argument("--images", type=int, default=192)
    parser.add_argument("--precision", default="fp32")
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--processes", type=int, nargs="+", default=[1, 2])
    parser.add_argument("--out", type=Path)
    options = parser.parse_args()
    text = json.dumps(compare(options), indent=1)
    if options.out:
        options.out.write_text(text + "\n")
    print(text)


if __name__ == "__main__":
    main()
