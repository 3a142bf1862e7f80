"""``verydeep serve`` under faults: is every later answer right, and is the server still there?

    python benchmarks/serve_faults.py --requests 10000 --out docs/results/serve_faults.json

Starts the server with a small net of random weights, and asks it, from several connections at
once, with mutated images of every format and with mutated requests. Meanwhile other clients send
a byte a second, leave in the middle of a request or before the answer, and the decoding processes
are killed. After every mutation that was answered, an unchanged image is asked for; its answer
must be the one from the beginning, up to rounding. Linux only: it looks for processes in /proc.
"""

from __future__ import annotations

import argparse
import asyncio
import contextlib
import io
import json
import os
import random
import signal
import tempfile
import time
from collections import Counter
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from load_client import HOST, Connection, Reply, Target, request_of
from PIL import Image
from serve import make_small, memory, started_server

FORMATS = ("JPEG", "PNG", "GIF", "BMP", "TIFF", "WEBP", "PPM", "AVIF")
SLOW = 10
"""Number of clients that send a byte a second."""

PATIENCE = 60.0
"""Seconds after which a connection without an answer counts as hanging."""


def seeds(folder: Path | None) -> list[bytes]:
    """Return images of every format, and those of a folder."""
    picture = Image.linear_gradient("L").resize((96, 80)).convert("RGB")
    found = []
    for kind in FORMATS:
        file = io.BytesIO()
        picture.save(file, kind)
        found.append(file.getvalue())
    file = io.BytesIO()
    picture.save(file, "JPEG", progressive=True, exif=Image.Exif())
    found.append(file.getvalue())
    if folder is not None:
        found += [one.read_bytes() for one in sorted(folder.iterdir())[:32] if one.is_file()]
    return found


def mutated(data: bytes, chance: random.Random) -> bytes:
    """Return bytes of which some are replaced, removed, doubled or cut off."""
    new = bytearray(data)
    for _ in range(chance.randint(1, 8)):
        at, length = chance.randrange(len(new) + 1), chance.randint(1, 64)
        match chance.randrange(5):
            case 0:
                new[at : at + 4] = chance.randbytes(4)
            case 1:
                new[at : at + 1] = bytes([chance.choice((0, 1, 127, 128, 254, 255))])
            case 2:
                del new[at : at + length]
            case 3:
                new[at:at] = new[max(0, at - length) : at]
            case _ if chance.random() < 0.3:
                del new[at:]
    return bytes(new)


class Trial:
    """What is sent, and what came back."""

    def __init__(self, port: int, images: Sequence[bytes], seed: int) -> None:
        self.target = Target(port, "/v1/predict", "images", str)
        self.images = images
        self.chance = random.Random(seed)
        self.good = request_of(self.target, "good.png", images[1])
        self.seen: Counter[str] = Counter()
        self.right: Any = None
        self.left = 0
        self.ended = False

    async def begin(self) -> None:
        """Remember the right answer."""
        self.right = answer_of(await Connection(self.target.port).ask(self.good))
        if self.right is None:
            raise SystemExit("no answer at the beginning")

    async def client(self) -> None:
        """Send mutations, each followed by the unchanged image."""
        connection = Connection(self.target.port)
        while self.left > 0:
            self.left -= 1
            data = self.chance.choice(self.images)
            if self.chance.random() < 0.5:
                request, kind = request_of(self.target, "a", mutated(data, self.chance)), "image"
            else:
                request, kind = mutated(request_of(self.target, "a", data), self.chance), "request"
            self.seen[f"{kind}: {await self.outcome(connection, request, kind)}"] += 1
            await self.check(connection)
        connection.close()

    async def outcome(self, connection: Connection, request: bytes, kind: str) -> str:
        """Return the status of an answer, or how the connection ended."""
        try:
            # A mutated head may promise more bytes than there are: then the server rightly waits.
            async with asyncio.timeout(PATIENCE if kind == "image" else 1.0):
                reply = await connection.ask(request)
        except TimeoutError:
            connection.close()
            return "hangs" if kind == "image" else "waits for more"
        if kind == "request":
            connection.close()  # whatever followed the mutation would be taken for a request
        return "closed" if reply is None else str(reply.status)

    async def check(self, connection: Connection) -> None:
        """Ask for the unchanged image."""
        async with asyncio.timeout(PATIENCE):
            reply = await connection.ask(self.good)
            if reply is None:  # the server may close a connection after a refusal
                reply = await connection.ask(self.good)
        if reply is not None and reply.status == 429:
            self.seen["good: 429"] += 1
        else:
            right = same(answer_of(reply), self.right)
            self.seen["good: right" if right else "good: wrong"] += 1
            if not right:
                print("wrong:", "closed" if reply is None else reply.body.decode(), flush=True)

    async def slow(self) -> None:
        """Send a byte a second, again and again."""
        while not self.ended:
            with contextlib.suppress(OSError):
                reader, writer = await asyncio.open_connection(HOST, self.target.port)
                for at in range(len(self.good)):
                    writer.write(self.good[at : at + 1])
                    await writer.drain()
                    await asyncio.sleep(1)
                    if self.ended or reader.at_eof():
                        break
                writer.close()
            self.seen["slow client"] += 1

    async def leaver(self) -> None:
        """Leave in the middle of a request, or before the answer."""
        while not self.ended:
            with contextlib.suppress(OSError):
                _, writer = await asyncio.open_connection(HOST, self.target.port)
                writer.write(self.good[: self.chance.choice((40, len(self.good) - 9, None))])
                await writer.drain()
                writer.transport.abort()
            self.seen["cut connection"] += 1
            await asyncio.sleep(0.05)

    async def killer(self, server: int) -> None:
        """Kill a decoding process now and then."""
        while not self.ended:
            await asyncio.sleep(1.0)
            if found := decoders_of(server):
                with contextlib.suppress(ProcessLookupError):
                    os.kill(self.chance.choice(found), signal.SIGKILL)
                    self.seen["killed process"] += 1


