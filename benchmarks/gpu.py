"""All figures of a GPU that the project asks for, in one run of less than eight minutes.

    python benchmarks/gpu.py PHOTOS --out docs/results/gpu.json

PHOTOS is a folder of JPEGs. Measured are the matrix rate of the card (a large bf16 product), the
training of net D on crops that are ready and on JPEGs (decoded on the CPU and on the card, compiled
and not), and the test on central crops. Training must reach half the matrix rate, and with JPEGs
nine tenths of its rate without; testing 60 %. A net of V multiply-adds takes 2·V operations an
image in a test and 3·2·V in training. ``--tests`` runs the tests that need a GPU first.
"""

from __future__ import annotations

import argparse
import json
import os
import subprocess
import sys
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import closing
from dataclasses import dataclass, replace
from itertools import count, cycle, groupby, islice
from pathlib import Path
from typing import Any

import torch

from verydeep.data.pipeline.augment import Augmentation
from verydeep.data.pipeline.batches import Decoding, TrainingBatches
from verydeep.data.pipeline.micro_batch import MicroBatch
from verydeep.data.pipeline.on_device import ahead_on_device
from verydeep.data.samples import Sample
from verydeep.evaluation.evaluate import evaluate_samples
from verydeep.evaluation.protocol import TestProtocol
from verydeep.models.classifier import Classifier
from verydeep.models.preprocessing import Preprocessing
from verydeep.nets.anatomy import anatomy
from verydeep.nets.interface import Net
from verydeep.nets.vgg import vgg
from verydeep.recipe.recipe import Recipe
from verydeep.run.training.net_and_optimizer import make_optimizer
from verydeep.system.device import Machine, choose_machine, describe_environment, usable_cores
from verydeep.training.compiled import compiled
from verydeep.training.loop import Loop
from verydeep.training.objective import Classification
from verydeep.training.schedule import make_schedule

K = 1000
DEMANDS = {
    "training, share of the matrix rate": 0.5,
    "training on JPEGs, share of synthetic": 0.9,
    "testing, share of the matrix rate": 0.6,
}
TESTS = (
    *("tests/training/test_loop_on_gpus.py", "tests/training/test_late_sums.py"),
    *("tests/data/test_on_device.py", "tests/data/test_batches.py", "tests/data/test_augment.py"),
    *("tests/data/test_image_cache.py", "tests/system/test_device.py"),
    "tests/system/group/test_launch.py",
)
"""Tests of which some need a GPU."""


@dataclass(frozen=True)
class Bench:
    """A net on a machine, with the training loop around it.

    Attributes:
        options: The command line.
        machine: Device and precision.
        net: Net on the device.
        loop: Training loop, whose updates are timed.
        call: Compiled form of the net; None to leave it out.
    """

    options: argparse.Namespace
    machine: Machine
    net: Net
    loop: Loop
    call: Callable[[torch.Tensor], torch.Tensor] | None

    @property
    def operations(self) -> int:
        """Floating-point operations of a forward pass of one image."""
        one = self.options
        return 2 * anatomy(one.net, K, input_size=one.size, width=one.width).multiply_adds


def prepare(options: argparse.Namespace) -> Bench:
    """Build the net and its loop."""
    torch.manual_seed(0)
    machine = choose_machine(options.device, options.precision)
    net = vgg(options.net, K, input_size=options.size, width=options.width)
    net.to(machine.device, memory_format=torch.channels_last)  # type: ignore[call-overload]
    recipe = Recipe().replace(training__learning_rate=1e-6)  # the labels are noise
    loop = Loop(
        net=net,
        optimizer=make_optimizer(net, recipe),
        schedule=make_schedule(recipe),
        batches=synthetic(options),
        prepare=Preprocessing((124.0, 117.0, 104.0)),
        objective=Classification(K),
        validate=dict,
        watch="loss",
        machine=machine,
        epochs=1,
        folder=Path(),
        on_keep=lambda row: None,
    )
    return Bench(options, machine, net, loop, None if options.eager else compiled(net))


def matrix_rate(machine: Machine, side: int, seconds: float) -> float:
    """Return the floating-point operations a second of a square bf16 product."""
    left, right = torch.randn(2, side, side, device=machine.device).bfloat16().unbind()
    return 2 * side**3 * _calls_a_second(lambda: left @ right, machine, seconds)


