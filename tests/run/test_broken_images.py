"""Images of a training that break or are broken."""

from __future__ import annotations

import json
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest
from progresses import Listening
from tiny import recipe, strict_json, write_splits
from whole_runs import QUICK, log, metrics

from verydeep import train
from verydeep.errors import (
    DataError,
    VeryDeepError,
)
from verydeep.system.progress import Progress


def test_more_than_one_percent_of_broken_pictures_stop_a_training(tmp_path: Path) -> None:
    data = write_splits(tmp_path / "data", train=34, val=1, test=0)
    for name in ("00", "33"):
        (data / "train" / "green" / f"{name}.png").write_bytes(b"\x89PNG")
    with pytest.raises(DataError, match="2 of 102 training images cannot be read") as error:
        train(data, recipe(*QUICK), tmp_path / "run")
    for part in ("green/00.png", "green/33.png", "1.0%", "data.unreadable_limit"):
        assert part in str(error.value)
    assert not (tmp_path / "run" / "recipe.yaml").exists()
    train(data, recipe(*QUICK, "data.unreadable_limit=0.02"), tmp_path / "run")


@pytest.mark.parametrize("cache", ["none", "device"])
def test_one_broken_picture_of_two_hundred_is_listed_and_left_out(
    cache: str, tmp_path: Path
) -> None:
    data = write_splits(tmp_path / "data", train=67, val=1, test=0)
    broken = data / "train" / "red" / "05.png"
    broken.write_bytes(broken.read_bytes()[:50])
    said = Listening()
    settings = (*QUICK, f"data.cache={cache}", "training.batch=50", "training.micro_batch=50")
    train(data, recipe(*settings), tmp_path / "run", progress=said)
    (noted,) = strict_json((tmp_path / "run" / "data.json").read_text("utf-8"))["unreadable"]
    assert str(broken) in noted
    assert any("1 image cannot be read" in line for line in said.lines)
    assert any(str(broken) in line for line in said.lines)
    # 200 images remain, and each is a 200th of the training error.
    error = log(tmp_path / "run")[0]["train_top1_error"]
    assert error * 2 == pytest.approx(round(error * 2), abs=1e-9)
    assert metrics(tmp_path / "run")["unreadable_in_training"] == []
    assert "05.png" in (tmp_path / "run" / "report.html").read_text("utf-8")


def test_a_broken_validation_picture_is_listed_and_not_counted(tmp_path: Path) -> None:
    data = write_splits(tmp_path / "data", train=3, val=3, test=0)
    (data / "val" / "blue" / "01.png").write_bytes(b"")
    found = train(data, recipe(*QUICK), tmp_path / "run")
    assert found["unreadable"] == ["val/blue/01.png"]
    assert found["images"] == 8
    assert log(tmp_path / "run")[0]["val_top1_error"] * 8 % 100 == pytest.approx(0, abs=1e-9)


def test_a_broken_validation_picture_is_told_of_besides_a_test_split(tmp_path: Path) -> None:
    data = write_splits(tmp_path / "data", train=3, val=3, test=2)
    (data / "val" / "blue" / "01.png").write_bytes(b"")
    said = Listening()
    found = train(data, recipe(*QUICK), tmp_path / "run", progress=said)
    assert "val/blue/01.png" in json.dumps(found.to_dict()) + "\n".join(said.lines)


def test_a_validation_set_that_cannot_be_read_is_refused(tmp_path: Path) -> None:
    data = write_splits(tmp_path / "data", train=3, val=1, test=2)
    for path in (data / "val").rglob("*.png"):
        path.write_bytes(b"")
    with pytest.raises(DataError):
        train(data, recipe(*QUICK), tmp_path / "run")


class Vandal(Progress):
    """Breaks a training image when the first epoch begins."""

    def __init__(self, path: Path) -> None:
        self.path = path

    @contextmanager
    def task(self, title: str, total: int) -> Iterator[Any]:
        if title == "epoch 1":
            self.path.write_bytes(b"")
        with super().task(title, total) as silent:
            yield silent


@pytest.fixture
def vandalized(tmp_path: Path) -> dict[str, Any]:
    """The metrics of a run during which an image broke."""
    data = write_splits(tmp_path / "data", train=8, val=1, test=0)
    vandal = Vandal(data / "train" / "green" / "03.png")
    settings = (*QUICK, "training.epochs=2", "data.unreadable_limit=0.1")
    train(data, recipe(*settings), tmp_path / "run", progress=vandal)
    return dict(metrics(tmp_path / "run"))


def test_a_picture_that_breaks_during_a_training_is_listed(vandalized: dict[str, Any]) -> None:
    listed = vandalized["unreadable_in_training"]
    assert listed
    assert all("train/green/03.png" in name for name in listed)


def test_a_picture_that_breaks_during_a_training_is_listed_once(vandalized: dict[str, Any]) -> None:
    assert len(vandalized["unreadable_in_training"]) == 1


def test_too_many_pictures_that_break_during_a_training_stop_it(tmp_path: Path) -> None:
    data = write_splits(tmp_path / "data", train=4, val=1, test=0)
    vandal = Vandal(data / "train" / "green" / "03.png")  # of twelve
    with pytest.raises(VeryDeepError, match=r"03\.png"):
        train(data, recipe(*QUICK), tmp_path / "run", progress=vandal)
