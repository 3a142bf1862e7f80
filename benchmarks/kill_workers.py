"""Programs killed at random moments: what is left running, and which files would not open.

    python benchmarks/kill_workers.py FOLDER --times 100 --out docs/results/kill_workers.json

Makes up 1,400 small images in FOLDER and trains a small net on them. Then starts every verb that
reads with worker processes, two of them, and at a random moment of its run kills the program with
SIGKILL, SIGTERM or SIGHUP, or one of its workers with SIGKILL. Says how often a process of it was
still there five seconds later, which of the files that it left would not open, and, where a worker
was killed, how the program ended and how soon. Linux only: it looks for processes in /proc.
"""

from __future__ import annotations

import argparse
import json
import os
import random
import shutil
import signal
import statistics
import subprocess
import sys
import tarfile
import time
import uuid
from collections import Counter
from collections.abc import Callable, Sequence
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
import torch
from PIL import Image
from safetensors import SafetensorError, safe_open

from verydeep.system.device import choose_machine, describe_environment

TINY = (
    *("--net", "A", "--set", "net.width=0.125", "--set", "net.input_size=32"),
    *("--set", "data.train_scale=[32, 40]", "--precision", "fp32"),
)
MARK = "VERYDEEP_TRIAL"
PATIENCE = 120.0
"""Seconds after which a program counts as one that hangs."""

LATER = 5.0
"""Seconds after a program's end when its processes are counted."""


def make_pictures(root: Path) -> Path:
    """Write noise in three classes and three splits."""
    generator = np.random.default_rng(0)
    for split, count in {"train": 400, "val": 20, "test": 50}.items():
        for name in "abc":
            folder = root / split / name
            folder.mkdir(parents=True)
            for number in range(count):
                pixels = generator.integers(0, 255, (96, 96 + number % 7, 3), dtype=np.uint8)
                Image.fromarray(pixels).save(folder / f"{number}.jpg")
    return root


def verbs(data: Path, run: Path) -> dict[str, Callable[[Path], list[str]]]:
    """Return the command lines; each writes to a folder of its own."""
    two = ["--workers", "2"]
    return {
        "train": lambda out: [
            *("train", str(data), "--out", str(out / "run"), *TINY, "--epochs", "3"),
            *("--set", "data.workers=2", "--set", "training.batch=64"),
        ],
        "check": lambda out: ["check", str(data), "--out", str(out / "page"), *two],
        "shard": lambda out: ["shard", str(data), str(out / "shards"), *two],
        "features": lambda out: (
            ["features", str(run), str(data), "--out", str(out / "f.npz"), *two]
        ),
        "evaluate": lambda out: (
            ["evaluate", str(run), "--split", "train", "--out", str(out / "test"), *two]
        ),
        "predict": lambda out: ["predict", str(run), str(data / "train"), "--csv"],
    }


def processes(mark: str) -> list[int]:
    """Return the numbers of all processes that were started with a mark."""
    wanted, found = f"{MARK}={mark}".encode(), []
    for folder in Path("/proc").iterdir():
        if not folder.name.isdigit():
            continue
        try:
            alive = (folder / "stat").read_text().rpartition(")")[2].split()[0] != "Z"
            if alive and wanted in (folder / "environ").read_bytes().split(b"\0"):
                found.append(int(folder.name))
        except OSError:  # it has just ended
            continue
    return found


@dataclass
class Tally:
    """What became of the trials of a verb with one signal."""

    trials: int = 0
    left_running: int = 0
    hung: int = 0
    ended_before: int = 0
    broken_files: list[str] = field(default_factory=list)
    exit_codes: Counter[str] = field(default_factory=Counter)
    seconds_to_the_end: list[float] = field(default_factory=list)
    messages: Counter[str] = field(default_factory=Counter)

    def summary(self) -> dict[str, Any]:
        """Return it as plain values."""
        seconds = self.seconds_to_the_end
        value = asdict(self) | {"exit_codes": dict(self.exit_codes)}
        value["seconds_to_the_end"] = (
            {"median": round(statistics.median(seconds), 2), "most": round(max(seconds), 2)}
            if seconds
            else None
        )
        value["messages"] = dict(self.messages)
        return value


def start(words: Sequence[str], mark: str, errors: Path) -> subprocess.Popen[bytes]:
    """Start the program, in a session of its own."""
    with errors.open("wb") as file:
        return subprocess.Popen(
            [sys.executable, "-m", "verydeep", *words],
            env={**os.environ, MARK: mark, "OMP_NUM_THREADS": "1"},
            stdout=subprocess.DEVNULL,
            stderr=file,
            start_new_session=True,
            # Under nohup the program would go on when the terminal is closed, as it should.
            preexec_fn=lambda: signal.signal(signal.SIGHUP, signal.SIG_DFL),  # noqa: PLW1509
        )


