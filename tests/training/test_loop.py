"""Epochs of the training loop: their rows, the best one, the end."""

from __future__ import annotations

import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest
from loop_parts import (
    Heard,
    Validation,
    batches,
    make_loop,
)
from tiny import strict_json

from verydeep.evaluation.metrics import TITLES
from verydeep.training.epoch_lines import epoch_line
from verydeep.training.schedule import CurveSchedule, cosine


def test_a_row_tells_of_its_epoch(tmp_path: Path) -> None:
    heard, rows = Heard(), []
    loop = make_loop(
        tmp_path,
        "plateau.patience=1",
        "training.epochs=4",
        validate=Validation(1.0, 2.0, 0.5, 0.6),
        progress=heard,
        on_epoch=rows.append,
    )
    position = loop.run()
    assert rows == position.history
    log = (tmp_path / "log.jsonl").read_text("utf-8").splitlines()
    assert [strict_json(line) for line in log] == rows
    assert [row["epoch"] for row in rows] == [1, 2, 3, 4]
    assert [row["val_loss"] for row in rows] == [1.0, 2.0, 0.5, 0.6]
    assert [row["drops"] for row in rows] == [0, 0, 1, 1]
    assert [row["learning_rate"] for row in rows] == pytest.approx([0.02, 0.02, 0.002, 0.002])
    for row in rows:
        assert set(row) == {
            *("epoch", "learning_rate", "drops", "images_per_second", "seconds"),
            *("train_loss", "train_top1_error", "val_loss", "val_top1_error", "val_top5_error"),
        }
        assert row["images_per_second"] > 0
    told = [line for line in heard.lines if line.startswith("epoch")]
    assert [line.split(":")[0] for line in told] == [f"epoch {n}" for n in (1, 2, 3, 4)]
    assert ["(best)" in line for line in told] == [True, False, True, False]


def test_the_best_is_the_lowest_of_the_watched_figure(tmp_path: Path) -> None:
    best: list[int] = []
    values = (1.0, 1.2, 1.0, 0.8, 0.9, 0.8, 0.1)
    loop = make_loop(
        tmp_path,
        "plateau.patience=9",
        "training.epochs=7",
        validate=Validation(*values),
        on_keep=lambda row: best.append(row["epoch"]),
    )
    position = loop.run()
    assert best == [1, 4, 7]
    assert (position.best, position.best_epoch) == (0.1, 7)


def test_the_time_of_reading_counts(tmp_path: Path) -> None:
    class Slow:
        pictures, steps = batches().pictures, batches().steps

        def epoch(self, epoch: int, start: int = 0) -> Iterator[Any]:
            for part in batches().epoch(epoch, start):
                time.sleep(0.1)
                yield part

    (row,) = make_loop(tmp_path, epochs=1, batches=Slow()).run().history
    assert row["seconds"] > 0.1 * Slow.steps
    assert row["images_per_second"] < Slow.pictures / (0.1 * Slow.steps)


def test_the_time_left_is_known_from_the_first_update_on(tmp_path: Path) -> None:
    notes: list[str] = []

    class Noting(Heard):
        @contextmanager
        def task(self, title: str, total: int) -> Iterator[Any]:
            yield NotingTask(title)

    class NotingTask:
        def __init__(self, title: str) -> None:
            self.title = title

        def update(self, done: float, note: str = "") -> None:
            if self.title == "training":
                notes.append(note)

    loop = make_loop(tmp_path, "training.epochs=2", progress=Noting())
    loop.run()
    assert len(notes) == 2 * loop.batches.steps
    assert all(" left, learning rate" in note for note in notes)
    assert notes[-1].startswith("under 1 s left")


def test_the_last_is_kept_if_that_is_the_rule(tmp_path: Path) -> None:
    kept: list[int] = []
    loop = make_loop(
        tmp_path,
        *("plateau.patience=9", "training.epochs=4"),
        validate=Validation(1.0, 0.1, 2.0, 3.0),
        keep_last=True,
        on_keep=lambda row: kept.append(row["epoch"]),
    )
    position = loop.run()
    assert kept == [1, 2, 3, 4]
    assert position.best_epoch == 2


def test_the_error_can_be_watched_instead(tmp_path: Path) -> None:
    best: list[int] = []
    loop = make_loop(
        tmp_path,
        watch="top1_error",
        on_keep=lambda row: best.append(row["epoch"]),
    )
    loop.run()
    assert best == [1]


def test_training_ends_with_the_schedule_or_the_ceiling(tmp_path: Path) -> None:
    ceiling = make_loop(tmp_path / "a", "training.epochs=2").run()
    assert (ceiling.epoch, ceiling.stopped_because) == (2, "the ceiling of 2 epochs")
    plateau = make_loop(
        tmp_path / "b",
        "plateau.patience=1",
        "plateau.drops=1",
        "training.epochs=9",
        validate=Validation(1.0),
    ).run()
    assert plateau.epoch == 3
    assert plateau.stopped_because == "no improvement for 1 epochs after 1 drops"


@pytest.mark.parametrize("best", [False, True])
@pytest.mark.parametrize("error", [*TITLES])
@pytest.mark.parametrize("value", [1e-5, 0.12345, 99.9999, 12345.678, 1e30])
def test_an_epoch_takes_one_line_of_eighty_columns(value: float, error: str, best: bool) -> None:
    row = {"epoch": 1000, "train_loss": value, "val_loss": value, "learning_rate": 1.41e-08}
    line = epoch_line(row | {f"val_{error}": 100.0}, error, best=best)
    assert len(line) <= 80
    assert ("(best)" in line) == best


def test_a_curve_ends_at_zero_in_the_loop(tmp_path: Path) -> None:
    """The rate is set before each update, so the last update is one step short of the end."""
    rates: list[float] = []
    loop = make_loop(tmp_path, schedule=CurveSchedule(1.0, 2, cosine), epochs=2)
    step = loop.optimizer.step

    def note() -> None:
        rates.append(loop.optimizer.param_groups[0]["lr"])
        loop.optimizer.param_groups[0]["lr"] = 0.0
        step()

    loop.optimizer.step = note  # type: ignore[method-assign]
    loop.run()
    assert rates == pytest.approx([cosine(n / 4) for n in range(4)])
