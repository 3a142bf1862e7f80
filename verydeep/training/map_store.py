"""Maps of frozen layers on disk: computed once for a few augmented views, read in every epoch.

N images, C channels, h, w sides of a map.
"""

from __future__ import annotations

from collections.abc import Callable, Generator, Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import Tensor

from verydeep.data.pipeline.micro_batch import MicroBatch
from verydeep.data.pipeline.sampling import micro_batches, plan_epoch, steps_of_epoch
from verydeep.system.files import write_atomically

MISSING = float("nan")
"""All numbers of the map of an image that could not be read."""


def _header(shape: tuple[int, ...]) -> dict[str, Any]:
    return {"descr": "<u2", "fortran_order": False, "shape": shape}


@dataclass(frozen=True)
class MapStore:
    """Maps of a list of images, bfloat16, one file a view.

    Attributes:
        folder: Folder of the files.
        count: Number of images, N.
        shape: C, h, w.
    """

    folder: Path
    count: int
    shape: tuple[int, int, int]

    @property
    def bytes_per_view(self) -> int:
        """Size of a file."""
        return 2 * self.count * int(np.prod(self.shape))

    def has(self, view: str) -> bool:
        """Return whether a view is stored."""
        return self._path(view).is_file()

    def write(self, view: str, rows: Iterable[tuple[Tensor, Tensor]]) -> None:
        """Store a view, whole or not at all.

        Args:
            view: Name of the view.
            rows: Indices of images, int64 (n,), and their maps, (n, C, h, w); images that never
                come are missing.

        Raises:
            DiskError: The disk is full.
        """
        self.folder.mkdir(parents=True, exist_ok=True)
        write_atomically(self._path(view), lambda path: self._fill(path, rows))

    def _fill(self, path: Path, rows: Iterable[tuple[Tensor, Tensor]]) -> None:
        # Written piece by piece instead of through a mapping, which dies of a full disk.
        size = self.bytes_per_view // max(1, self.count)
        left = set(range(self.count))
        with path.open("wb") as file:
            np.lib.format.write_array_header_1_0(file, _header((self.count, *self.shape)))
            begin = file.tell()
            for indices, values in rows:
                maps = values.to("cpu", torch.bfloat16).contiguous().view(torch.uint16).numpy()
                for index, row in zip(indices.tolist(), maps, strict=True):
                    assert index in left, f"{index} is no image, or comes twice"
                    file.seek(begin + index * size)
                    file.write(row.tobytes())
                    left.discard(index)
            missing = torch.full(self.shape, MISSING, dtype=torch.bfloat16).view(torch.uint16)
            for index in sorted(left):
                file.seek(begin + index * size)
                file.write(missing.numpy().tobytes())

    def read(self, view: str) -> Tensor:
        """Return the maps of a view, bfloat16 (N, C, h, w), mapped from the file."""
        stored = np.load(self._path(view), mmap_mode="c", allow_pickle=False)
        return torch.from_numpy(stored).view(torch.bfloat16)

    def missing(self, view: str) -> list[int]:
        """Return the indices of images without a map in a view."""
        first: Tensor = self.read(view)[:, 0, 0, 0]
        return torch.nonzero(first.isnan())[:, 0].tolist()

    def remove(self, view: str) -> None:
        """Remove a view."""
        self._path(view).unlink(missing_ok=True)

    def _path(self, view: str) -> Path:
        return self.folder / f"{view}.npy"


def remove_maps(folder: Path) -> None:
    """Remove the files of a folder of maps, and the folder."""
    for path in folder.glob("*.npy*"):
        path.unlink(missing_ok=True)
    if folder.is_dir() and not any(folder.iterdir()):
        folder.rmdir()


class MapBatches:
    """Stored maps as a training set: epoch e reads view e modulo the number of views.

    Args:
        views: Maps of each view, (N, C, h, w).
        labels: Class indices, int64 (N,).
        batch: Images per update, over all processes.
        micro_batch: Images per forward pass, over all processes.
        seed: Seed of the order.
        balanced: Draw all classes equally often.
        rank: Rank of this process, which takes its slice of every micro-batch.
        world: Number of processes.
    """

    def __init__(
        self,
        views: list[Tensor],
        labels: Tensor,
        *,
        batch: int,
        micro_batch: int,
        seed: int,
        balanced: bool = False,
        rank: int = 0,
        world: int = 1,
    ) -> None:
        self.rank, self.world = rank, world
        self.views, self.labels = views, labels
        self.batch, self.micro_batch, self.seed = batch, micro_batch, seed
        self.balance = labels.numpy() if balanced else None

    @property
    def pictures(self) -> int:
        """Images per epoch."""
        return len(self.labels)

    @property
    def steps(self) -> int:
        """Updates per epoch."""
        return steps_of_epoch(len(self.labels), self.batch)

    def epoch(self, epoch: int, start: int = 0) -> Generator[MicroBatch, None, None]:
        """Yield the micro-batches of an epoch, from the update ``start`` on."""
        maps = self.views[epoch % len(self.views)]
        plan = plan_epoch(len(self.labels), self.batch, self.seed, epoch, self.balance)
        for step, draws in list(enumerate(plan))[start:]:
            indices = draws % len(self.labels)
            parts = list(micro_batches(indices, self.micro_batch, self.rank, self.world))
            for number, part in enumerate(parts, start=1):
                last = number == len(parts)
                yield self._part(maps, torch.from_numpy(part), step, len(draws), last=last)

    def _part(
        self, maps: Tensor, indices: Tensor, step: int, images: int, *, last: bool
    ) -> MicroBatch:
        values = maps[indices]
        good = ~values[:, 0, 0, 0].isnan()
        return MicroBatch(
            pictures=values[good],
            labels=self.labels[indices][good],
            shifts=torch.zeros(int(good.sum()), 3),
            step=step,
            images=images,
            last=last,
        )


def averages(
    views: Sequence[Tensor],
    layers: Callable[[Tensor], Tensor],
    block: int,
    progress: Callable[[int], None] = lambda done: None,
    images: Sequence[int] | None = None,
) -> Tensor:
    """Return the averages over positions of maps after some layers, float32 (V, n, D).

    Args:
        views: Maps of V views of N images, (N, C, h, w) each.
        layers: Computes more layers, of any number of maps.
        block: Maps at once.
        progress: Called with the number of maps done.
        images: Indices of the n images to average; None takes all.
    """
    chosen = torch.arange(len(views[0])) if images is None else torch.tensor(images).long()
    found: list[Tensor] = []
    for maps in views:
        for part in torch.split(chosen, block):
            found.append(layers(maps[part]).float().mean((2, 3)).cpu())
            progress(sum(map(len, found)))
    return torch.cat(found).view(len(views), len(chosen), found[0].shape[1])
