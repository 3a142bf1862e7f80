"""Training by a compiled net: the same losses to rounding, and ordinary names in every file."""

from __future__ import annotations

from functools import partial
from pathlib import Path
from typing import Any

import pytest
import torch
from groups import together
from loop_parts import batches, make_loop, make_net, relative, weights
from tiny import recipe, write_class_folders
from torch import nn

import verydeep
from verydeep.errors import MachineError
from verydeep.recipe.recipe import Recipe
from verydeep.run.training.machine_settings import settle
from verydeep.system.device import Machine
from verydeep.system.group.distributed import Group, joined
from verydeep.training import compiled as module
from verydeep.training.checkpoint import FILE
from verydeep.training.compiled import compiled

CUDA = Machine(torch.device("cuda"), "bf16")
HERE = Machine(torch.device("cpu"), "fp32")


@pytest.mark.slow
def test_a_compiled_net_trains_as_the_net_itself(tmp_path: Path) -> None:
    theirs = make_loop(tmp_path / "plain", epochs=2)
    net = make_net()
    ours = make_loop(tmp_path / "compiled", epochs=2, net=net, forward=compiled(net))
    rows, other_rows = ours.run().history, theirs.run().history
    assert relative(weights(ours.net), weights(theirs.net)) < 1e-4
    for row, other in zip(rows, other_rows, strict=True):
        assert row["train_loss"] == pytest.approx(other["train_loss"], rel=1e-4)
    saved = torch.load(tmp_path / "compiled" / "checkpoints" / FILE, weights_only=True)
    assert list(saved["net"]) == list(make_net().state_dict())
    again = make_net()
    resumed = make_loop(tmp_path / "compiled", epochs=3, net=again, forward=compiled(again))
    assert resumed.resume()
    assert len(resumed.run().history) == 3


def train_together(folder: Path) -> Any:
    # A net that was compiled anew in each epoch would fail.
    torch._dynamo.config.recompile_limit = 4
    torch._dynamo.config.fail_on_recompile_limit_hit = True
    with joined() as group:
        net, own = make_net(norm="batch"), batches()
        own.rank, own.world = group.rank, group.size
        loop = make_loop(
            folder / str(group.rank),
            net=net,
            batches=own,
            group=group,
            epochs=5,
            forward=compiled(net),
        )
        loop.run()
        return weights(net).tolist()


@pytest.mark.slow
def test_a_compiled_net_trains_in_a_group(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("groups.PATIENCE", 300)  # compilers are slow
    theirs = make_loop(tmp_path / "plain", net=make_net(norm="batch"), epochs=5)
    theirs.run()
    first, second = together(partial(train_together, tmp_path), 2, tmp_path)
    assert first == second
    assert relative(torch.tensor(first), weights(theirs.net)) < 1e-3


@pytest.mark.slow
def test_a_chain_of_compiled_nets_gives_ordinary_models(tmp_path: Path) -> None:
    data = write_class_folders(tmp_path / "data", count=6)
    chosen = recipe(
        "training.compile=always",
        "initialize.stages=[A]",
        "net.name=B",
        "training.precision=fp32",
        "net.dropout=0",
        "training.epochs=1",
    )
    run = verydeep.train(data, chosen, tmp_path / "run")
    plain = verydeep.train(data, chosen.replace(training__compile="never"), tmp_path / "plain")
    names = [*verydeep.load(run.run).net.state_dict()]
    assert names == [*verydeep.load(plain.run).net.state_dict()]
    assert not any("_orig_mod" in name for name in names)
    assert run["loss"] == pytest.approx(plain["loss"], rel=1e-3)


# ---- the choice, and what fails ----


@pytest.mark.parametrize(
    ("settings", "machine", "group", "images", "wish"),
    [
        ({}, CUDA, Group(), 1_281_167, "always"),
        ({}, CUDA, Group(0, 8), 1_281_167, "always"),
        ({}, CUDA, Group(), 10_000, "never"),  # minutes of a GPU
        ({}, HERE, Group(), 1_281_167, "never"),
        ({"net__norm": "batch"}, CUDA, Group(0, 8), 1_281_167, "never"),
        ({"net__norm": "batch"}, CUDA, Group(), 1_281_167, "always"),
        ({"training__compile": "always"}, HERE, Group(), 9, "always"),
        ({"training__compile": "never"}, CUDA, Group(), 1_281_167, "never"),
    ],
)  # fmt: skip
def test_long_runs_on_gpus_are_compiled(
    settings: dict[str, Any], machine: Machine, group: Group, images: int, wish: str
) -> None:
    chosen = Recipe().replace(training__micro_batch=64, **settings)
    assert settle(chosen, machine, group, images).training.compile == wish


class Uncompilable(nn.Module):
    def forward(self, x: torch.Tensor) -> torch.Tensor:
        return x


def test_a_net_that_cannot_be_compiled_is_a_fault_of_the_machine(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    def refuse(x: torch.Tensor) -> torch.Tensor:
        raise KeyError("no compiler\nand more")

    monkeypatch.setattr(torch, "compile", lambda net, **options: refuse)
    monkeypatch.setattr(module, "_errors", lambda: (KeyError,))
    with pytest.raises(MachineError, match=r"cannot be compiled here .*training__compile='never'"):
        compiled(Uncompilable())(torch.zeros(1))


@pytest.mark.slow
def test_a_missing_compiler_is_told(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setenv("CXX", "/nonexistent/g++")
    monkeypatch.setenv("TORCHINDUCTOR_CACHE_DIR", str(tmp_path))  # where nothing is compiled yet
    monkeypatch.setattr("torch._inductor.config.cpp.cxx", ("/nonexistent/g++",))
    net = make_net()
    with pytest.raises(MachineError, match=r"cannot be compiled here"):
        compiled(net)(torch.zeros(2, 3, 32, 32))
