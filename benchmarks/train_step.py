"""One training step of net D against torchvision's vgg16 as its reference script trains it.

    python benchmarks/train_step.py --batch 8 --out docs/results/train_step.json

Both sides take the same batch of 224x224 images on the same machine, turn about, each round in a
process of its own, so that the peak of memory is its own too. Ours is the real training loop's
update from uint8 crops; theirs starts from float images that are ready.
"""

from __future__ import annotations

import argparse
import json
import resource
import statistics
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import torch
from torch.nn import functional as F

from verydeep.system.device import choose_machine, describe_environment

SIDES = ("verydeep", "torchvision")


def our_step(batch: int, precision: str | None) -> Callable[[], None]:
    """Return the update of :class:`verydeep.training.loop.Loop` on a batch of random crops."""
    from verydeep.data.pipeline.micro_batch import MicroBatch
    from verydeep.data.pipeline.on_device import ahead_on_device
    from verydeep.models.preprocessing import Preprocessing
    from verydeep.nets.vgg import vgg
    from verydeep.recipe.recipe import Recipe
    from verydeep.run.training.net_and_optimizer import make_optimizer
    from verydeep.training.loop import Loop
    from verydeep.training.objective import Classification

    machine = choose_machine(precision=precision)
    net = vgg("D").to(machine.device, memory_format=torch.channels_last)  # type: ignore[call-overload]
    preprocessing = Preprocessing((124.0, 117.0, 104.0))
    loop = Loop(
        net=net.train(),
        # A small rate: on noise the paper's would burst, and the loop would rightly stop.
        optimizer=make_optimizer(net, Recipe().replace(training__learning_rate=1e-6)),
        schedule=None,  # type: ignore[arg-type]
        batches=None,  # type: ignore[arg-type]
        prepare=preprocessing,
        objective=Classification(1000),
        validate=dict,
        watch="loss",
        machine=machine,
        epochs=1,
        folder=Path(),
        on_keep=lambda row: None,
    )
    part = MicroBatch(
        pictures=torch.randint(256, (batch, 3, 224, 224), dtype=torch.uint8),
        labels=torch.randint(1000, (batch,)),
        shifts=torch.randn(batch, 3),
        step=0,
        images=batch,
        last=True,
    )
    return lambda: loop._update(ahead_on_device([part], machine.device))


def their_step(batch: int, precision: str | None) -> Callable[[], None]:
    """Return a step as torchvision's references/classification/train.py takes it by default."""
    from torchvision.models import vgg16

    device = choose_machine().device
    net = vgg16().to(device).train()
    optimizer = torch.optim.SGD(net.parameters(), lr=0.1, momentum=0.9, weight_decay=1e-4)
    x = torch.randn(batch, 3, 224, 224, device=device)
    labels = torch.randint(1000, (batch,), device=device)

    def step() -> None:
        loss = F.cross_entropy(net(x), labels)
        optimizer.zero_grad()
        loss.backward()  # type: ignore[no-untyped-call]
        optimizer.step()
        loss.item()

    return step


def measure(side: str, batch: int, steps: int, precision: str | None) -> dict[str, float]:
    """Time some steps after two to warm up; also the peak of memory, in MiB."""
    torch.manual_seed(0)
    step = (our_step if side == "verydeep" else their_step)(batch, precision)
    for _ in range(2):
        step()
    _wait()
    started = time.perf_counter()
    for _ in range(steps):
        step()
    _wait()
    seconds = time.perf_counter() - started
    return {"images_per_second": batch * steps / seconds, "peak_mib": _peak_mib()}


def _wait() -> None:
    if torch.cuda.is_available():
        torch.cuda.synchronize()


def _peak_mib() -> float:
    if torch.cuda.is_available():
        return torch.cuda.max_memory_allocated() / 2**20
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024


def compare(batch: int, steps: int, rounds: int, precision: str | None) -> dict[str, Any]:
    """Run both sides turn about and return medians, spreads and the ratio."""
    found: dict[str, list[dict[str, float]]] = {side: [] for side in SIDES}
    for number in range(rounds):
        for side in SIDES if number % 2 == 0 else SIDES[::-1]:
            command = [sys.executable, __file__, "--side", side]
            command += ["--batch", str(batch), "--steps", str(steps)]
            command += ["--precision", precision] if precision else []
            output = subprocess.run(command, check=True, capture_output=True, text=True).stdout
            found[side].append(json.loads(output))
            print(f"round {number + 1}, {side}: {output.strip()}", file=sys.stderr)
    rates = {side: [row["images_per_second"] for row in rows] for side, rows in found.items()}
    medians = {side: statistics.median(values) for side, values in rates.items()}
    return {
        "what": "training step, net D / vgg16, 224x224",
        "batch": batch,
        "steps": steps,
        "rounds": rounds,
        "images_per_second": rates,
        "median": medians,
        "ratio": medians["verydeep"] / medians["torchvision"],
        "peak_mib": {side: max(row["peak_mib"] for row in rows) for side, rows in found.items()},
        "environment": describe_environment(choose_machine(precision=precision)),
    }


def main() -> None:  # noqa: D103
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0] if __doc__ else "")
    parser.add_argument("--batch", type=int, default=8)
    parser.add_argument("--steps", type=int, default=4)
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--precision", choices=("bf16", "fp32"))
    parser.add_argument("--side", choices=SIDES, help="measure one side in this process")
    parser.add_argument("--out", type=Path, help="write the result here too")
    options = parser.parse_args()
    if options.side:
        row = measure(options.side, options.batch, options.steps, options.precision)
        print(json.dumps(row))
        return
    result = compare(options.batch, options.steps, options.rounds, options.precision)
    text = json.dumps(result, indent=2)
    if options.out:
        options.out.parent.mkdir(parents=True, exist_ok=True)
        options.out.write_text(text + "\n")
    print(text)


if __name__ == "__main__":
    main()
