"""Limits of containers and batch systems, by the files of both versions of control groups."""

from __future__ import annotations

from pathlib import Path

import pytest
import torch

from verydeep.system import control_groups, device
from verydeep.system.control_groups import core_limit, memory_left, memory_limit

GIB = 2**30


@pytest.fixture
def groups(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """An empty folder in place of the file systems of control groups."""
    monkeypatch.setattr(control_groups, "ROOT", tmp_path / "cgroup")
    monkeypatch.setattr(control_groups, "OWN", tmp_path / "own")
    return tmp_path


def write(root: Path, own: str, files: dict[str, str]) -> None:
    (root / "own").write_text(own)
    for name, text in files.items():
        path = root / "cgroup" / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(f"{text}\n")


def memory(limit: str | int, used: int, cached: int) -> dict[str, str]:
    """The files of version 2."""
    statistics = f"anon 5\ninactive_file {cached}\nactive_file 7"
    return {"memory.max": str(limit), "memory.current": str(used), "memory.stat": statistics}


def test_a_container_of_version_2(groups: Path) -> None:
    files = {"cpu.max": "150000 100000", **memory(8 * GIB, 3 * GIB, GIB)}
    write(groups, "0::/\n", files)
    assert core_limit() == 2  # 1.5
    assert memory_left() == 6 * GIB


def test_a_container_whose_path_is_that_of_the_host(groups: Path) -> None:
    write(groups, "0::/system.slice/docker-8f.scope\n", {"cpu.max": "400000 100000"})
    assert core_limit() == 4
    assert memory_left() is None


def test_the_groups_around_count_as_well(groups: Path) -> None:
    """As by Slurm, which limits the job, and each step in it."""
    files = {f"slurm/job_7/step_0/{name}": text for name, text in memory("max", 1, 0).items()}
    files |= {f"slurm/job_7/{name}": text for name, text in memory(4 * GIB, GIB, 0).items()}
    files |= {f"slurm/{name}": text for name, text in memory(90 * GIB, 88 * GIB, 0).items()}
    files |= {"slurm/job_7/step_0/cpu.max": "max 100000", "slurm/job_7/cpu.max": "50000 100000"}
    write(groups, "0::/slurm/job_7/step_0\n", files)
    assert memory_left() == 2 * GIB
    assert memory_limit() == 4 * GIB
    assert core_limit() == 1


def test_version_1(groups: Path) -> None:
    own = "5:cpu,cpuacct:/docker/8f\n4:memory:/docker/8f\n1:name=systemd:/\n0::/\n"
    files = {
        "cpu,cpuacct/cpu.cfs_quota_us": "300000",
        "cpu,cpuacct/cpu.cfs_period_us": "100000",
        "memory/memory.limit_in_bytes": str(2 * GIB),
        "memory/memory.usage_in_bytes": str(3 * GIB),  # it may be above for a moment
        "memory/memory.stat": "cache 9\ninactive_file 1\ntotal_inactive_file 0",
    }
    write(groups, own, files)
    assert core_limit() == 3
    assert memory_left() == 0


def test_no_limit(groups: Path) -> None:
    assert core_limit() is None  # no control groups
    own = "3:cpu:/\n2:memory:/\n0::/\n"
    files = {
        "cpu.max": "max 100000",
        "memory.max": "max",
        "cpu/cpu.cfs_quota_us": "-1",
        "cpu/cpu.cfs_period_us": "100000",
        "memory/memory.limit_in_bytes": "9223372036854771712",
        "memory/memory.usage_in_bytes": "5",
    }
    write(groups, own, files)
    assert core_limit() is None
    assert memory_left() is None
    assert memory_limit() is None


def test_the_smaller_of_machine_and_container_counts(
    groups: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(device.os, "sched_getaffinity", lambda pid: {*range(64)})
    cpu = torch.device("cpu")
    free, everything = device.available_memory(cpu), device.total_memory(cpu)
    assert device.machine_cores() == 64
    write(groups, "0::/\n", {"cpu.max": "200000 100000", **memory(7, 2, 0)})
    assert device.machine_cores() == 2
    assert device.available_memory(cpu) == 5 < free
    assert device.total_memory(cpu) == 7
    write(groups, "0::/\n", {"cpu.max": "6500000 100000", **memory(2**59, 0, 0)})
    assert device.machine_cores() == 64
    assert device.available_memory(cpu) > 5
    assert device.total_memory(cpu) == everything
