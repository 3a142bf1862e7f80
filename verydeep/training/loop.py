"""Training loop: epochs of updates, each followed by validation, until the schedule ends.

Every process of a group runs the loop on its slices of the batches, and all take the same steps.
Rank 0 alone writes files, reports, and decides on the schedule.
"""

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

from verydeep.data.pipeline.batches import Batches
from verydeep.data.pipeline.micro_batch import MicroBatch
from verydeep.data.pipeline.on_device import ahead_on_device
from verydeep.errors import Interrupted
from verydeep.system.device import Machine
from verydeep.system.durations import in_words
from verydeep.system.files import write_json_lines
from verydeep.system.group.distributed import Group
from verydeep.system.option_names import command_or_call, option
from verydeep.system.progress import Progress, ProgressTask
from verydeep.training.agreement import Word, agree
from verydeep.training.checkpoint import (
    EpochSums,
    Position,
    load_checkpoint,
    random_state,
    save_checkpoint,
    seed_rank,
)
from verydeep.training.epoch_lines import ceiling, epoch_line, hint
from verydeep.training.gradients import gradients_of
from verydeep.training.health import Health, Moment
from verydeep.training.late_sums import LateSums, UpdateSums, lag_of
from verydeep.training.objective import Objective, heads_of
from verydeep.training.remedies import Remedies
from verydeep.training.schedule import Schedule
from verydeep.training.shared_norm import SharedNorm
from verydeep.training.signals import StopSignals
from verydeep.training.unreadable import UnreadableImages