def _calls_a_second(call: Callable[[], object], machine: Machine, seconds: float) -> float:
    for _ in range(3):
        call()
    _wait(machine)
    started, calls = time.perf_counter(), 0
    while time.perf_counter() < started + seconds or not calls:
        for _ in range(4):
            call()
        _wait(machine)
        calls += 4
    return calls / (time.perf_counter() - started)


def _wait(machine: Machine) -> None:
    if machine.device.type == "cuda":
        torch.cuda.synchronize(machine.device)


class Ready:
    """Batches of noise that are in pinned memory already."""

    def __init__(self, parts: Sequence[MicroBatch]) -> None:
        self.parts = parts
        self.pictures = sum(len(part.labels) for part in parts)
        self.steps = len(parts)

    def epoch(self, epoch: int, start: int = 0) -> Iterator[MicroBatch]:
        """Yield the batches."""
        yield from self.parts[start:]


def synthetic(options: argparse.Namespace) -> Any:
    """Return two batches of noise."""
    generator = torch.Generator().manual_seed(0)
    shape = (options.batch, 3, options.size, options.size)
    parts = [
        MicroBatch(
            pictures=torch.randint(256, shape, dtype=torch.uint8, generator=generator),
            labels=torch.randint(K, (options.batch,), generator=generator),
            shifts=torch.randn(options.batch, 3, generator=generator),
            step=step,
            images=options.batch,
            last=True,
        )
        for step in range(2)
    ]
    return Ready([part.pin_memory() if torch.cuda.is_available() else part for part in parts])


def from_files(options: argparse.Namespace, files: Sequence[Path], decode: Decoding) -> Any:
    """Return augmented crops of JPEGs, as a training reads them; a short list is repeated."""
    samples = [
        Sample(path, number % K)
        for number, path in enumerate(islice(cycle(files), max(len(files), 20 * options.batch)))
    ]
    return TrainingBatches(
        samples,
        Augmentation(size=options.size, scale=(options.scale, 2 * options.scale)),
        batch=options.batch,
        micro_batch=options.batch,
        seed=0,
        workers=options.workers,
        decode=decode,
    )


def train(bench: Bench, batches: Any, *, compile_: bool) -> float:
    """Return the images a second of updates, after some to warm up."""
    loop = bench.loop
    loop.forward = bench.call if compile_ else None
    loop.net.train()
    epochs = (batches.epoch(number) for number in count())
    with (
        closing(_chained(epochs)) as endless,
        closing(ahead_on_device(endless, bench.machine.device)) as moved,
    ):
        started, images, warm = 0.0, 0, 4
        for _, parts in groupby(moved, key=lambda part: part.step):
            loop._update(parts)
            loop._agree()
            warm -= 1
            if warm == 0:
                _wait(bench.machine)
                started, images = time.perf_counter(), 0
            elif warm < 0:
                images += bench.options.batch
                if time.perf_counter() > started + bench.options.seconds:
                    break
        _wait(bench.machine)
    seconds = time.perf_counter() - started
    loop._late.take(whole=True)
    return images / seconds


def _chained(epochs: Iterator[Any]) -> Any:
    for epoch in epochs:
        with closing(epoch) as parts:
            yield from parts


def classifier(bench: Bench) -> Classifier:
    """Return the net as a model to test."""
    size, scale = bench.options.size, bench.options.scale
    return Classifier(
        bench.net.eval(),
        tuple(f"{number:04}" for number in range(K)),
        Preprocessing((124.0, 117.0, 104.0)),
        (scale, scale),
        (max(size, scale),),
        machine=replace(bench.machine, engine="torch"),
    )


