"""Choice of device and precision, and their description."""

from __future__ import annotations

import os
import platform
import re
import sys
from contextlib import AbstractContextManager
from dataclasses import dataclass
from functools import cache
from importlib import metadata
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal

from verydeep.errors import InputError
from verydeep.system.control_groups import core_limit, memory_left, memory_limit
from verydeep.system.engine_names import AUTO, FOREIGN, KINDS, TORCH, check_engine, check_precision
from verydeep.system.group.membership import Membership, membership
from verydeep.system.option_names import option

if TYPE_CHECKING:
    import torch

Precision = Literal["bf16", "fp32", "int8"]


@dataclass(frozen=True, slots=True)
class Machine:
    """The device and precision of computation.

    Attributes:
        device: ``cpu``, ``cuda`` or any other PyTorch device.
        precision: ``bf16`` multiplies in bfloat16 and keeps weights, losses and averages in
            float32; ``fp32`` uses float32 throughout; ``int8`` is for trained nets that were
            quantized, and never for training.
        engine: Engine that answers for trained nets, or ``auto``.
    """

    device: torch.device
    precision: Precision
    engine: str = AUTO

    def autocast(self) -> AbstractContextManager[Any]:
        """Return the context for the forward pass."""
        import torch

        return torch.autocast(
            self.device.type, dtype=torch.bfloat16, enabled=self.precision == "bf16"
        )

    def __str__(self) -> str:
        return f"{self.device}, {self.precision}"


def choose_machine(
    device: str | None = None, precision: str | None = None, engine: str = AUTO
) -> Machine:
    """Return the requested device and precision, or the best available ones.

    Args:
        device: A PyTorch device, like ``cpu`` or ``cuda:1``; None uses a GPU if there is one. Each
            of several processes on one machine uses its own GPU, whatever the number here.
        precision: ``bf16`` or ``fp32``, and ``int8`` with an engine that has it; None uses bf16 if
            the processor supports it natively and the engine has it.
        engine: Engine that answers for trained nets, or ``auto``.

    Raises:
        InputError: The device, precision or engine is not available, or they contradict each other.
    """
    check_engine(engine)
    quantized = engine not in (TORCH, "compile")
    if precision not in (None, "bf16", "fp32", *(("int8",) if quantized else ())):
        choice = "bf16 or fp32" + (", or int8 for a quantized model" if quantized else "")
        raise InputError(f"precision must be {choice}, got {precision!r} instead")
    on_cpu = engine in FOREIGN or precision == "int8"
    chosen = _device("cpu" if device is None and on_cpu else device)
    if on_cpu and chosen.type != "cpu":
        what = f"the engine {engine}" if engine in FOREIGN else "precision int8"
        raise InputError(f"{what} computes on the CPU, got device {device!r} instead")
    if precision is None:
        has_bf16 = engine == AUTO or "bf16" in KINDS[engine].precisions
        precision = "bf16" if has_bf16 and multiplies_bf16(chosen) else "fp32"
    check_precision(engine, precision)
    return Machine(chosen, precision, engine)  # type: ignore[arg-type]


def _device(name: str | None) -> torch.device:
    import torch

    if name is None:
        name = "cuda" if torch.cuda.is_available() else "cpu"
    place = membership()
    if place.local_size > 1 and re.fullmatch(r"cuda(:\d+)?", name) and torch.cuda.is_available():
        return own_gpu(place)
    try:
        device = torch.device(name)
        torch.empty(1, device=device)
    except (RuntimeError, AssertionError) as error:
        here = ["cpu", *(f"cuda:{i}" for i in range(torch.cuda.device_count()))]
        reason = str(error).splitlines()[0]
        raise InputError(
            f"device {name!r} cannot be used here ({reason}); this machine has {', '.join(here)}"
        ) from error
    return device


def own_gpu(place: Membership) -> torch.device:
    """Return the GPU of one of several processes on this machine.

    Raises:
        InputError: There are more processes than GPUs.
    """
    import torch

    count = torch.cuda.device_count()
    if count == 1 and _sees_one_of_several(place):
        return torch.device("cuda:0")
    if place.local_size > count:
        what = f"{count} GPUs" if count > 1 else "one GPU"
        raise InputError(
            f"{place.local_size} processes on this machine need a GPU each, and it has {what}: "
            f"start as many processes as GPUs, or compute on the CPU ({option('device', 'cpu')})"
        )
    return torch.device(f"cuda:{place.local_rank}")


