"""Training of the upper half of a net on stored maps of its lower half.

N images, C channels, h, w sides of a map, D channels of the last map.
"""

from __future__ import annotations

import time
from collections import deque
from collections.abc import Callable, Iterator, Mapping
from pathlib import Path
from typing import cast

import torch
from torch import Tensor, nn

from verydeep.data.dataset import relative_name
from verydeep.data.pipeline.batches import Batches
from verydeep.data.samples import Samples
from verydeep.errors import DataError, plural
from verydeep.nets.halves import UpperHalf
from verydeep.run.training.frozen_maps import MapMaker
from verydeep.run.training.machine_settings import all_at_once
from verydeep.run.training.missing_maps import MissingMaps
from verydeep.run.training.tasks.classifier import ClassifierTask
from verydeep.run.training.trainer import Trainer
from verydeep.system.durations import in_words
from verydeep.system.files import write_atomically
from verydeep.system.option_names import setting
from verydeep.system.progress import ProgressTask
from verydeep.training.checkpoint import Position, has_checkpoint
from verydeep.training.estimate import time_steps
from verydeep.training.head_loss import Rows
from verydeep.training.linear_head import LinearHead, fit_linear_head, set_linear_head
from verydeep.training.loop import Loop
from verydeep.training.map_store import MapBatches, MapStore, averages
from verydeep.training.unreadable import UnreadableImages

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
        self.loss = cast(ClassifierTask, self.task).head_loss(self.scanned.samples)
        if has_checkpoint(self.run_folder.checkpoints):
            # The source of the lower half may be gone; the kept model has it too.
            kept = self.task.load(self.run_folder.model).net
            self.net.features.load_state_dict(kept.features.state_dict())
        else:
            self._share_weights()  # every process computes maps
        self.upper = UpperHalf(self.net, self.settings.frozen)
        self.maker = MapMaker(
            self.net.eval(), self.settings.frozen, self.preprocessing, self.machine
        )
        folder, shape = self.run_folder.maps, self.maker.shape()
        self.store = MapStore(folder, len(self.scanned.samples), shape)
        self.val_store = MapStore(folder, len(self.val), shape)
        self.missing = MissingMaps(
            self.store,
            self.scanned.samples.paths,
            UnreadableImages(self.group, self.recipe.data.unreadable_limit, self.progress),
        )
        self.views = self._affordable_views()

    @property
    def val(self) -> Samples:
        """Images to validate on."""
        return self.task.samples(VAL)

    @property
    def labels(self) -> Tensor:
        """Classes of the training images, or indices of their label sets, int64 (N,)."""
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
        """Compute the views that are not stored yet; all processes share the images."""
        wanted = [view for view in range(self.views) if not self.store.has(_view(view))]
        wanted, has_val = self.group.broadcast((wanted, self.val_store.has(VAL)))
        if not has_checkpoint(self.run_folder.checkpoints):  # which has those of its views
            for view in range(self.views):
                if view not in wanted:
                    self.missing.note(_view(view))
        if wanted:
            self._foresee_maps(len(wanted))
        at_once = self.maker.at_once * self.group.size
        # A view holds every image once; drawing them by class is left to MapBatches.
        crops = self.crops(batch=at_once, micro_batch=at_once, group=self.group, each_once=True)
        axes = torch.from_numpy(self.scanned.colours.shift_axes()).to(self.machine.device)
        for view in wanted:
            title = f"maps, view {view + 1} of {self.views}"
            with self.progress.task(title, self._share_of(self.store)) as task:
                self._store(self.store, _view(view), self.maker.of_view(crops, view, axes, task))
            self.missing.note(_view(view))
        if not has_val:
            with self.progress.task("maps of val", self._share_of(self.val_store)) as task:
                self._store(self.val_store, VAL, self._rows_of_val(task))
        self.group.wait_for_all()  # for the files to be complete
        self._report_unreadable(
            tuple(
                relative_name(self.val[index].path, self.task.dataset.root)
                for index in self.val_store.missing(VAL)
            )
        )

    def _record_found(self, position: Position) -> None:
        """Record the training images without a map."""
        new = [fault for fault in self.missing.faults if fault not in position.unreadable]
        position.unreadable += new

    def _share_of(self, store: MapStore) -> int:
        """Return about how many images of a store a process computes."""
        return -(-store.count // self.group.size)

    def _rows_of_val(self, task: ProgressTask) -> Iterator[tuple[Tensor, Tensor]]:
        """Yield indices and maps of this process's share of the validation images."""
        mine = self.group.share(len(self.val), self.maker.at_once)
        paths, scale = self.val.take(mine).paths, self.recipe.test_scales[0]
        for places, maps in self.maker.of_centers(paths, scale, self.recipe.data.workers, task):
            yield torch.tensor(mine)[places], maps

    def _store(self, store: MapStore, view: str, rows: Iterator[tuple[Tensor, Tensor]]) -> None:
        """Store the maps that all processes compute; the first one writes."""
        all_rows = self.group.rows_for_first((index, maps.cpu()) for index, maps in rows)
        if self.group.first:
            store.write(view, all_rows)
        else:
            deque(all_rows, maxlen=0)

    def _foresee_maps(self, views: int) -> None:
        times = time_steps(self.net, self.net.input_size, self.maker.at_once, self.machine)
        images = views * self._share_of(self.store) + self._share_of(self.val_store)
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
        head = self.group.broadcast(self._fit(rows) if self.group.first else None)
        assert head is not None
        self._log_head(head)
        set_linear_head(cast(nn.Linear, self.net.classifier[-1]), head)
        if self.group.first:
            kept = {name: value.clone() for name, value in self.upper.state_dict().items()}
            write_atomically(self._head_file, lambda path: torch.save(kept, path))
        scores = head.scores(rows.values)
        wrong = self.loss.wrong(scores, rows.labels).double().mean()
        loss = float(self.loss.losses(scores, rows.labels).mean())
        ends = None if self._tunes else ONLY_HEAD
        loop.record_fit(loss, float(wrong), time.monotonic() - self._started, ends=ends)

    def _fit(self, rows: Rows) -> LinearHead:
        fits = len(self.settings.strengths) * self.settings.folds
        with self.progress.task("fitting the head", fits) as task:
            return fit_linear_head(
                rows,
                self.loss,
                self.settings.strengths,
                folds=self.settings.folds,
                seed=self.recipe.training.seed,
                progress=task.update,
            )

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
                f"head: penalty {head.strength:g} of {len(head.trials)}, cross-validated "
                f"{self.loss.error} {best.error:.1f} %, loss {best.loss:.3f}"
            )
        elif len(self.settings.strengths) > 1:
            self.progress.log(
                f"head: penalty {head.strength:g}, the middle one of transfer.strengths: without "
                "two images of any class there is no cross-validation"
            )

    def _rows(self) -> Rows:
        """Return the averages of the last map over all views, of which each makes a share."""
        labels, mine = self.labels, self.group.share(self.store.count, AT_ONCE)
        self.upper.eval()
        with self.progress.task("last maps", self.views * len(mine)) as task:
            views = self._read_views()
            own = averages(views, self._last_maps, AT_ONCE, task.update, mine)
        found = self.group.join_rows(own.numpy(), mine, self.store.count, axis=1)
        rows = Rows(
            torch.from_numpy(found).flatten(0, 1),
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
        return MapBatches(
            self._read_views(),
            self.labels,
            batch=training.batch,
            micro_batch=all_at_once(self.recipe, self.group),
            seed=training.seed,
            balanced=self.recipe.data.balance == "sampling",
            rank=self.group.rank,
            world=self.group.size,
        )

    def _prepare(self) -> Callable[[Tensor, Tensor], Tensor]:
        return lambda maps, _: self._input(maps)

    def _validate(self) -> Mapping[str, float]:
        """Measure loss and more on the stored maps of the validation images."""
        maps, labels = self.val_store.read(VAL), torch.as_tensor(self.val.labels).long()
        mine = torch.tensor(self.group.share(len(labels), AT_ONCE)).long()
        mine = mine[~maps[mine, 0, 0, 0].isnan()]
        self.upper.eval()
        with torch.no_grad(), self.machine.autocast():
            parts = [self.upper(self._input(maps[part])) for part in torch.split(mine, AT_ONCE)]
        figures = self.loss.figures(torch.cat(parts).float().cpu(), labels[mine], self.group)
        if figures is None:
            raise DataError("none of the images of val can be read")
        return figures

    def _foresee(self, loop: Loop) -> None:
        """Log nothing more: most of the time went into the maps."""

    def _keep_the_better(self, position: Position) -> None:
        """Keep the head alone unless the epoch that was kept has a lower loss on val."""
        history, settings = position.history, self.settings
        if settings.fine_tune != "auto" or not self._head_file.is_file() or len(history) == 1:
            return
        best = self.recipe.training.keep == "best"
        first, kept = history[0], history[position.best_epoch - 1 if best else -1]
        if kept is not first and kept["val_loss"] <= first["val_loss"]:
            self.progress.log("training the layers above pays: lower loss on val than the head")
            return
        self.upper.load_state_dict(torch.load(self._head_file, weights_only=True))
        position.kept_epoch = 1
        if self.group.first:
            self._save_model(first)
        self.group.wait_for_all()  # nobody tests before the file is complete
        self.progress.log("training the layers above does not pay: the head alone is kept")


def _view(number: int) -> str:
    return f"view-{number:02}"
