"""Limits that a container or a batch system sets to a process by Linux control groups.

Both versions are read (Linux kernel documentation, *cgroup-v2* and *cgroup-v1*); the limits of all
groups around the process's own hold as well.
"""

from __future__ import annotations

import math
from collections.abc import Iterator
from pathlib import Path

ROOT = Path("/sys/fs/cgroup")
"""Where the file systems of control groups are."""

OWN = Path("/proc/self/cgroup")
"""Groups of this process: a line ``number:controllers:path`` each, without controllers in v2."""

UNLIMITED = 2**60
"""Version 1 writes no limit as nearly 2⁶³ bytes."""


def core_limit() -> int | None:
    """Return the processor time that the process may take, in cores; None without a limit.

    A part of a core counts as one.
    """
    limits = [*_quotas()]
    return math.ceil(min(limits)) if limits else None


def memory_left() -> int | None:
    """Return the memory that the process may still take, in bytes; None without a limit.

    Cached files count as free, if they were not used lately.
    """
    left = [max(0, limit - used) for limit, used in _memory()]
    return min(left) if left else None


def memory_limit() -> int | None:
    """Return the memory that the process may take in all, in bytes; None without a limit."""
    limits = [limit for limit, _ in _memory()]
    return min(limits) if limits else None


def _quotas() -> Iterator[float]:
    """Yield the limits of processor time, in cores."""
    for folder in _groups("cpu"):
        words = _words(folder / "cpu.max")
        words = words or _words(folder / "cpu.cfs_quota_us") + _words(folder / "cpu.cfs_period_us")
        if len(words) == 2 and all(word.isdigit() for word in words):
            yield int(words[0]) / int(words[1])


def _memory() -> Iterator[tuple[int, int]]:
    """Yield the limits of memory, and what is used of each, in bytes."""
    for folder in _groups("memory"):
        for limit, used, cached in (
            ("memory.max", "memory.current", "inactive_file"),
            ("memory.limit_in_bytes", "memory.usage_in_bytes", "total_inactive_file"),
        ):
            most, taken = _words(folder / limit), _words(folder / used)
            if most and most[0].isdigit() and int(most[0]) < UNLIMITED and taken:
                statistics = _words(folder / "memory.stat")
                free = dict(zip(statistics[::2], statistics[1::2], strict=False)).get(cached, "0")
                yield int(most[0]), int(taken[0]) - int(free)


def _groups(controller: str) -> Iterator[Path]:
    """Yield the folders of the groups of this process, each followed by those around it."""
    try:
        lines = OWN.read_text().splitlines()
    except OSError:
        return
    for line in lines:
        _, controllers, path = line.split(":", 2)
        if controllers and controller not in controllers.split(","):
            continue
        # A container sees its own group as the root, whatever the path says.
        root = ROOT / controllers
        folder = root / path.strip("/")
        yield folder
        yield from (parent for parent in folder.parents if parent.is_relative_to(root))


def _words(path: Path) -> list[str]:
    try:
        return path.read_text().split()
    except OSError:
        return []
