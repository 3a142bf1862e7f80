"""Choice, refusal and description of devices."""

from __future__ import annotations

import json
import os
import platform
import subprocess
from collections.abc import Callable
from contextlib import AbstractContextManager

import pytest
import torch
from tiny import strict_json

from verydeep.errors import InputError
from verydeep.system import device as runtime
from verydeep.system.control_groups import memory_limit
from verydeep.system.device import (
    Machine,
    available_memory,
    choose_machine,
    describe_environment,
    multiplies_bf16,
    processor_features,
    total_memory,
    usable_cores,
)
from verydeep.system.group.membership import Membership, being

CPU = torch.device("cpu")
LINUX = pytest.mark.skipif(platform.system() != "Linux", reason="asks Linux")


@pytest.mark.parametrize("name", ["cuda:99", "gpu", "", "cpu:x", "xla", "cuda:-2"])
def test_a_device_that_is_not_there_is_refused_with_those_that_are(name: str) -> None:
    with pytest.raises(InputError, match=r"this machine has cpu") as error:
        choose_machine(name)
    assert repr(name) in str(error.value)
    assert "\n" not in str(error.value)


@pytest.mark.parametrize("name", ["fp16", "BF16", "", "float32"])
def test_another_precision_is_refused(name: str) -> None:
    with pytest.raises(
        InputError, match=f"must be bf16 or fp32, or int8 for a quantized model, got '{name}'"
    ):
        choose_machine("cpu", name)


def test_a_wish_is_followed() -> None:
    for precision in ("bf16", "fp32"):
        machine = choose_machine("cpu", precision)
        assert machine == Machine(CPU, precision)
        assert str(machine) == f"cpu, {precision}"


def test_without_a_wish_a_gpu_is_taken_if_there_is_one() -> None:
    assert choose_machine().device.type == ("cuda" if torch.cuda.is_available() else "cpu")