def answer_of(reply: Reply | None) -> Any:
    """Return the probabilities of an answer by class; None without an answer."""
    if reply is None or reply.status != 200:
        return None
    ranking = json.loads(reply.body)["images"][0]["ranking"]
    return {one["class"]: one["probability"] for one in ranking} or None


def same(found: Any, right: Any) -> bool:
    """Return whether two answers are equal up to rounding in batches of other sizes."""
    if found is None or found.keys() != right.keys():
        return False
    return all(abs(found[name] - right[name]) < 1e-5 for name in right)


def decoders_of(server: int) -> list[int]:
    """Return the ids of the decoding processes of a server."""
    found = []
    for path in Path(f"/proc/{server}/task").glob("*/children"):
        for pid in map(int, path.read_text().split()):
            with contextlib.suppress(OSError):
                if b"decode_process" in Path(f"/proc/{pid}/cmdline").read_bytes():
                    found.append(pid)
    return found


async def run(trial: Trial, server: int, requests: int, clients: int) -> None:
    """Send everything."""
    await trial.begin()
    trial.left = requests
    beside = [asyncio.ensure_future(trial.slow()) for _ in range(SLOW)]
    beside += [asyncio.ensure_future(trial.leaver()), asyncio.ensure_future(trial.killer(server))]
    await asyncio.gather(*(trial.client() for _ in range(clients)))
    trial.ended = True
    await asyncio.gather(*beside, return_exceptions=True)
    await trial.check(Connection(trial.target.port))


def main() -> None:
    """Run the trial, and write what was seen."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--requests", type=int, default=10_000, help="mutations to send")
    parser.add_argument("--clients", type=int, default=8)
    parser.add_argument("--images", type=Path, help="folder of further images to mutate")
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--out", type=Path)
    options = parser.parse_args()
    from verydeep.system.device import choose_machine, describe_environment

    started = time.monotonic()
    with tempfile.TemporaryDirectory() as name:
        make_small(Path(name))
        with started_server("verydeep torch", Path(name), None, threads=1) as (port, process):
            trial = Trial(port, seeds(options.images), options.seed)
            begin = memory(process.pid)
            asyncio.run(run(trial, process.pid, options.requests, options.clients))
            alive = process.poll() is None
            result = {
                "what": "verydeep serve with mutated images and requests, slow clients, cut "
                "connections and killed processes",
                "requests": options.requests,
                "seed": options.seed,
                "seen": dict(sorted(trial.seen.items())),
                "alive": alive,
                "memory_mib": {"begin": begin, "end": memory(process.pid)},
                "seconds": round(time.monotonic() - started, 1),
            }
    print(json.dumps(result, indent=2))
    if options.out:
        result["environment"] = describe_environment(choose_machine("cpu", "fp32"))
        options.out.write_text(json.dumps(result, indent=2) + "\n")
    if not alive or result["seen"].get("good: wrong") or result["seen"].get("image: hangs"):
        raise SystemExit(1)


if __name__ == "__main__":
    main()
