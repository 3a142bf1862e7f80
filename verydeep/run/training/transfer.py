"""Training of the upper half of a net on stored maps of its lower half.

N images, C channels, h, w sides of a map, D channels of the last map.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import cast

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from verydeep.data.pipeline.batches import Batches
from verydeep.data.samples import Samples
from verydeep.errors import plural
from verydeep.evaluation.metrics import topk_error
from verydeep.nets.halves import UpperHalf
from verydeep.run.training.maps import MapMaker
from verydeep.run.training.trainer import Trainer
from verydeep.system.files import write_atomically
from verydeep.system.option_names import setting
from verydeep.training.checkpoint import Position, has_checkpoint
from verydeep.training.estimate import in_words, time_steps
from verydeep.training.linear_head import LinearHead, Rows, fit_linear_head, set_linear_head
from verydeep.training.loop import Loop
from verydeep.training.map_store import MapBatches, MapStore, averages

VAL = "val"
HEAD = "head.pt"
"""File of the upper half as it was when the head was fitted, among the checkpoints."""

ONLY_HEAD = "the head is fitted"
TUNED_FROM = 2_000
"""Number of images from which training of the upper layers is tried; fewer are learned by heart."""

AT_ONCE = 64
"""Maps that go through the upper half at once in tests."""


class TransferTrainer(Trainer):
    """Trains the upper half of a net on maps of its lower half, computed once for a few views.

    The first epoch of its log is the head: one linear layer, fitted by cross-validation. The
    epochs after it train all layers of the upper half.
    """

    def __post_init__(self) -> None:
        super().__post_init__()
        assert self.recipe.transfer is not None
        self.settings = self.recipe.transfer
        if has_checkpoint(self.run_folder.checkpoints):
            # The source of the lower half may be gone; the kept model has it too.
            kept = self.task.load(self.run_folder.model).net
            self.net.features.load_state_dict(kept.features.state_dict())
        self.upper = UpperHalf(self.net, self.settings.frozen)
        self.maker = MapMaker(
            self.net.eval(), self.settings.frozen, self.preprocessing, self.machine
        )
        folder, shape = self.run_folder.maps, self.maker.shape()
        self.store = MapStore(folder, len(self.scanned.samples), shape)
        self.val_store = MapStore(folder, len(self.val), shape)
        self.views = self._affordable_views()

    @property
    def val(self) -> Samples:
        """Images to validate on."""
        return self.task.samples(VAL)

    @property
    def labels(self) -> Tensor:
        """Classes of the training images, int64 (N,)."""
        return torch.as_tensor(self.scanned.samples.labels).long()

    def _read_views(self) -> list[Tensor]:
        """Return the stored maps of every view, (N, C, h, w)."""
        return [self.store.read(_view(view)) for view in range(self.views)]

    @property
    def trained_module(self) -> nn.Module:
        """The upper half."""
        return self.upper

    def run(self, *, go_on: bool = False) -> Position:
        """Compute the maps that are missing, then train on them."""
        self._started = time.monotonic()
        self._compute_maps()
        position = super().run(go_on=go_on)
        self._keep_the_better(position)
        return position

    def _affordable_views(self) -> int:
        """Return the number of views that the room on the disk allows."""
        room = int(1e9 * self.settings.disk) - self.val_store.bytes_per_view
        views = max(1, min(self.settings.views, room // max(1, self.store.bytes_per_view)))
        if views < self.settings.views:
            self.progress.log(
                f"{plural(views, 'view')} instead of {self.settings.views}: each takes "
                f"{self.store.bytes_per_view / 1e9:.2g} GB (transfer.disk allows "
                f"{self.settings.disk:g})"
            )
        return views

    def _compute_maps(self) -> None:
        """Compute the views that are not stored yet."""
        wanted = [view for view in range(self.views) if not self.store.has(_view(view))]
        if wanted:
            self._foresee_maps(len(wanted))
        at_once = self.maker.at_once
        crops = self.crops(batch=at_once, micro_batch=at_once)
        axes = torch.from_numpy(self.scanned.colours.shift_axes())
        for view in wanted:
            title = f"maps, view {view + 1} of {self.views}"
            with self.progress.task(title, self.store.count) as task:
                self.store.write(_view(view), self.maker.of_view(crops, view, axes, task))
        if not self.val_store.has(VAL):
            scale, workers = self.recipe.test_scales[0], self.recipe.data.workers
            with self.progress.task("maps of val", self.val_store.count) as task:
                rows = self.maker.of_centers(self.val.paths, scale, workers, task)
                self.val_store.write(VAL, rows)

    def _foresee_maps(self, views: int) -> None:
        times = time_steps(self.net, self.net.input_size, self.maker.at_once, self.machine)
        images = views * self.store.count + self.val_store.count
        self.progress.log(
            f"maps of {self.settings.frozen}: {plural(views, 'view')} of "
            f"{plural(self.store.count, 'image')}, about "
            f"{in_words(times.validation * images)} on {self.machine}, "
            f"{self.store.bytes_per_view * self.views / 1e9:.2g} GB"
        )

    def _begin(self, loop: Loop) -> None:
        """Fit a head of one layer, as the first epoch; one of three layers is trained."""
        if self.recipe.net.hidden:
            return
        rows = self._rows()
        fits = len(self.settings.strengths) * self.settings.folds
        with self.progress.task("fitting the head", fits) as task:
            head = fit_linear_head(
                rows,
                self.task.outputs,
                self.settings.strengths,
                folds=self.settings.folds,
                seed=self.recipe.training.seed,
                progress=task.update,
            )
        self._log_head(head)
        set_linear_head(cast(nn.Linear, self.net.classifier[-1]), head)
        kept = {name: value.clone() for name, value in self.upper.state_dict().items()}
        write_atomically(self._head_file, lambda path: torch.save(kept, path))
        scores = head.scores(rows.values)
        wrong = (scores.argmax(1) != rows.labels).double().mean()
        loss, seconds = (
            float(F.cross_entropy(scores, rows.labels)),
            time.monotonic() - self._started,
        )
        loop.record_fit(loss, float(wrong), seconds)
        if not self._tunes:
            loop.end(ONLY_HEAD)

    @property
    def _tunes(self) -> bool:
        """Whether the layers above the frozen ones are trained, too."""
        wish = self.settings.fine_tune
        if wish == "auto" and len(self.labels) < TUNED_FROM:
            self.progress.log(
                f"the head alone: fewer than {TUNED_FROM:,} images seldom suffice to train the "
                f"layers above; {setting('transfer.fine_tune', 'always')} trains them"
            )
            return False
        return wish != "never"

    @property
    def _head_file(self) -> Path:
        return self.run_folder.checkpoints / HEAD

    def _log_head(self, head: LinearHead) -> None:
        if head.trials:
            best = min(head.trials, key=lambda trial: trial.loss)
            self.progress.log(
                f"head: penalty {head.strength:g} of {len(head.trials)}, cross-validated error "
                f"{best.error:.1f} %, loss {best.loss:.3f}"
            )

    def _rows(self) -> Rows:
        """Return the averages of the last map over all views."""
        labels = self.labels
        self.upper.eval()
        with self.progress.task("last maps", self.views * self.store.count) as task:
            found = averages(self._read_views(), self._last_maps, AT_ONCE, task.update)
        rows = Rows(
            found,
            labels.repeat(self.views),
            torch.arange(len(labels)).repeat(self.views),
        )
        return rows.take(torch.nonzero(~rows.values[:, 0].isnan())[:, 0])

    def _last_maps(self, maps: Tensor) -> Tensor:
        with torch.no_grad(), self.machine.autocast():
            return cast(Tensor, self.upper.features(self._input(maps)))

    def _input(self, maps: Tensor) -> Tensor:
        maps = maps.to(self.machine.device, torch.float32)
        return maps.contiguous(memory_format=torch.channels_last)

    def _batches(self) -> Batches:
        training = self.recipe.training
        assert training.micro_batch is not None
        return MapBatches(
            self._read_views(),
            self.labels,
            batch=training.batch,
            micro_batch=training.micro_batch,
            seed=training.seed,
            balanced=self.recipe.data.balance == "sampling",
        )

    def _prepare(self) -> Callable[[Tensor, Tensor], Tensor]:
        return lambda maps, _: self._input(maps)

    def _validate(self) -> Mapping[str, float]:
        """Measure loss and errors on the stored maps of the validation images."""
        maps, labels = self.val_store.read(VAL), torch.as_tensor(self.val.labels).long()
        good = ~maps[:, 0, 0, 0].isnan()
        self.upper.eval()
        with torch.no_grad(), self.machine.autocast():
            parts = torch.split(maps[good], AT_ONCE)
            scores = torch.cat([self.upper(self._input(part)).float().cpu() for part in parts])
        labels = labels[good]
        return {
            "loss": float(F.cross_entropy(scores, labels)),
            "top1_error": topk_error(scores, labels, 1),
            "top5_error": topk_error(scores, labels, 5),
        }

    def _foresee(self, loop: Loop) -> None:
        """Log nothing more: most of the time went into the maps."""

    def _keep_the_better(self, position: Position) -> None:
        """Keep the head alone if training more layers did not lower the loss on val."""
        first, last = position.history[0], position.history[-1]
        if self.settings.fine_tune != "auto" or not self._head_file.is_file() or first is last:
            return
        if last["val_loss"] <= first["val_loss"]:
            self.progress.log("training the layers above pays: lower loss on val than the head")
            return
        self.upper.load_state_dict(torch.load(self._head_file, weights_only=True))
        position.kept_epoch = 1
        self._save_model(first)
        self.progress.log("training the layers above does not pay: the head alone is kept")


def _view(number: int) -> str:
    return f"view-{number:02}"