@pytest.mark.parametrize(
    ("features", "native"),
    [
        ({"amx_bf16"}, True),
        ({"avx512_bf16", "avx2"}, True),
        ({"avx2", "avx512f", "amx_tile"}, False),
        (set(), False),
    ],
)
def test_bf16_is_chosen_where_the_processor_multiplies_it(
    features: set[str], native: bool, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(runtime, "processor_features", lambda: frozenset(features))
    assert multiplies_bf16(CPU) is native
    assert choose_machine("cpu").precision == ("bf16" if native else "fp32")
    assert choose_machine("cpu", "fp32").precision == "fp32"
    assert not multiplies_bf16(torch.device("meta"))


@pytest.mark.parametrize(
    ("capability", "native"), [((7, 5), False), ((8, 0), True), ((9, 0), True)]
)
def test_a_gpu_multiplies_bf16_from_capability_8_on(
    capability: tuple[int, int], native: bool, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(torch.cuda, "get_device_capability", lambda device: capability)
    assert multiplies_bf16(torch.device("cuda")) is native


@LINUX
def test_features_are_those_of_the_first_processor() -> None:
    listed = subprocess.run(
        ["grep", "-m1", "^flags", "/proc/cpuinfo"], capture_output=True, text=True, check=False
    ).stdout
    assert processor_features() == set(listed.partition(":")[2].split())


@pytest.mark.parametrize(
    ("precision", "dtype"), [("bf16", torch.bfloat16), ("fp32", torch.float32)]
)
def test_autocast_multiplies_in_the_precision(precision: str, dtype: torch.dtype) -> None:
    x = torch.randn(4, 4)
    with choose_machine("cpu", precision).autocast():
        assert (x @ x).dtype == dtype
    assert (x @ x).dtype == torch.float32


@LINUX
def test_free_memory_is_some_of_all_memory() -> None:
    everything = os.sysconf("SC_PHYS_PAGES") * os.sysconf("SC_PAGE_SIZE")
    assert 0 < available_memory(CPU) <= total_memory(CPU) <= everything


@LINUX
def test_all_memory_is_that_of_the_system_or_less() -> None:
    everything = os.sysconf("SC_PHYS_PAGES") * os.sysconf("SC_PAGE_SIZE")
    limit = memory_limit()
    expected = everything if limit is None else min(everything, limit)
    assert total_memory(CPU) == pytest.approx(expected, rel=0.01)


@LINUX
def test_usable_cores_are_those_of_the_affinity() -> None:
    assert usable_cores() == len(os.sched_getaffinity(0))


def test_the_environment_is_plain_values_with_versions() -> None:
    noted = describe_environment(choose_machine("cpu", "fp32"))
    assert strict_json(json.dumps(noted)) == noted
    assert noted["versions"]["torch"].split("+")[0] == torch.__version__.split("+")[0]
    assert noted["versions"]["verydeep"]
    assert (noted["device"], noted["precision"]) == ("cpu", "fp32")
    assert noted["threads"] == torch.get_num_threads()
    assert noted["python"] == platform.python_version()


# ---- one of several processes ----


def one_of(size: int, rank: int = 1, launcher: str = "verydeep") -> AbstractContextManager[None]:
    return being(Membership(rank, size, rank, size, "127.0.0.1", 1, launcher))


@pytest.fixture
def gpus(monkeypatch: pytest.MonkeyPatch) -> Callable[[int], None]:
    """Let this machine have GPUs, as far as their number is asked."""
    monkeypatch.delenv("CUDA_VISIBLE_DEVICES", raising=False)

    def have(count: int) -> None:
        monkeypatch.setattr(torch.cuda, "is_available", lambda: count > 0)
        monkeypatch.setattr(torch.cuda, "device_count", lambda: count)
        monkeypatch.setattr(torch.cuda, "get_device_capability", lambda device: (9, 0))

    return have


@pytest.mark.parametrize("name", [None, "cuda", "cuda:0", "cuda:3"])
def test_each_of_several_processes_takes_its_own_gpu(
    name: str | None, gpus: Callable[[int], None]
) -> None:
    gpus(4)
    for rank in range(4):
        with one_of(4, rank):
            assert str(choose_machine(name).device) == f"cuda:{rank}"
    with one_of(8):
        assert choose_machine("cpu").device == CPU


@pytest.mark.parametrize(("count", "what"), [(1, "one GPU"), (2, "2 GPUs")])
def test_more_processes_than_gpus_are_refused(
    count: int, what: str, gpus: Callable[[int], None]
) -> None:
    gpus(count)
    message = f"3 processes on this machine need a GPU each, and it has {what}.*device='cpu'"
    with one_of(3), pytest.raises(InputError, match=message):
        choose_machine()


@pytest.mark.parametrize(
    ("launcher", "on_node", "own"),
    [
        ("torchrun", None, True),
        ("Slurm", "2", True),
        ("Slurm", "1", False),
        ("verydeep", None, False),
    ],
)
def test_a_launcher_may_show_each_process_only_its_gpu(
    launcher: str,
    on_node: str | None,
    own: bool,
    gpus: Callable[[int], None],
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    gpus(1)
    monkeypatch.setenv("CUDA_VISIBLE_DEVICES", "1")
    if on_node:
        monkeypatch.setenv("SLURM_GPUS_ON_NODE", on_node)
    with one_of(2, launcher=launcher):
        if own:
            assert str(choose_machine().device) == "cuda:0"
            return
        with pytest.raises(InputError, match="need a GPU each"):
            choose_machine()


def test_without_gpus_all_processes_use_the_processor() -> None:
    if torch.cuda.is_available():
        pytest.skip("there is a GPU")
    with one_of(3):
        assert choose_machine().device == CPU
        with pytest.raises(InputError, match="this machine has cpu"):
            choose_machine("cuda")


@pytest.mark.parametrize(
    ("size", "launcher", "on_node", "share"),
    [
        (1, "", None, 8),
        (2, "verydeep", None, 4),
        (3, "torchrun", None, 2),
        (20, "verydeep", None, 1),
        (2, "Slurm", "8", 4),  # bound to nothing
        (4, "Slurm", "32", 8),  # bound to its share already
        (2, "torchrun", "32", 4),  # Slurm has started torchrun, and torchrun this process
    ],
)
def test_processes_on_a_machine_share_its_cores(
    size: int, launcher: str, on_node: str | None, share: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(runtime, "machine_cores", lambda: 8)
    if on_node:
        monkeypatch.setenv("SLURM_CPUS_ON_NODE", on_node)
    with one_of(size, 0, launcher):
        assert usable_cores() == share
