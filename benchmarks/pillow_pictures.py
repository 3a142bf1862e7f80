"""Every image of Pillow's own test suite through our decoder: what becomes of it, at what cost.

    python benchmarks/pillow_pictures.py Tests/images --out docs/results/pillow_pictures.json

The folder ``Tests/images`` is part of Pillow's source package. It holds more than a thousand files
of all formats, many of them broken on purpose, crashers found by fuzzing among them. Each file is
decoded in a process of its own, which is ended after 2 s and may ask for 1 GiB of memory on top of
what it began with. Whatever is neither an image nor a ``PictureError`` is a fault of ours, and
makes this program end with 1.
"""

from __future__ import annotations

import argparse
import json
import multiprocessing
import re
import resource
import sys
import time
from collections import Counter
from collections.abc import Sequence
from multiprocessing.connection import Connection
from pathlib import Path
from typing import Any

from verydeep.data.images.decode import decode
from verydeep.errors import PictureError
from verydeep.system.device import choose_machine, describe_environment

SECONDS = 2.0
BYTES = 2**30

Row = dict[str, Any]


def watch(path: Path) -> Row:
    """Decode a file in a process of its own and return what became of it."""
    # A fork has all imports behind it, so that memory and time are those of the file.
    context = multiprocessing.get_context("fork")
    here, there = context.Pipe(duplex=False)
    process = context.Process(target=_decode_and_tell, args=(path, there), daemon=True)
    process.start()
    there.close()
    try:
        row: Row = here.recv() if here.poll(SECONDS) else {"outcome": "timeout"}
    except EOFError:
        process.join()
        row = {"outcome": "crash", "reason": f"exit code {process.exitcode}"}
    process.kill()
    process.join()
    return {"file": path.name, **row}


def _decode_and_tell(path: Path, there: Connection) -> None:
    before = _memory("VmRSS")
    _forget_peak()
    limit = _memory("VmSize") + BYTES
    resource.setrlimit(resource.RLIMIT_AS, (limit, limit))
    started = time.process_time()
    outcome, reason, size = _attempt(path)
    there.send(
        {
            "outcome": outcome,
            "reason": reason,
            "size": size,
            "seconds": time.process_time() - started,
            "bytes": max(0, _memory("VmHWM") - before),
        }
    )


def _attempt(path: Path) -> tuple[str, str | None, tuple[int, int] | None]:
    try:
        picture = decode(path)
    except PictureError as error:
        return "refused", str(error).removeprefix(f"{path}: "), None
    except BaseException as error:
        return "exception", f"{type(error).__name__}: {error}", None
    wrong = picture.mode != "RGB"
    return ("exception" if wrong else "decoded"), f"mode {picture.mode}", picture.size


def _memory(entry: str) -> int:
    status = Path("/proc/self/status").read_text("utf-8")
    found = re.search(rf"^{entry}:\s+(\d+) kB", status, re.MULTILINE)
    assert found
    return 1024 * int(found[1])


def _forget_peak() -> None:
    """Let VmHWM begin anew; a fork has inherited its parent's."""
    Path("/proc/self/clear_refs").write_text("5", "utf-8")


def summary(rows: Sequence[Row]) -> Row:
    """Return counts, reasons, the costliest files, and whatever must not happen."""
    outcomes = Counter(row["outcome"] for row in rows)
    reasons = Counter(_kind(row["reason"]) for row in rows if row["outcome"] == "refused")
    told = [row for row in rows if "seconds" in row]
    return {
        "files": len(rows),
        "decoded": outcomes["decoded"],
        "refused": outcomes["refused"],
        "faults": [row for row in rows if row["outcome"] not in ("decoded", "refused")],
        "reasons": dict(reasons.most_common()),
        "decoded_by_suffix": _by_suffix(rows, "decoded"),
        "refused_by_suffix": _by_suffix(rows, "refused"),
        "slowest": _largest(told, "seconds"),
        "largest_memory": _largest(told, "bytes"),
    }


def _kind(reason: str) -> str:
    """Return a reason without what differs from file to file."""
    reason = re.sub(r"0x[0-9a-f]+|\d[\d,.]*", "N", reason)
    reason = re.sub(r"(b?'[^']*'|b?\"[^\"]*\")", "'...'", reason)
    return reason if len(reason) <= 160 else reason[:159] + "…"


def _by_suffix(rows: Sequence[Row], outcome: str) -> dict[str, int]:
    found = Counter(Path(r["file"]).suffix.lower() for r in rows if r["outcome"] == outcome)
    return dict(found.most_common())


def _largest(rows: Sequence[Row], key: str, count: int = 5) -> list[Row]:
    chosen = sorted(rows, key=lambda row: float(row[key]), reverse=True)[:count]
    return [{name: row[name] for name in ("file", "outcome", "size", key)} for row in chosen]


def main() -> int:
    """Decode everything, print and write the summary."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").partition("\n")[0])
    parser.add_argument("folder", type=Path)
    parser.add_argument("--out", type=Path)
    parser.add_argument("--rows", type=Path, help="also write a line of JSON for every file")
    arguments = parser.parse_args()
    rows = [watch(path) for path in sorted(arguments.folder.rglob("*")) if path.is_file()]
    environment = describe_environment(choose_machine("cpu", "fp32"))
    environment["command"] = (
        "python benchmarks/pillow_pictures.py Tests/images --out docs/results/pillow_pictures.json"
    )
    limits = {"seconds": SECONDS, "bytes": BYTES}
    found = {"limits": limits, **summary(rows), "environment": environment}
    text = json.dumps(found, indent=2, ensure_ascii=False) + "\n"
    if arguments.out:
        arguments.out.write_text(text, "utf-8")
    if arguments.rows:
        lines = (json.dumps(row, ensure_ascii=False) + "\n" for row in rows)
        arguments.rows.write_text("".join(lines), "utf-8")
    print(text)
    return 1 if found["faults"] else 0


if __name__ == "__main__":
    sys.exit(main())
