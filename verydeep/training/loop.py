"""Training loop: epochs of updates, each followed by validation, until the schedule ends."""

from __future__ import annotations

import math
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import closing
from dataclasses import dataclass, field
from itertools import groupby
from pathlib import Path
from typing import Any

import torch
from torch import Tensor, nn

from verydeep.data.pipeline.batches import Batches, MicroBatch
from verydeep.data.pipeline.colour_statistics import check_unreadable
from verydeep.errors import Interrupted, TrainingStopped
from verydeep.system.device import Machine
from verydeep.system.files import write_json_lines
from verydeep.system.option_names import command_or_call, option
from verydeep.system.progress import Progress, ProgressTask
from verydeep.training.checkpoint import (
    EpochSums,
    Position,
    load_checkpoint,
    save_checkpoint,
)
from verydeep.training.estimate import in_words
from verydeep.training.objective import Objective
from verydeep.training.remedies import Remedies, is_stuck
from verydeep.training.schedule import Schedule
from verydeep.training.signals import StopSignals

Row = dict[str, Any]

MOST_REPORTED = 10
"""Maximum number of reported images that fail during training; all are recorded."""


@dataclass
class Loop:
    """A training run, ready to start.

    Attributes:
        net: Net on the machine's device, trained in place.
        optimizer: Optimizer of the net's parameters.
        schedule: Learning-rate schedule, applied before every update.
        batches: Training set.
        prepare: Maps uint8 crops (N, 3, h, w) and factors α of the colour shift (N, 3) to the net's
            input.
        objective: Loss and error.
        validate: Returns validation metrics: ``loss``, the objective's error and more.
        watch: Validation metric that selects the best model; lower is better.
        machine: Device and precision.
        epochs: Maximum number of epochs.
        folder: Run folder, for checkpoints and the log.
        on_keep: Called with an epoch's row when the net is the one to keep.
        keep_last: Whether to keep the net of the last epoch instead of the best one.
        remedies: Available remedies, for hints.
        frozen: Parts of the net that are not trained and stay in evaluation mode.
        unreadable_limit: Maximum share of images that may fail during training.
        checkpoint_minutes: Minutes between checkpoints within an epoch.
        progress: Progress reporter.
        on_epoch: Called with every epoch's row, for other logs.
    """

    net: nn.Module
    optimizer: torch.optim.Optimizer
    schedule: Schedule
    batches: Batches
    prepare: Callable[[Tensor, Tensor], Tensor]
    objective: Objective
    validate: Callable[[], Mapping[str, float]]
    watch: str
    machine: Machine
    epochs: int
    folder: Path
    on_keep: Callable[[Row], None]
    keep_last: bool = False
    remedies: Remedies = field(default_factory=Remedies)
    frozen: Sequence[nn.Module] = ()
    unreadable_limit: float = 0.01
    checkpoint_minutes: float = 10.0
    progress: Progress = field(default_factory=Progress)
    on_epoch: Callable[[Row], None] = lambda row: None

    def __post_init__(self) -> None:
        self.position = Position()
        self._signals = StopSignals(self.progress.log)
        self._saved_at = self._begun_at = time.monotonic()
        self._begun_after = 0.0

    def resume(self, *, go_on: bool = False) -> bool:
        """Load the checkpoint in the run folder; return whether there was one.

        Args:
            go_on: Whether to train up to the maximum of epochs even if the schedule has ended.
        """
        checkpoint = load_checkpoint(self._checkpoints, self.net, self.optimizer)
        if checkpoint is None:
            return False
        state, self.position = checkpoint
        self.schedule.restore(state)
        ended_by_ceiling = self.position.stopped_because == ceiling(self.position.epoch)
        if self.position.epoch < self.epochs and (go_on or ended_by_ceiling):
            self.position.stopped_because = None
            self.schedule.go_on()
        self._write_log()
        return True

    def run(self) -> Position:
        """Train until the schedule ends or the maximum of epochs is reached.

        Raises:
            TrainingStopped: The loss is not finite.
            DataError: Too many images have failed during training.
            Interrupted: A signal was received; a checkpoint was written.
        """
        self._begun_at, self._begun_after = time.monotonic(), self._done
        with self._signals, self.progress.task("training", self.epochs) as task:
            while self.position.stopped_because is None:
                self._train_epoch(task)
                self._end_epoch()
        return self.position

    def _train_epoch(self, whole: ProgressTask) -> None:
        self.net.train()
        for part in self.frozen:
            part.eval()
        position = self.position
        title = f"epoch {position.epoch + 1}"
        with (
            self.progress.task(title, self.batches.steps) as task,
            closing(self.batches.epoch(position.epoch, position.step)) as all_parts,
        ):
            for step, parts in groupby(all_parts, key=lambda part: part.step):
                started = time.monotonic()
                self._set_rate()
                self._update(parts)
                position.step = step + 1
                position.sums.seconds += time.monotonic() - started
                whole.update(self._done, f"{self._left()}, {self._describe()}")
                self._report(task)
                self._check_signals()
                if time.monotonic() - self._saved_at > 60 * self.checkpoint_minutes:
                    self.save()

    def _update(self, parts: Iterator[MicroBatch]) -> None:
        """Take one optimizer step with the mean gradient over all parts of the batch."""
        self.optimizer.zero_grad(set_to_none=True)
        for part in parts:
            self._note_unreadable(part)
            if len(part.labels):
                self._accumulate(part)
        self.optimizer.step()

    def _note_unreadable(self, part: MicroBatch) -> None:
        """Record images that have become unreadable; report the first ones."""
        if not part.unreadable:
            return
        listed = self.position.unreadable
        for fault in part.unreadable:
            if fault in listed:
                continue
            listed.append(fault)
            if len(listed) <= MOST_REPORTED:
                self.progress.log(f"unreadable, skipped in training: {fault}")
            elif len(listed) == MOST_REPORTED + 1:
                self.progress.log("more unreadable images will be listed in metrics.json")
        check_unreadable(listed, self.batches.pictures, self.unreadable_limit)

    def _accumulate(self, part: MicroBatch) -> None:
        part = part.to(self.machine.device)
        x = self.prepare(part.pictures, part.shifts)
        with self.machine.autocast():
            outputs = self.net(x)
        outputs = outputs.float()
        loss = self.objective.losses(outputs, part).mean()
        value = loss.item()
        if not math.isfinite(value):
            self._stop_not_finite(f"the loss became {value}", self.position.step + 1)
        (loss * part.share).backward()  # type: ignore[no-untyped-call]
        sums = self.position.sums
        sums.pictures += len(part.labels)
        sums.loss += value * len(part.labels)
        sums.wrong += int(self.objective.wrong(outputs, part).sum())

    def _set_rate(self) -> None:
        done = self.position.epoch + self.position.step / self.batches.steps
        for group in self.optimizer.param_groups:
            group["lr"] = self.schedule.rate(done) * group.get("share", 1.0)

    def _end_epoch(self) -> None:
        rate = self.optimizer.param_groups[0]["lr"]
        self._check_weights()
        self._record(rate)

    def record_fit(self, loss: float, wrong: float, seconds: float) -> None:
        """Record a fit that was made outside this loop, as the first epoch.

        Args:
            loss: Its training loss.
            wrong: Its training error, 0 to 1.
            seconds: The time that it took.
        """
        self.position.sums = EpochSums(self.batches.pictures)
        self.position.sums.seconds = seconds
        self.position.sums.loss = loss * self.batches.pictures
        self.position.sums.wrong = round(wrong * self.batches.pictures)
        self._record(0.0)

    def end(self, because: str) -> None:
        """End the training."""
        self.position.stopped_because = because
        self.save()

    def _record(self, rate: float) -> None:
        """Validate, and write down the epoch that has ended."""
        position, sums = self.position, self.position.sums
        started = time.monotonic()
        measured = self.validate()
        if not math.isfinite(measured[self.watch]):
            self._stop_not_finite(
                f"the validation {self.watch} became {measured[self.watch]}", position.step
            )
        row: Row = {
            "epoch": position.epoch + 1,
            "learning_rate": rate,
            "train_loss": sums.loss / max(1, sums.pictures),
            f"train_{self.objective.error}": 100 * sums.wrong / max(1, sums.pictures),
            **{f"val_{key}": value for key, value in measured.items()},
            "drops": self.schedule.drops,
            "images_per_second": sums.pictures / max(1e-9, sums.seconds),
            "seconds": sums.seconds + time.monotonic() - started,
        }
        position.history.append(row)
        position.epoch, position.step, position.sums = position.epoch + 1, 0, EpochSums()
        self._note_best(row, measured)
        stop = self.schedule.end_epoch(measured[self.watch])
        if stop is None and position.epoch >= self.epochs:
            stop = ceiling(self.epochs)
        position.stopped_because = stop
        self.save()
        self._write_log()
        self.on_epoch(row)
        self._log_epoch(row)
        self._check_signals()

    def _note_best(self, row: Row, measured: Mapping[str, float]) -> None:
        # The model is written before the checkpoint: after a kill in between, the epoch is repeated
        # and the same model written again.
        best = measured[self.watch] < self.position.best
        if best:
            self.position.best = measured[self.watch]
            self.position.best_epoch = row["epoch"]
        if best or self.keep_last:
            self.on_keep(row)

    def save(self) -> None:
        """Write a checkpoint.

        Raises:
            TrainingStopped: A weight is not finite; the previous checkpoint is kept.
        """
        self._check_weights()
        save_checkpoint(
            self._checkpoints, self.net, self.optimizer, self.schedule.state(), self.position
        )
        self._saved_at = time.monotonic()

    @property
    def _checkpoints(self) -> Path:
        return self.folder / "checkpoints"

    def _write_log(self) -> None:
        write_json_lines(self.folder / "log.jsonl", self.position.history)

    def _check_signals(self) -> None:
        if self._signals.received is None:
            return
        if self.position.stopped_because is None:
            self.save()
        raise Interrupted(
            f"stopped by {self._signals.received} in epoch {self.position.epoch + 1}; "
            f"checkpoint saved in {self._checkpoints}. To continue, repeat the "
            f"{command_or_call()} with {option('resume', True)}"
        )

    def _check_weights(self) -> None:
        """Raise an error if an update has made weights infinite."""
        # Squares, as in the L2 penalty: they also overflow for huge finite weights.
        if not all(bool(w.detach().square().sum().isfinite()) for w in self.net.parameters()):
            self._stop_not_finite("the weights became infinite", self.position.step)

    def _stop_not_finite(self, what: str, update: int) -> None:
        epoch = self.position.epoch + 1
        rate = self.optimizer.param_groups[0]["lr"]
        kept = (
            f"The last good checkpoint is kept in {self._checkpoints}"
            if (self._checkpoints / "last.pt").is_file()
            else "There is no checkpoint yet"
        )
        raise TrainingStopped(
            f"{what} in epoch {epoch}, update {update}, at a learning rate of "
            f"{rate:g}. {kept}. {self.remedies.when_not_finite(self.schedule.highest)}"
        )

    def _report(self, task: ProgressTask) -> None:
        sums = self.position.sums
        speed = sums.pictures / max(1e-9, sums.seconds)
        loss = sums.loss / max(1, sums.pictures)
        task.update(self.position.step, f"loss {loss:.3f}, {speed:,.0f} images/s")

    @property
    def _done(self) -> float:
        """Number of epochs done, including the fraction of the current one."""
        return self.position.epoch + self.position.step / self.batches.steps

    def _left(self) -> str:
        """Return the remaining time, estimated from the speed since the start."""
        done, seconds = self._done - self._begun_after, time.monotonic() - self._begun_at
        return f"{in_words(seconds / done * (self.epochs - self._done))} left"

    def _describe(self) -> str:
        rate = self.optimizer.param_groups[0]["lr"]
        best = f", best {self.watch} {self.position.best:.4g}" if self.position.best_epoch else ""
        return f"learning rate {rate:.3g}, {self.schedule.drops} drops{best}"

    def _log_epoch(self, row: Row) -> None:
        best = self.position.best_epoch == row["epoch"] and not self.keep_last
        self.progress.log(epoch_line(row, self.objective.error, best=best))
        # With strong dropout the training loss alone may look stuck.
        losses = [min(row["train_loss"], row["val_loss"]) for row in self.position.history]
        classes = self.objective.chance_of
        if classes and is_stuck(losses, classes, self.schedule.warm_after()):
            chance = f"ln {classes} = {math.log(max(2, classes)):.2f}"
            self.progress.log(
                f"hint: after {row['epoch']} epochs the loss is still at chance level ({chance}); "
                f"{self.remedies.when_stuck(self.schedule.highest)}"
            )


def ceiling(epochs: int) -> str:
    """Return the reason for an end by the recipe's number of epochs."""
    return f"the ceiling of {epochs} epochs"


def epoch_line(row: Mapping[str, Any], error: str, *, best: bool) -> str:
    """Return an epoch's metrics in one line of at most 80 columns.

    >>> row = {"epoch": 2, "train_loss": 1.9254, "val_loss": 1.714, "learning_rate": 0.00493}
    >>> epoch_line({**row, "val_top1_error": 57.6}, "top1_error", best=True)
    'epoch 2: loss 1.925, val loss 1.714, val error 57.60 %, rate 0.00493 (best)'
    """
    return (
        f"epoch {row['epoch']}: loss {_short(row['train_loss'])}, "
        f"val loss {_short(row['val_loss'])}, val error {row[f'val_{error}']:.2f} %, "
        f"rate {row['learning_rate']:.3g}{' (best)' if best else ''}"
    )


def _short(loss: float) -> str:
    if loss < 10:
        return f"{loss:.3f}"
    return f"{loss:.3g}" if loss < 1000 else f"{loss:.0e}"
