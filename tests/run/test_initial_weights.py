"""Trainings that begin with the layers of another model."""

from __future__ import annotations

import math
from pathlib import Path

import pytest
import torch
from progresses import Listening
from safetensors.torch import load_file
from tiny import recipe, write_splits
from whole_runs import QUICK, log

from verydeep import train
from verydeep.errors import (
    ModelError,
)


def tensors(run: Path) -> dict[str, torch.Tensor]:
    return load_file(run / "model" / "model.safetensors")


def start(data: Path, out: Path, *settings: str) -> tuple[dict[str, torch.Tensor], list[str]]:
    """Train so slowly that the weights stay where they began."""
    said = Listening()
    train(data, recipe(*QUICK, "training.learning_rate=1e-20", *settings), out, progress=said)
    return tensors(out), [line.strip() for line in said.lines]


def test_a_net_begins_with_the_layers_of_a_shallower_one(
    trained_run: Path, pictures: Path, tmp_path: Path
) -> None:
    settings = ("net.name=B", "net.norm=batch", f"initialize.source={trained_run}")
    begun, said = start(pictures, tmp_path / "b", *settings)
    plain, _ = start(pictures, tmp_path / "plain", *settings[:2])
    given = tensors(trained_run)
    copied = ["conv1_1", "conv2_1", "conv3_1", "conv3_2", "fc6", "fc7", "fc8"]
    for name, tensor in begun.items():
        if not name.endswith("weight") or "norm" in name:
            continue
        layer = name.split(".")[1]
        if layer in copied:
            assert torch.equal(tensor, given[name]), layer
            assert f"{layer}: copied" in said
        else:
            assert torch.equal(tensor, plain[name]), layer
            assert any(line.startswith(f"{layer}: new (") for line in said)


def test_with_other_classes_the_last_layer_is_new(trained_run: Path, tmp_path: Path) -> None:
    data = write_splits(tmp_path / "data", train=2, val=1, test=0)
    for split in ("train", "val"):
        (data / split / "red").rename(data / split / "vermilion")
    begun, said = start(
        data, tmp_path / "run", "net.norm=batch", f"initialize.source={trained_run}"
    )
    given = tensors(trained_run)
    assert begun["classifier.fc8.weight"].shape == given["classifier.fc8.weight"].shape
    assert not torch.equal(begun["classifier.fc8.weight"], given["classifier.fc8.weight"])
    assert torch.equal(begun["classifier.fc7.weight"], given["classifier.fc7.weight"])
    assert "fc8: new (the classes differ)" in said


def test_all_layers_can_be_copied(trained_run: Path, pictures: Path, tmp_path: Path) -> None:
    begun, _ = start(
        pictures,
        tmp_path / "run",
        "net.norm=batch",
        "initialize.layers=all",
        f"initialize.source={trained_run}",
    )
    given = tensors(trained_run)
    for name, tensor in begun.items():
        if "norm" not in name:  # statistics are measured anew
            assert torch.equal(tensor, given[name]), name


def test_a_source_that_fits_nowhere_or_is_none_is_refused(
    trained_run: Path, pictures: Path, tmp_path: Path
) -> None:
    settings = (*QUICK, "net.norm=batch", "net.width=0.0625")
    other = recipe(*settings, f"initialize.source={trained_run}")
    with pytest.raises(ModelError, match="no layer of it fits") as error:
        train(pictures, other, tmp_path / "run")
    assert "conv1_1: new (shape" in str(error.value)
    with pytest.raises(ModelError, match="no such folder"):
        train(pictures, recipe(*QUICK, "initialize.source=nowhere"), tmp_path / "run")
    assert not (tmp_path / "run" / "recipe.yaml").exists()


@pytest.mark.parametrize("scheme", ["he", "glorot"])
def test_a_new_net_begins_at_the_loss_of_a_guess(
    scheme: str, pictures: Path, tmp_path: Path
) -> None:
    settings = (*QUICK, "training.learning_rate=1e-20", f"initialize.scheme={scheme}")
    train(pictures, recipe(*settings), tmp_path / "run")
    assert log(tmp_path / "run")[0]["train_loss"] == pytest.approx(math.log(3), rel=0.1)
