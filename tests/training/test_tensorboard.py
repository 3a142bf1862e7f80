"""TensorBoard logs, read back with TensorBoard."""

from __future__ import annotations

import sys
from pathlib import Path

import pytest
from tiny import recipe

from verydeep import train
from verydeep.errors import MissingExtra
from verydeep.training.tensorboard import tensorboard_log

OWN_WARNINGS = pytest.mark.filterwarnings("ignore::DeprecationWarning")


def scalars(folder: Path) -> dict[str, dict[int, float]]:
    """Return the metrics by name and epoch, without purged ones."""
    accumulator = pytest.importorskip("tensorboard.backend.event_processing.event_accumulator")
    events = accumulator.EventAccumulator(str(folder))
    events.Reload()
    return {
        tag: {event.step: event.value for event in events.Scalars(tag)}
        for tag in events.Tags()["scalars"]
    }


@OWN_WARNINGS
def test_figures_are_those_of_the_rows(tmp_path: Path) -> None:
    pytest.importorskip("tensorboard")
    write = tensorboard_log(tmp_path, 0)
    for epoch in (1, 2, 3):
        write({"epoch": epoch, "val_loss": 1 / epoch, "drops": epoch})
    # Resumed after the first epoch: the others are another story.
    again = tensorboard_log(tmp_path, 1)
    again({"epoch": 2, "val_loss": 7.0, "drops": 0})
    found = scalars(tmp_path)
    assert set(found) == {"val_loss", "drops"}
    assert found["val_loss"] == pytest.approx({1: 1.0, 2: 7.0})


@OWN_WARNINGS
def test_a_run_logs_if_the_recipe_says_so(pictures: Path, tmp_path: Path) -> None:
    pytest.importorskip("tensorboard")
    settings = ("training.tensorboard=true", "training.epochs=2", "training.precision=fp32")
    train(pictures, recipe(*settings), tmp_path / "run")
    found = scalars(tmp_path / "run" / "tensorboard")
    assert set(found["train_loss"]) == {1, 2}
    assert {"val_top1_error", "learning_rate"} <= set(found)


def test_without_tensorboard_its_install_line_is_named(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setitem(sys.modules, "torch.utils.tensorboard", None)
    with pytest.raises(MissingExtra, match=r"pip install 'verydeep\[tensorboard\]'"):
        tensorboard_log(tmp_path, 0)