def test_rates(bench: Bench, files: Sequence[Path]) -> dict[str, float]:
    """Return the images a second of central crops that are ready, and of files."""
    model, options = classifier(bench), bench.options
    shape = (options.batch, 3, options.size, options.size)
    crops = torch.randint(256, shape, dtype=torch.uint8, device=bench.machine.device)
    rates = {
        "ready": options.batch
        * _calls_a_second(lambda: model.score_map(crops), bench.machine, options.seconds)
    }
    if files:
        few = [*islice(cycle(files), 8 * options.batch)]
        started = time.perf_counter()
        evaluate_samples(
            [model],
            [Sample(path, 0) for path in few],
            TestProtocol("center", (max(options.size, options.scale),), flip=False),
            workers=options.workers,
        )
        rates["files"] = len(few) / (time.perf_counter() - started)
    return rates


def measure(options: argparse.Namespace) -> dict[str, Any]:
    """Return all figures, and the demands with what is reached."""
    began = time.perf_counter()
    bench = prepare(options)
    files = jpegs(options.photos) if options.photos else []
    matrices = matrix_rate(bench.machine, options.matrix, min(3.0, options.seconds))
    ways = [False] if bench.call is None else [False, True]
    training: dict[str, float] = {}
    for compile_ in ways:
        end = ", compiled" if compile_ else ""
        training[f"synthetic{end}"] = train(bench, bench.loop.batches, compile_=compile_)
        for decode in ("cpu", "device") if files else ():
            batches = from_files(options, files, decode)
            training[f"JPEGs, decode: {decode}{end}"] = train(bench, batches, compile_=compile_)
    testing = test_rates(bench, files)
    return {
        "what": f"net {options.net}, width {options.width:g}, {options.size} pixels, batches of "
        f"{options.batch}, {bench.machine}",
        "files": len(files),
        "workers": options.workers,
        "matrix_tflops": matrices / 1e12,
        "training_images_per_second": training,
        "testing_images_per_second": testing,
        "demands": list(judged(bench.operations, matrices, training, testing)),
        "seconds": time.perf_counter() - began,
        "environment": describe_environment(bench.machine),
    }


def judged(
    operations: int, matrices: float, training: dict[str, float], testing: dict[str, float]
) -> Iterator[dict[str, Any]]:
    """Yield each demand with the share that is reached."""
    ready = max(rate for name, rate in training.items() if name.startswith("synthetic"))
    read = [rate for name, rate in training.items() if name.startswith("JPEG")]
    shares = [
        3 * operations * ready / matrices,
        max(read) / ready if read else None,
        operations * testing["ready"] / matrices,
    ]
    for (name, least), share in zip(DEMANDS.items(), shares, strict=True):
        yield {
            "demand": name,
            "at_least": least,
            "reached": share,
            "met": None if share is None else share >= least,
        }


def jpegs(folder: Path) -> list[Path]:
    """Return the JPEGs below a folder, by name."""
    endings = {".jpg", ".jpeg"}
    found = sorted(path for path in folder.rglob("*") if path.suffix.lower() in endings)
    if not found:
        raise SystemExit(f"{folder}: no JPEG files")
    return found


def main() -> None:
    """Run the tests if asked to, then measure."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("photos", type=Path, nargs="?", help="folder of JPEGs; none: noise alone")
    parser.add_argument("--net", default="D")
    parser.add_argument("--width", type=float, default=1.0)
    parser.add_argument("--size", type=int, default=224)
    parser.add_argument("--scale", type=int, default=256)
    parser.add_argument("--batch", type=int, default=256)
    parser.add_argument("--seconds", type=float, default=15.0, help="of each measurement")
    parser.add_argument("--matrix", type=int, default=8192, help="side of the matrices")
    parser.add_argument("--workers", type=int, default=usable_cores())
    parser.add_argument("--device", help="default: a GPU if there is one")
    parser.add_argument("--precision", choices=("bf16", "fp32"))
    parser.add_argument("--eager", action="store_true", help="leave out the compiled net")
    parser.add_argument("--tests", action="store_true", help="run the tests that need a GPU first")
    parser.add_argument("--out", type=Path)
    options = parser.parse_args()
    root = Path(__file__).parents[1]
    if options.tests:
        command = [sys.executable, "-m", "pytest", "-q", *TESTS]
        subprocess.run(command, check=True, cwd=root, env={**os.environ, "PYTHONPATH": str(root)})
    text = json.dumps(measure(options), indent=1)
    if options.out:
        options.out.write_text(text + "\n")
    print(text)


if __name__ == "__main__":
    main()
