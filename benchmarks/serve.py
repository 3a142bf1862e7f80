"""``verydeep serve`` under load, beside servers as people write them.

    python benchmarks/serve.py PHOTOS --out docs/results/serve.json

Each server runs in processes of its own, one after the other, with net D of the paper and random
weights. 64 connections on this machine send photographs for two minutes, one a request, and wait
for the answers. Reported are images per second, percentiles of the time of an answer, answers by
status, answers with another likeliest class than the image has alone, and memory (the proportional
set size of all processes of the server) at begin and end.

- ``verydeep int8``, ``verydeep fp32``, ``verydeep torch``: the central crop of 224 pixels, with
  OpenVINO in int8, in fp32, and with eager PyTorch;
- ``engine``: the first engine alone in one process, without a server, on decoded images: the speed
  that a server can reach at best;
- ``plain``: FastAPI or Starlette with torchvision's vgg16, see ``serve_plain.py``;
- ``litserve``: LitServe in batches of 16, see ``serve_litserve.py``.

``--packages FOLDER`` names a folder with the packages of the last two:
``pip install --target FOLDER litserve``. ``--growth N`` also sends N requests to a small net and
reports the memory after each tenth. ``--work`` keeps the models for the next call.
"""

from __future__ import annotations

import argparse
import asyncio
import contextlib
import json
import os
import re
import signal
import socket
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

from load_client import HOST, Target, expected, load

HERE = Path(__file__).resolve().parent
OURS = {
    "verydeep int8": ("--engine", "openvino", "--precision", "int8"),
    "verydeep fp32": ("--engine", "openvino", "--precision", "fp32"),
    "verydeep torch": ("--engine", "torch", "--precision", "fp32"),
}
CENTRAL = ("--center", "--no-flip")
THEIRS = {"plain": "serve_plain.py", "litserve": "serve_litserve.py"}
PATIENCE = 600.0
"""Seconds that a server may take to start; the first start tries its engine."""


