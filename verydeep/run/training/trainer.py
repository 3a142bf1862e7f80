"""Training of one net: loop, batches, validation and saving of the kept model."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from contextlib import closing
from dataclasses import dataclass, field
from typing import Any

import torch
from torch import Tensor, nn

from verydeep.data.pipeline.augment import Augmentation
from verydeep.data.pipeline.batches import Batches, TrainingBatches
from verydeep.data.pipeline.colour_statistics import Scan
from verydeep.data.pipeline.on_device import on_device
from verydeep.data.volumes.batches import VolumeBatches
from verydeep.errors import plural, printable
from verydeep.models.preprocessing import Preprocessing
from verydeep.models.trained_net import TrainedNet
from verydeep.nets.balance import balance
from verydeep.nets.interface import Net
from verydeep.nets.spatial import channels_last
from verydeep.run.training.data import stream_batches
from verydeep.run.training.machine_settings import all_at_once
from verydeep.run.training.net_and_optimizer import frozen_parts, make_optimizer, remedies_of
from verydeep.run.training.tasks.task import TrainingTask
from verydeep.system.device import Machine
from verydeep.system.group.distributed import Group
from verydeep.system.option_names import option
from verydeep.system.progress import Progress
from verydeep.training.checkpoint import Position, has_checkpoint
from verydeep.training.compiled import compiled
from verydeep.training.estimate import LONG, describe_estimate, time_steps
from verydeep.training.loop import Loop
from verydeep.training.objective import Objective
from verydeep.training.run_folder import RunFolder
from verydeep.training.schedule import make_schedule
from verydeep.training.tensorboard import tensorboard_log

MEASURED = 64
"""Maximum number of training crops that copied layers are balanced on."""


@dataclass
class Trainer:
    """Assembles a run: the loop with its batches, validation and outputs.

    Attributes:
        task: Task of the run.
        machine: Device and precision.
        scanned: The training images and their colours.
        net: Net, initialised in the first process; the others take over its weights.
        run_folder: Run folder.
        progress: Progress reporting.
        group: Processes that train the net together.
    """

    task: TrainingTask[Any]
    machine: Machine
    scanned: Scan
    net: Net
    run_folder: RunFolder
    progress: Progress
    group: Group = field(default_factory=Group)

    def __post_init__(self) -> None:
        self.recipe = self.task.recipe
        self.unreadable: tuple[str, ...] = ()
        level = self.recipe.data.mean
        mean = self.scanned.colours.mean if level is None else (level,) * 3
        self.preprocessing = Preprocessing(mean, self.recipe.data.divisor, self.net.channels)
        self.net.to(self.machine.device, memory_format=channels_last(self.net.dimensions))  # type: ignore[call-overload]
        fresh = not has_checkpoint(self.run_folder.checkpoints)
        if self.recipe.initialize.balance and fresh and self.group.first:
            self._balance()

    def run(self, *, go_on: bool = False) -> Position:
        """Train to the end, from the start or from the checkpoint."""
        loop = self._loop()
        resumed = loop.resume(go_on=go_on)
        self._record_found(loop.position)
        if resumed:
            self.progress.log(
                f"resuming after {plural(loop.position.epoch, 'epoch')} and "
                f"{plural(loop.position.step, 'update')}"
            )
        else:
            self._begin(loop)
            self._share_weights()
        if self.recipe.training.tensorboard and self.group.first:
            folder = self.run_folder.path / "tensorboard"
            loop.on_epoch = tensorboard_log(folder, loop.position.epoch)
        self._foresee(loop)
        return loop.run()

    @property
    def trained_module(self) -> nn.Module:
        """The part of the net that the loop trains."""
        return self.net

    def _share_weights(self) -> None:
        """Give all processes the weights of the first."""
        for tensor in self.net.state_dict().values():
            self.group.copy_first(tensor)

    def _balance(self) -> None:
        """Rescale the copied layers, measured on some training crops."""
        # As many for any number of processes, or these would begin with other weights.
        with closing(self._image_batches(Group(), MEASURED).epoch(0)) as parts:
            part = on_device(next(parts), self.machine.device)
        balance(self.net.eval(), self._image_input()(part.pictures, part.shifts))

    def _begin(self, loop: Loop) -> None:
        """Prepare a run that starts; nothing to do for a whole net."""

    def _record_found(self, position: Position) -> None:
        """Record what was found before the loop; nothing for a whole net."""

    def _foresee(self, loop: Loop) -> None:
        """Log the estimated time of the remaining epochs, if any."""
        left = loop.epochs - loop.position.epoch
        if loop.position.stopped_because is not None or left < 1:
            return
        training = self.recipe.training
        own = -(-all_at_once(self.recipe, self.group) // self.group.size)
        times = time_steps(self.net, self.recipe.net.input_size, own, self.machine)
        val = len(self.task.samples("val"))
        images = loop.batches.pictures * times.training + val * times.validation
        epoch = images / self.group.size
        at_most = training.schedule == "plateau"
        self.progress.log(describe_estimate(left, epoch, self.machine, at_most=at_most))
        if left * epoch > LONG:
            self.progress.log(self._quicker())

    def _quicker(self) -> str:
        """Return suggestions for a shorter run."""
        ways = [f"fewer epochs ({option('epochs')})"]
        if self.machine.device.type == "cpu":
            ways.append("a GPU")
            if self.recipe.net.input_size > 96:
                chosen = option("recipe", "auto")
                ways.append(f"{chosen}, which chooses a smaller net and smaller images")
        else:
            ways.append(f"a smaller net ({option('net', 'A')}) or smaller images (net.input_size)")
        return f"quicker: {', or '.join(ways)}"

    def _loop(self) -> Loop:
        training, objective = self.recipe.training, self.task.objective(self.scanned.samples)
        frozen = frozen_parts(self.net, self.recipe)
        return Loop(
            net=self.trained_module,
            optimizer=make_optimizer(self.trained_module, self.recipe),
            schedule=make_schedule(self.recipe),
            batches=self._batches(),
            prepare=self._prepare(),
            validate=self._validate,
            objective=objective,
            watch=self._watched(objective),
            machine=self.machine,
            epochs=training.epochs,
            folder=self.run_folder.path,
            on_keep=self._save_model,
            keep_last=training.keep == "last",
            remedies=remedies_of(self.recipe, self.machine),
            frozen=frozen,
            unreadable_limit=self.recipe.data.unreadable_limit,
            checkpoint_minutes=training.checkpoint_minutes,
            progress=self.progress,
            group=self.group,
            seed=training.seed,
            forward=compiled(self.trained_module) if training.compile == "always" else None,
        )

    def _watched(self, objective: Objective) -> str:
        """Return the validation measure that the schedule and the choice of an epoch go by."""
        if self.recipe.plateau.monitor == "loss":
            return "loss"
        return self.task.watched or objective.error

    def _batches(self) -> Batches:
        """Return what the loop trains on."""
        return self._image_batches(self.group, all_at_once(self.recipe, self.group))

    def _prepare(self) -> Callable[[Tensor, Tensor], Tensor]:
        """Return the conversion of a batch to the input of what the loop trains."""
        return self._image_input()

    def _image_batches(self, group: Group, micro_batch: int) -> Batches:
        stream = self.task.dataset.stream
        if stream is not None:
            return stream_batches(stream, self._augmentation, self.recipe, micro_batch, group)
        return self.crops(batch=self.recipe.training.batch, micro_batch=micro_batch, group=group)

    @property
    def _augmentation(self) -> Augmentation:
        data = self.recipe.data
        return Augmentation(
            size=self.recipe.net.input_size,
            scale=data.train_scale,
            random_crop=data.crop == "random",
            any_area=data.crop == "area",
            flip=data.flip,
            colour_shift=data.colour_shift,
        )

    def crops(
        self, *, batch: int, micro_batch: int, group: Group | None = None, each_once: bool = False
    ) -> TrainingBatches:
        """Return augmented crops of the training images, or a process's slices of them.

        Args:
            batch: Images per update, over all processes.
            micro_batch: Images per forward pass, over all processes.
            group: The processes; None returns all crops.
            each_once: Whether an epoch has each image once, whatever ``data.balance`` says.
        """
        group = group or Group()
        data = self.recipe.data
        kind = VolumeBatches if self.net.dimensions == 3 else TrainingBatches
        return kind(
            self.scanned.samples,
            self._augmentation,
            batch=batch,
            micro_batch=micro_batch,
            seed=self.recipe.training.seed,
            store=self.scanned.store,
            workers=data.workers,
            balanced=data.balance == "sampling" and not each_once,
            reduced=data.reduced_decoding,
            decode=data.decode,
            drawing=self.task.drawing(self._augmentation),
            rank=group.rank,
            world=group.size,
        )

    def _image_input(self) -> Callable[[Tensor, Tensor], Tensor]:
        axes = torch.from_numpy(self.scanned.colours.shift_axes()).to(self.machine.device)
        return lambda pictures, factors: self.preprocessing(pictures, factors @ axes.T)

    def _validate(self) -> Mapping[str, float]:
        measured: Mapping[str, float]
        measured, unreadable = self.task.validate(self.model(), self.progress)
        self._report_unreadable(unreadable)
        return measured

    def _report_unreadable(self, names: tuple[str, ...]) -> None:
        """Report images of val that cannot be read, unless they were in the last report."""
        for name in names:
            if name not in self.unreadable:
                where = printable(name)
                self.progress.log(f"cannot be read and is left out of validation: {where}")
        self.unreadable = names

    def _save_model(self, row: dict[str, Any]) -> None:
        kept = {k: value for k, value in row.items() if k == "epoch" or k.startswith("val_")}
        self.model(kept).save(self.run_folder.model)

    def model(self, measured: dict[str, Any] | None = None) -> TrainedNet:
        """Return the net in its current state, as a model to test or save."""
        dataset = self.task.dataset
        parts = {
            "net": self.net,
            "classes": dataset.classes,
            "preprocessing": self.preprocessing,
            "train_scale": self.recipe.data.train_scale,
            "test_scales": self.recipe.test_scales,
            "test_flip": self.recipe.test.flip,
            "titles": dataset.titles,
            "measured": measured,
            "machine": self.machine,
        }
        model: TrainedNet = self.task.model(parts)
        return model
