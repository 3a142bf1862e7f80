"""Small nets, noise and training loops for the tests of the loop.

N crops, C channels, K classes.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import numpy as np
import torch
from progresses import Listening
from tiny import recipe
from torch import Tensor, nn

from verydeep.data.pipeline.augment import Augmentation
from verydeep.data.pipeline.batches import TrainingBatches
from verydeep.data.pipeline.image_cache import PictureStore
from verydeep.data.samples import Sample
from verydeep.nets.vgg import VGG, vgg
from verydeep.system.device import choose_machine
from verydeep.training.loop import Loop
from verydeep.training.objective import Classification
from verydeep.training.schedule import make_schedule

K = 3


COUNT = 20


class Heard(Listening):
    """Keeps the lines that are logged, and can act at every update."""

    def __init__(self, act: Callable[[str, float], None] = lambda title, done: None) -> None:
        super().__init__()
        self.act = act

    @contextmanager
    def task(self, title: str, total: int) -> Iterator[Any]:
        yield Updates(self, title)


class Updates:
    def __init__(self, heard: Heard, title: str) -> None:
        self.heard, self.title = heard, title

    def update(self, done: float, note: str = "") -> None:
        self.heard.act(self.title, done)


class Validation:
    """Validation that returns given losses in turn and counts its calls."""

    def __init__(self, *losses: float) -> None:
        self.losses = losses
        self.asked = 0

    def __call__(self) -> dict[str, float]:
        loss = self.losses[min(self.asked, len(self.losses) - 1)]
        self.asked += 1
        return {"loss": loss, "top1_error": 50.0, "top5_error": 0.0}


def store(count: int = COUNT) -> PictureStore:
    """Return noise whose brightness increases with the class index."""
    generator = np.random.default_rng(0)
    noise = generator.integers(0, 96, (count, 40, 40, 3))
    brightness = 75 * (np.arange(count) % K)
    pictures = (noise + brightness[:, None, None, None]).astype(np.uint8)
    return PictureStore(list(pictures), torch.device("cpu"))


def batches(batch: int = 10, micro_batch: int = 10, count: int = COUNT) -> TrainingBatches:
    return TrainingBatches(
        [Sample(Path(f"{index}.png"), index % K) for index in range(count)],
        Augmentation(size=32, scale=(32, 40)),
        batch=batch,
        micro_batch=micro_batch,
        seed=0,
        store=store(count),
    )


def prepare(pictures: Tensor, factors: Tensor) -> Tensor:
    return (pictures.float() - 127) / 64 + factors[:, :, None, None]


def make_net(dropout: float = 0.0, norm: str | None = None) -> VGG:
    torch.manual_seed(0)
    net = vgg(
        "A", K, input_size=32, width=0.125, hidden=64, dropout=dropout, batch_norm=norm == "batch"
    )
    # Without this the scores hardly differ and the gradients are tiny.
    nn.init.normal_(net.classifier.fc8.weight, 0, 0.3)
    return net


def make_loop(folder: Path, *settings: str, **changes: Any) -> Loop:
    tiny = recipe(*settings)
    net = changes.pop("net", None) or make_net()
    training = tiny.training
    parts: dict[str, Any] = {
        "net": net,
        "optimizer": torch.optim.SGD(
            net.parameters(),
            lr=training.learning_rate,
            momentum=training.momentum,
            weight_decay=training.weight_decay,
        ),
        "schedule": make_schedule(tiny),
        "batches": batches(),
        "prepare": prepare,
        "validate": Validation(1.0, 0.9, 0.8, 0.7, 0.6),
        "watch": "loss",
        "machine": choose_machine("cpu", "fp32"),
        "objective": Classification(K),
        "epochs": training.epochs,
        "folder": folder,
        "on_keep": lambda row: None,
        "checkpoint_minutes": 1e9,
    }
    return Loop(**parts | changes)


def weights(net: nn.Module) -> Tensor:
    return torch.cat([parameter.detach().flatten().clone() for parameter in net.parameters()])


def relative(ours: Tensor, theirs: Tensor) -> float:
    return float((ours - theirs).norm() / theirs.norm())