def main() -> None:
    """Measure all servers, and write the table."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("photos", type=Path, help="folder of photographs (JPEG)")
    parser.add_argument("--sides", default=",".join(["engine", *OURS, *THEIRS]))
    parser.add_argument("--clients", type=int, default=64)
    parser.add_argument("--seconds", type=float, default=120.0)
    parser.add_argument("--requests", type=int, default=1_000_000, help="requests at most")
    parser.add_argument("--count", type=int, default=64, help="photographs to send")
    parser.add_argument("--growth", type=int, default=0, help="requests to a small net")
    parser.add_argument("--packages", type=Path, help="folder of packages of the others")
    parser.add_argument("--work", type=Path, help="folder that keeps the models")
    parser.add_argument("--out", type=Path)
    options = parser.parse_args()
    files = sorted(one for one in options.photos.iterdir() if one.suffix.lower().startswith(".jp"))
    files = files[: options.count]
    with contextlib.ExitStack() as stack:
        work = options.work or Path(stack.enter_context(tempfile.TemporaryDirectory()))
        work.mkdir(exist_ok=True, parents=True)
        result = measured(options, files, work)
    if options.out:
        options.out.write_text(json.dumps(result, indent=2) + "\n")


def measured(options: argparse.Namespace, files: Sequence[Path], work: Path) -> dict[str, Any]:
    """Return the rows of all sides, and where they were measured."""
    from verydeep.system.device import choose_machine, describe_environment

    make_models(work, files)
    rows = []
    for side in options.sides.split(","):
        row = (
            engine_alone(work, files) if side == "engine" else of_server(side, options, files, work)
        )
        rows.append({"side": side, **row})
        print(json.dumps(rows[-1]), flush=True)
    result: dict[str, Any] = {
        "what": "net D, random weights, central crop of 224 pixels, one photograph a request",
        "clients": options.clients,
        "photographs": len(files),
        "rows": rows,
    }
    if options.growth:
        result["growth"] = growth(work, files, options)
        print(json.dumps(result["growth"]), flush=True)
    load_average = os.getloadavg()
    environment = describe_environment(choose_machine("cpu", "fp32"))
    return {**result, "load_average": load_average, "environment": environment}


def make_models(work: Path, files: Sequence[Path]) -> None:
    """Write net D with its int8 variant, and a small net, unless they are there."""
    if not (work / "d" / "int8.json").exists():
        from engines import prepare

        prepare(work / "d", files[:8])
    if not (work / "small" / "config.json").exists():
        make_small(work / "small")


def make_small(folder: Path) -> None:
    """Write a net for images of 32 pixels, with random weights."""
    import torch

    from verydeep.models.classifier import Classifier
    from verydeep.models.preprocessing import Preprocessing
    from verydeep.nets.vgg import vgg

    torch.manual_seed(0)
    Classifier(
        net=vgg("A", num_classes=10, input_size=32, width=0.125).eval(),
        classes=tuple(map(str, range(10))),
        preprocessing=Preprocessing((124.0, 117.0, 104.0), 58.0),
        train_scale=(32, 32),
        test_scales=(32,),
    ).save(folder)


def engine_alone(work: Path, files: Sequence[Path]) -> dict[str, Any]:
    """Return the speed of the engine on decoded images, in batches of 16."""
    import verydeep
    from verydeep.data.images.decode import decode
    from verydeep.data.pipeline.rescaled import Rescale
    from verydeep.evaluation.protocol import TestProtocol
    from verydeep.serve.decoding import Decoded
    from verydeep.serve.models import DecodedPictures

    model = verydeep.load(work / "d", verydeep.Compute("cpu", "int8", engine="openvino"))
    model.prepare(1e9)
    how = TestProtocol("center", None, flip=False).for_model(model)
    rescale = Rescale(how.used_scales)
    pixels = [rescale(decode(file)) for file in files]
    images = [Decoded(one[0].shape[:2], one) for one in pixels]
    blocks = [images[first : first + 16] for first in range(0, len(images), 16)]
    best = 0.0
    for _ in range(3):
        started = time.perf_counter()
        for block in blocks:
            model.predict_tested(DecodedPictures(block, how.used_scales), how)
        best = max(best, len(images) / (time.perf_counter() - started))
    return {"images_per_second": round(best, 2)}


def of_server(
    side: str, options: argparse.Namespace, files: Sequence[Path], work: Path
) -> dict[str, Any]:
    """Return the figures of a server, or the reason why there are none."""
    try:
        with started_server(side, work / "d", options.packages, *CENTRAL) as (port, process):
            target = target_of(side, port)
            right = asyncio.run(expected(target, files))
            begin = memory(process.pid)
            row = asyncio.run(
                load(
                    target,
                    files,
                    right,
                    clients=options.clients,
                    seconds=options.seconds,
                    most=options.requests,
                )
            )
            return {**row, "memory_mib": {"begin": begin, "end": memory(process.pid)}}
    except (RuntimeError, OSError, SystemExit) as error:
        return {"fault": str(error)[:500]}


def target_of(side: str, port: int) -> Target:
    """Return the address of a server, and how its answers are read."""
    if side in OURS:

        def top(value: Any) -> str:
            return str(value["images"][0]["ranking"][0]["class"])

        return Target(port, "/v1/predict", "images", top)
    return Target(port, "/predict", "file", lambda value: str(value["class"]))


@contextlib.contextmanager
def started_server(
    side: str, model: Path, packages: Path | None, *more: str, threads: int | None = None
) -> Iterator[tuple[int, subprocess.Popen[bytes]]]:
    """Run a server within this context, and yield its port and process."""
    port = free_port()
    if side in OURS:
        words = ["-m", "verydeep", "serve", str(model), "--port", str(port), *OURS[side], *more]
    else:
        words = [str(HERE / THEIRS[side]), str(port)]
    places = [str(HERE.parent), *([str(packages)] if packages and side in THEIRS else [])]
    environment = {**os.environ, "PYTHONPATH": os.pathsep.join(places)}
    if threads is not None:  # a small net is not worth several
        environment["OMP_NUM_THREADS"] = str(threads)
    with tempfile.TemporaryFile() as errors:
        process = subprocess.Popen(
            [sys.executable, *words], env=environment, stderr=errors, start_new_session=True
        )
        try:
            wait_for(side, port, process)
            yield port, process
        except RuntimeError as error:
            errors.seek(0)
            raise RuntimeError(f"{error}: {errors.read().decode()[-400:]}") from error
        finally:
            stop(process)


def stop(process: subprocess.Popen[bytes]) -> None:
    """End a server with all its processes."""
    process.terminate()
    with contextlib.suppress(subprocess.TimeoutExpired):
        process.wait(30)
    with contextlib.suppress(ProcessLookupError):
        os.killpg(process.pid, signal.SIGKILL)
    process.wait()


def wait_for(side: str, port: int, process: subprocess.Popen[bytes]) -> None:
    """Wait until a server answers.

    Raises:
        RuntimeError: It has ended, or does not answer.
    """
    path = {"plain": "/docs", "litserve": "/health"}.get(side, "/readyz")
    deadline = time.monotonic() + PATIENCE
    while time.monotonic() < deadline:
        if process.poll() is not None:
            raise RuntimeError(f"ended with {process.returncode}")
        if answers(port, path):
            return
        time.sleep(0.5)
    raise RuntimeError("does not answer")


def answers(port: int, path: str) -> bool:
    """Return whether a server answers at an address."""
    try:
        with socket.create_connection((HOST, port), timeout=5) as asking:
            asking.sendall(f"GET {path} HTTP/1.1\r\nHost: {HOST}\r\n\r\n".encode())
            return bool(re.match(rb"HTTP/1.1 (200|404)", asking.recv(64)))
    except OSError:
        return False


def free_port() -> int:
    """Return a port that is free at the moment."""
    with socket.socket() as one:
        one.bind((HOST, 0))
        return int(one.getsockname()[1])


def memory(pid: int) -> int:
    """Return the proportional set size of a process and all below it, in MiB."""
    total, pending = 0, [pid]
    while pending:
        one = pending.pop()
        with contextlib.suppress(OSError):
            text = Path(f"/proc/{one}/smaps_rollup").read_text()
            total += int(re.search(r"^Pss:\s+(\d+)", text, re.MULTILINE)[1])  # type: ignore[index]
        for path in Path(f"/proc/{one}/task").glob("*/children"):
            with contextlib.suppress(OSError):
                pending += map(int, path.read_text().split())
    return round(total / 1024)


def growth(work: Path, files: Sequence[Path], options: argparse.Namespace) -> dict[str, Any]:
    """Return the memory after each tenth of many requests to a small net."""
    with started_server("verydeep torch", work / "small", None, threads=1) as (port, process):
        target = target_of("verydeep torch", port)
        right = asyncio.run(expected(target, files))
        sizes = [memory(process.pid)]
        step = max(1, options.growth // 10)

        def each(done: int) -> None:
            if done % step == 0:
                sizes.append(memory(process.pid))

        row = asyncio.run(
            load(
                target,
                files,
                right,
                clients=options.clients,
                seconds=3600,
                most=options.growth,
                each=each,
            )
        )
    return {"requests": options.growth, **row, "memory_mib": sizes}


if __name__ == "__main__":
    main()
