"""Choice, refusal and description of devices."""

from __future__ import annotations

import json
import os
import platform
import subprocess

import pytest
import torch
from tiny import strict_json

from verydeep.errors import InputError
from verydeep.system import device as runtime
from verydeep.system.device import (
    Machine,
    available_memory,
    choose_machine,
    describe_environment,
    multiplies_bf16,
    processor_features,
    usable_cores,
)

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
    assert 0 < available_memory(CPU) <= everything


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