def _sees_one_of_several(place: Membership) -> bool:
    """Return whether the launcher shows each process only the GPU that is meant for it."""
    if place.launcher not in ("torchrun", "Slurm") or "CUDA_VISIBLE_DEVICES" not in os.environ:
        return False
    on_node = os.environ.get("SLURM_GPUS_ON_NODE", "")
    return not on_node.isdigit() or int(on_node) >= place.local_size


def multiplies_bf16(device: torch.device) -> bool:
    """Return whether the device supports bfloat16 natively: CUDA ≥ 8.0, AMX or AVX512-BF16."""
    if device.type == "cuda":
        import torch

        return torch.cuda.get_device_capability(device) >= (8, 0)
    return device.type == "cpu" and bool({"amx_bf16", "avx512_bf16"} & processor_features())


@cache
def processor_features() -> frozenset[str]:
    """Return the processor's instruction sets on Linux; empty elsewhere."""
    try:
        lines = Path("/proc/cpuinfo").read_text().splitlines()
    except OSError:
        return frozenset()
    flags = (line.partition(":")[2].split() for line in lines if line.startswith("flags"))
    return frozenset(next(flags, []))


def available_memory(device: torch.device) -> int:
    """Return the free memory of the device in bytes; 4 GiB if unknown.

    In a container it is what the container may still take.
    """
    if device.type == "cuda":
        import torch

        return torch.cuda.mem_get_info(device)[0]
    return _smaller(_memory_line("MemAvailable"), memory_left())


def total_memory(device: torch.device) -> int:
    """Return all memory of the device in bytes, used or not; 4 GiB if unknown.

    In a container it is what the container may take.
    """
    if device.type == "cuda":
        import torch

        return torch.cuda.mem_get_info(device)[1]
    return _smaller(_memory_line("MemTotal"), memory_limit())


def _memory_line(name: str) -> int | None:
    """Return a line of Linux's table of the memory, in bytes; None elsewhere."""
    try:
        lines = Path("/proc/meminfo").read_text().splitlines()
        return int(next(line for line in lines if line.startswith(name)).split()[1]) * 1024
    except (OSError, StopIteration):
        return None


def _smaller(*known: int | None) -> int:
    return min((size for size in known if size is not None), default=4 * 2**30)


def usable_cores(place: Membership | None = None) -> int:
    """Return the number of processor cores for this process: its share among those of a group.

    Args:
        place: Place in the group; None takes that of this process.
    """
    place = place or membership()
    cores = machine_cores()
    on_node = os.environ.get("SLURM_CPUS_ON_NODE", "") if place.launcher == "Slurm" else ""
    # srun may have bound the process to its share already.
    whole = max(cores, int(on_node)) if on_node.isdigit() else cores
    return min(cores, max(1, whole // place.local_size))


def machine_cores() -> int:
    """Return the number of processor cores that the system lets this process use."""
    affinity = getattr(os, "sched_getaffinity", None)
    cores = len(affinity(0)) if affinity else os.cpu_count() or 1
    return min(cores, core_limit() or cores)


def processor_name() -> str:
    """Return the processor's model name."""
    try:
        lines = Path("/proc/cpuinfo").read_text().splitlines()
        return next(x.partition(":")[2].strip() for x in lines if x.startswith("model name"))
    except (OSError, StopIteration):
        return platform.processor() or platform.machine()


def describe_environment(machine: Machine) -> dict[str, Any]:
    """Describe the machine and software, for comparison of results."""
    import torch

    accelerator = None
    if machine.device.type == "cuda":
        accelerator = torch.cuda.get_device_name(machine.device)
    packages = ("verydeep", "torch", "torchvision", "numpy", "pillow")
    return {
        "processor": processor_name(),
        "cores": machine_cores(),
        "threads": torch.get_num_threads(),
        "amx": "amx_bf16" in processor_features(),
        "avx512_bf16": "avx512_bf16" in processor_features(),
        "accelerator": accelerator,
        "device": str(machine.device),
        "precision": machine.precision,
        "system": platform.platform(terse=True),
        "python": platform.python_version(),
        "versions": {name: installed_version(name) for name in packages},
        "command": [without_secret(word) for word in sys.argv],
    }


def without_secret(word: str) -> str:
    """Return a command-line argument without credentials in a URL.

    >>> without_secret("https://me:word@example.org/a.tar?token=1")
    'https://…@example.org/a.tar?…'
    >>> without_secret("pets")
    'pets'
    """
    if not re.search(r"\w://", word):
        return word
    return re.sub(r"\?\S*", "?…", re.sub(r"://[^/@\s]+@", "://…@", word))


def installed_version(package: str) -> str | None:
    """Return the installed version of a package; None if it is not installed."""
    try:
        return metadata.version(package)
    except metadata.PackageNotFoundError:
        return None