Row = dict[str, Any]


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
        group: Processes that train the net together.
        seed: Seed of the run, for the random numbers of processes after the first.
        forward: Compiled form of the net for its passes in training, with the same weights.
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
    group: Group = field(default_factory=Group)
    seed: int = 0
    forward: Callable[[Tensor], Tensor] | None = None

    def __post_init__(self) -> None:
        self.position = Position()
        self._signals = StopSignals(self.progress.log)
        self._norm = SharedNorm(self.net, self.group)
        self._gradients = gradients_of(self.net, self.group)
        self._late = LateSums(lag_of(self.machine.device))
        self._health = Health(self.net, self.schedule, self.group, self._checkpoints, self.remedies)
        self._unreadable = UnreadableImages(self.group, self.unreadable_limit, self.progress)
        self._saved_at, self._begun_at, self._begun_after = time.monotonic(), time.monotonic(), 0.0

    def resume(self, *, go_on: bool = False) -> bool:
        """Load the checkpoint in the run folder; return whether there was one.

        A training that has ended goes on if it may have more epochs now than when it ended.

        Args:
            go_on: Whether to go on anyway: checkpoints of earlier versions do not tell of how many
                epochs the end was.
        """
        rank = self.group.rank
        checkpoint = load_checkpoint(
            self._checkpoints, self.net, self.optimizer, rank=rank, seed=self.seed
        )
        if checkpoint is None:
            if rank:  # rank 0 goes on with the random numbers of the initialisation
                seed_rank(self.seed, rank, 0)
            return False
        state, self.position = checkpoint
        self.schedule.restore(state)
        ended = self.position.stopped_because == ceiling(self.position.epoch)
        more = self.epochs > (self.position.ended_of or self.epochs)
        if self.position.epoch < self.epochs and (go_on or ended or more):
            self.position.end(None, self.epochs)
            self.schedule.go_on()
        self._write_log()
        return True

    def run(self) -> Position:
        """Train until the schedule ends or the maximum of epochs is reached.

        Raises:
            TrainingStopped: The loss is not finite, or the weights of the processes differ.
            DataError: Too many images have failed during training.
            Interrupted: A signal was received; a checkpoint was written.
        """
        self._begun_at, self._begun_after = time.monotonic(), self._done
        with self._signals, self._gradients, self.progress.task("training", self.epochs) as task:
            self._health.check_same(self._moment())
            while self.position.stopped_because is None:
                self._train_epoch(task)
                self._end_epoch()
        return self.position

    def _train_epoch(self, whole: ProgressTask) -> None:
        self.net.train()
        for part in self.frozen:
            part.eval()
        position = self.position
        with (
            self.progress.task(f"epoch {position.epoch + 1}", self.batches.steps) as task,
            closing(self.batches.epoch(position.epoch, position.step)) as all_parts,
            closing(ahead_on_device(all_parts, self.machine.device)) as all_moved,
            self._norm,
        ):
            started = time.monotonic()  # reading counts, too
            for step, parts in groupby(all_moved, key=lambda part: part.step):
                self._set_rate()
                self._update(parts)
                position.step = step + 1
                word = self._agree()
                position.sums.seconds += time.monotonic() - started
                whole.update(self._done, f"{self._left()}, {self._describe()}")
                self._report(task)
                self._stop_if_asked(word)
                if word.due:
                    self.save()
                started = time.monotonic()

    def _update(self, parts: Iterator[MicroBatch]) -> None:
        """Take one optimizer step with the mean gradient over all images of the batch."""
        self._gradients.clear()
        values = torch.zeros(2, device=self.machine.device)
        planned = added = 0
        for part in parts:
            planned = part.images
            added += len(part.labels)
            self._unreadable.new += part.unreadable
            if part.last:
                self._gradients.last()
            if len(part.labels) or self.group.size > 1:  # all take part, if with nothing
                values += self._accumulate(part)
        total = self._gradients.total(added)
        if 0 < total < planned:
            self._gradients.scale(planned / total)
        if total:
            self.optimizer.step()
        self._late.add(self.position.step + 1, self._rate, added, values)

    def _accumulate(self, part: MicroBatch) -> Tensor:
        """Add the gradients of a part; return its loss and the number of errors, float32 (2,).

        The loss that is told is, as in validation, that of the scores without auxiliary heads.
        """
        x = self.prepare(part.pictures, part.shifts)
        forward = self.forward if self.forward is not None and len(x) else self.net
        with self.machine.autocast():
            outputs = forward(x)
        outputs = outputs.float()
        loss = self.objective.losses(outputs, part).sum()
        (loss / part.images).backward()  # type: ignore[no-untyped-call]
        scores, auxiliary = heads_of(outputs.detach())
        told = self.objective.losses(scores, part).sum() if auxiliary else loss.detach()
        return torch.stack([told, self.objective.wrong(scores, part).sum().float()])

    def _agree(self, *, whole: bool = False) -> Word:
        """Exchange the sums of past updates, all or all that are ready, and what is due."""
        word = Word()
        taken: list[UpdateSums | None] = [*self._late.take(whole=whole)]
        for sums in taken or [None]:
            word = agree(self.group, self._word(sums))
            if sums is not None:
                self._note(sums, word)
            if word.faults:
                self._unreadable.record(self.position.unreadable, self.batches.pictures)
        return word

    def _word(self, sums: UpdateSums | None) -> Word:
        since = time.monotonic() - self._saved_at
        due = self.group.first and since > 60 * self.checkpoint_minutes
        flags = {
            "stops": float(self._signals.received is not None),
            "due": float(due),
            "faults": float(len(self._unreadable.new)),
        }
        if sums is None:
            return Word(**flags)
        return Word(sums.images, sums.loss, sums.wrong, **flags)

    def _note(self, own: UpdateSums, word: Word) -> None:
        """Add the sums of an update of all processes to those of the epoch."""
        if not math.isfinite(word.loss):
            when = Moment(self.position.epoch + 1, own.update, own.rate)
            raise self._health.not_finite(f"the loss became {word.loss}", when)
        sums = self.position.sums
        sums.pictures += round(word.images)
        sums.loss += word.loss
        sums.wrong += round(word.wrong)

    @property
    def _rate(self) -> float:
        return float(self.optimizer.param_groups[0]["lr"])

    def _set_rate(self) -> None:
        done = self.position.epoch + self.position.step / self.batches.steps
        for group in self.optimizer.param_groups:
            group["lr"] = self.schedule.rate(done) * group.get("share", 1.0)

    def _end_epoch(self) -> None:
        self._settle()
        self._health.check_weights(self._moment())
        self._health.check_same(self._moment())
        self._record(self._rate)

    def record_fit(
        self, loss: float, wrong: float, seconds: float, *, ends: str | None = None
    ) -> None:
        """Record a fit that was made outside this loop, as the first epoch.

        Args:
            loss: Its training loss.
            wrong: Its training error, 0 to 1.
            seconds: The time that it took.
            ends: Reason why the training ends with it; None if it goes on.
        """
        count = self.batches.pictures
        self.position.sums = EpochSums(count, loss * count, round(wrong * count), seconds)
        self._record(0.0, ends)

    def _record(self, rate: float, ends: str | None = None) -> None:
        """Validate, and write down the epoch that has ended, and with it perhaps the training."""
        position, started = self.position, time.monotonic()
        measured = self.group.broadcast(dict(self.validate()))
        if not math.isfinite(measured[self.watch]):
            what = f"the validation {self.watch} became {measured[self.watch]}"
            raise self._health.not_finite(what, self._moment())
        row = self.group.broadcast(self._row(rate, measured, time.monotonic() - started))
        position.history.append(row)
        position.epoch, position.step, position.sums = position.epoch + 1, 0, EpochSums()
        self._note_best(row, measured)
        self._advance(measured[self.watch], ends)
        self.save()
        self._write_log()
        self.on_epoch(row)
        self._log_epoch(row)
        self._stop_if_asked(self._agree())

    def _row(self, rate: float, measured: Mapping[str, float], seconds: float) -> Row:
        sums = self.position.sums
        return {
            "epoch": self.position.epoch + 1,
            "learning_rate": rate,
            "train_loss": sums.mean_loss,
            f"train_{self.objective.error}": sums.error,
            **{f"val_{key}": value for key, value in measured.items()},
            "drops": self.schedule.drops,
            "images_per_second": sums.images_per_second,
            "seconds": sums.seconds + seconds,
        }

    def _note_best(self, row: Row, measured: Mapping[str, float]) -> None:
        # The model is written before the checkpoint: after a kill in between, the epoch is repeated
        # and the same model written again.
        best = measured[self.watch] < self.position.best
        if best:
            self.position.best = measured[self.watch]
            self.position.best_epoch = row["epoch"]
        if (best or self.keep_last) and self.group.first:
            self.on_keep(row)

    def _advance(self, value: float, ends: str | None) -> None:
        """Advance the schedule by an epoch with this validation value; rank 0 decides."""
        stop = ends or (self.schedule.end_epoch(value) if self.group.first else None)
        if stop is None and self.position.epoch >= self.epochs:
            stop = ceiling(self.epochs)
        stop, state = self.group.broadcast((stop, self.schedule.state()))
        if not self.group.first:
            self.schedule.restore(state)
        self.position.end(stop, self.epochs)

    def save(self) -> None:
        """Write a checkpoint.

        Raises:
            TrainingStopped: A weight or a loss is not finite; the previous checkpoint is kept.
        """
        self._settle()
        self._health.check_weights(self._moment())
        _, *others = self.group.gather(random_state(self.machine.device))
        if self.group.first:
            state = self.schedule.state()
            save_checkpoint(
                self._checkpoints, self.net, self.optimizer, state, self.position, others
            )
        self.group.wait_for_all()  # nobody ends before the file is complete
        self._saved_at = time.monotonic()

    def _settle(self) -> None:
        """Look at all updates that have not been looked at."""
        if self._late:
            self._agree(whole=True)

    @property
    def _checkpoints(self) -> Path:
        return self.folder / "checkpoints"

    def _write_log(self) -> None:
        if self.group.first:
            write_json_lines(self.folder / "log.jsonl", self.position.history)

    def _stop_if_asked(self, word: Word) -> None:
        # Alone, a signal that came after the word counts, too.
        if not word.stops and (self.group.size > 1 or self._signals.received is None):
            return
        if self.position.stopped_because is None:
            self.save()
        name = next(filter(None, self.group.gather(self._signals.received)))
        raise Interrupted(
            f"stopped by {name} in epoch {self.position.epoch + 1}; "
            f"checkpoint saved in {self._checkpoints}. To continue, repeat the "
            f"{command_or_call()} with {option('resume', True)}"
        )

    def _moment(self) -> Moment:
        return Moment(self.position.epoch + 1, self.position.step, self._rate)

    def _report(self, task: ProgressTask) -> None:
        sums = self.position.sums
        told = f"loss {sums.mean_loss:.3f}, {sums.images_per_second:,.0f} images/s"
        task.update(self.position.step, told)

    @property
    def _done(self) -> float:
        """Number of epochs done, including the fraction of the current one."""
        return self.position.epoch + self.position.step / self.batches.steps

    def _left(self) -> str:
        """Return the remaining time, estimated from the speed since the start."""
        done, seconds = self._done - self._begun_after, time.monotonic() - self._begun_at
        return f"{in_words(seconds / done * (self.epochs - self._done))} left"

    def _describe(self) -> str:
        best = f", best {self.watch} {self.position.best:.4g}" if self.position.best_epoch else ""
        return f"learning rate {self._rate:.3g}, {self.schedule.drops} drops{best}"

    def _log_epoch(self, row: Row) -> None:
        best = self.position.best_epoch == row["epoch"] and not self.keep_last
        self.progress.log(epoch_line(row, self.objective.error, best=best))
        history, chance = self.position.history, self.objective.chance_of
        if advice := hint(history, chance, self.schedule, self.remedies):
            self.progress.log(advice)