def length_of(words: Sequence[str], errors: Path) -> float:
    """Return how long a run takes that nobody disturbs."""
    begun = time.monotonic()
    process = start(words, uuid.uuid4().hex, errors)
    if process.wait(PATIENCE) not in (0, 2):  # 2: what check says of noise
        raise SystemExit(errors.read_text())
    return time.monotonic() - begun


def trial(
    words: Sequence[str], out: Path, what: str, wait: float, tally: Tally, chance: random.Random
) -> None:
    """Start the program, send a signal at a moment, and note what is left."""
    mark, errors = uuid.uuid4().hex, out / "stderr"
    tally.trials += 1
    process = start(words, mark, errors)
    time.sleep(wait)
    victim = process.pid if what != "worker" else worker_of(process, mark, chance)
    sent = time.monotonic()
    if victim is None or process.poll() is not None:
        tally.ended_before += 1
    else:
        number = signal.SIGKILL if what == "worker" else signal.Signals[what]
        os.kill(victim, number)
    try:
        code = process.wait(PATIENCE)
        tally.seconds_to_the_end.append(time.monotonic() - sent)
        tally.exit_codes[str(code)] += 1
    except subprocess.TimeoutExpired:
        tally.hung += 1
    if what == "worker":
        tally.messages[errors.read_text().strip().rpartition("\n")[2][:60]] += 1
    deadline = time.monotonic() + LATER
    while (left := processes(mark)) and time.monotonic() < deadline:
        time.sleep(0.05)
    tally.left_running += bool(left)
    for pid in left:
        os.kill(pid, signal.SIGKILL)
    tally.broken_files += [str(path) for path in sorted(out.rglob("*")) if not opens(path)]


def worker_of(process: subprocess.Popen[bytes], mark: str, chance: random.Random) -> int | None:
    """Wait for a worker of the program; None if it ends without."""
    while process.poll() is None:
        workers = [pid for pid in processes(mark) if pid != process.pid]
        if workers:
            return chance.choice(workers)
        time.sleep(0.01)
    return None


def opens(path: Path) -> bool:
    """Return whether a file is whole; those under way have hidden names."""
    if path.is_dir() or path.name.startswith(".") or path.name == "stderr":
        return True
    try:
        match path.suffix:
            case ".json":
                json.loads(path.read_text())
            case ".jsonl":
                [json.loads(line) for line in path.read_text().splitlines()]
            case ".pt":
                torch.load(path, weights_only=True)
            case ".npz":
                with np.load(path) as arrays:
                    [arrays[name] for name in arrays.files]
            case ".tar":
                with tarfile.open(path) as archive:
                    archive.getmembers()
            case ".html":
                return path.read_text().rstrip().endswith("</html>")
            case ".png":
                Image.open(path).load()
            case ".safetensors":
                with safe_open(path, "pt") as file:
                    file.keys()
    except (OSError, ValueError, RuntimeError, tarfile.TarError, SafetensorError):
        return False
    return True


def main() -> None:
    """Kill programs and print what was left."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("folder", type=Path)
    parser.add_argument("--times", type=int, default=100, help="SIGKILLs of the program in all.")
    parser.add_argument("--others", type=int, default=5, help="Of each other kind, a verb.")
    parser.add_argument("--verbs", nargs="*", help="Only these.")
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--out", type=Path)
    chosen = parser.parse_args()
    load_before = os.getloadavg()
    chosen.folder.mkdir(parents=True, exist_ok=True)
    data, run = chosen.folder / "pictures", chosen.folder / "run"
    if not data.is_dir():
        make_pictures(data)
    errors = chosen.folder / "stderr"
    if not run.is_dir():
        length_of(["train", str(data), "--out", str(run), *TINY, "--epochs", "1"], errors)
    known, chance = verbs(data, run), random.Random(chosen.seed)
    each = -(-chosen.times // len(known))
    if chosen.verbs:
        known = {verb: known[verb] for verb in chosen.verbs}
    plan = {"SIGKILL": each, **dict.fromkeys(("SIGTERM", "SIGHUP", "worker"), chosen.others)}
    results: dict[str, dict[str, Any]] = {}
    for verb, make in known.items():
        out = chosen.folder / "trial"
        shutil.rmtree(out, ignore_errors=True)
        out.mkdir()
        whole = length_of(make(out), errors)
        results[verb] = {"seconds_undisturbed": round(whole, 2)}
        for what, times in plan.items():
            tally = Tally()
            for _ in range(times):
                shutil.rmtree(out, ignore_errors=True)
                out.mkdir()
                wait = chance.uniform(0, whole * (0.7 if what == "worker" else 1.0))
                trial(make(out), out, what, wait, tally, chance)
            results[verb][what] = tally.summary()
            print(verb, what, json.dumps(tally.summary()), flush=True)
    if chosen.out:
        value = {
            "what": "left after kills at random moments",
            "seed": chosen.seed,
            "load_average": {"before": load_before, "after": os.getloadavg()},
            "environment": describe_environment(choose_machine("cpu")),
            "results": results,
        }
        chosen.out.write_text(json.dumps(value, indent=2) + "\n")


if __name__ == "__main__":
    main()
