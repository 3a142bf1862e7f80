"""Training loop: updates against explicit SGD, stopping, checkpoints, messages.

N crops, C channels, K classes.
"""

from __future__ import annotations

import json
import math
import signal
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from tiny import recipe, strict_json
from torch import Tensor, nn

from verydeep.data.pipeline.augment import Augmentation
from verydeep.data.pipeline.batches import TrainingBatches
from verydeep.data.pipeline.image_cache import PictureStore
from verydeep.data.samples import Sample
from verydeep.errors import Interrupted, TrainingStopped
from verydeep.evaluation.metrics import TITLES
from verydeep.nets.vgg import VGG, vgg
from verydeep.system.device import choose_machine
from verydeep.system.progress import Progress
from verydeep.training.checkpoint import load_checkpoint
from verydeep.training.loop import Loop, epoch_line
from verydeep.training.objective import Classification
from verydeep.training.remedies import Remedies
from verydeep.training.schedule import CurveSchedule, cosine, make_schedule

K = 3
COUNT = 20


class Heard(Progress):
    """Progress reporter that records messages and can run an action."""

    def __init__(self, act: Callable[[str, float], None] = lambda title, done: None) -> None:
        self.said: list[str] = []
        self.act = act

    def log(self, message: str) -> None:
        self.said.append(message)

    @contextmanager
    def task(self, title: str, total: int) -> Iterator[Any]:
        yield Listener(self, title)


class Listener:
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


# ---- updates ----


def sgd_by_hand(
    net: VGG, epochs: int, rate: Callable[[float], float], smoothing: float = 0.0
) -> list[float]:
    """Train with whole batches: v ← μ·v + ∇L + λ·w, w ← w − η·v; return the mean losses."""
    momentum, decay = 0.9, 5e-4
    velocity = [torch.zeros_like(w) for w in net.parameters()]
    losses = []
    for epoch in range(epochs):
        of_epoch = []
        steps = list(batches().epoch(epoch))
        for number, step in enumerate(steps):
            scores = net(prepare(step.pictures, step.shifts))
            logs = scores - scores.logsumexp(1, keepdim=True)
            true = logs[torch.arange(len(step.labels)), step.labels]
            loss = -((1 - smoothing) * true + smoothing * logs.mean(1)).mean()
            of_epoch.append(loss.item())
            gradients = torch.autograd.grad(loss, list(net.parameters()))
            with torch.no_grad():
                for w, g, v in zip(net.parameters(), gradients, velocity, strict=True):
                    v.mul_(momentum).add_(g + decay * w)
                    w.sub_(rate(epoch + number / len(steps)) * v)
        losses.append(float(np.mean(of_epoch)))
    return losses


@pytest.mark.parametrize("smoothing", [0.0, 0.1])
def test_updates_are_sgd_written_out(smoothing: float, tmp_path: Path) -> None:
    def rate(done: float) -> float:
        return 0.01 * (1 + math.cos(math.pi * done / 3)) / 2

    loop = make_loop(
        tmp_path,
        "training.schedule=cosine",
        "training.learning_rate=0.01",
        "training.epochs=3",
        objective=Classification(K, smoothing),
    )
    start, other = weights(loop.net), make_net()
    position = loop.run()
    losses = sgd_by_hand(other.train(), 3, rate, smoothing)
    assert relative(weights(loop.net) - start, weights(other) - start) < 1e-4
    assert relative(weights(loop.net), weights(other)) < 1e-6
    assert [row["train_loss"] for row in position.history] == pytest.approx(losses, rel=1e-5)


@pytest.mark.parametrize("micro_batch", [1, 3, 4, 9])
def test_accumulated_updates_are_those_of_whole_batches(micro_batch: int, tmp_path: Path) -> None:
    whole = make_loop(tmp_path / "whole")
    parts = make_loop(tmp_path / "parts", batches=batches(10, micro_batch))
    start = weights(whole.net)
    whole.run()
    parts.run()
    assert float((weights(whole.net) - start).norm()) > 0.01
    assert relative(weights(parts.net), weights(whole.net)) < 1e-6
    for ours, theirs in zip(parts.position.history, whole.position.history, strict=True):
        assert ours["train_loss"] == pytest.approx(theirs["train_loss"], rel=1e-6)
        assert ours["train_top1_error"] == theirs["train_top1_error"]


def test_one_accumulated_gradient_is_the_whole_one_in_float64(tmp_path: Path) -> None:
    """Scores go through float32 on their way to the loss; the gradient of the sum is exact."""
    found = []
    for micro_batch in (3, 10):
        net = make_net().double()
        loop = make_loop(
            tmp_path / str(micro_batch),
            "training.weight_decay=0",
            net=net,
            batches=batches(10, micro_batch, 10),
            prepare=lambda pictures, factors: prepare(pictures, factors).double(),
            epochs=1,
        )
        before = weights(net)
        loop.run()
        found.append(weights(net) - before)
    assert relative(found[0], found[1]) < 1e-6


def test_an_uneven_epoch_takes_every_picture_once(tmp_path: Path) -> None:
    seen: list[Tensor] = []

    def watch(pictures: Tensor, factors: Tensor) -> Tensor:
        seen.append(pictures)
        return prepare(pictures, factors)

    loop = make_loop(tmp_path, batches=batches(8, 3, 17), prepare=watch, epochs=1)
    (row,) = loop.run().history
    assert sum(len(pictures) for pictures in seen) == 17
    assert max(len(pictures) for pictures in seen) <= 3
    assert loop.batches.steps == 3
    assert row["train_top1_error"] * 17 / 100 == pytest.approx(
        round(row["train_top1_error"] * 0.17)
    )


def test_an_update_in_bf16_is_near_that_in_fp32(tmp_path: Path) -> None:
    ends = []
    for precision in ("fp32", "bf16"):
        net = make_net()
        loop = make_loop(
            tmp_path / precision,
            net=net,
            batches=batches(20, 10),
            machine=choose_machine("cpu", precision),
            epochs=1,
        )
        start = weights(net)
        loop.run()
        assert all(parameter.dtype == torch.float32 for parameter in net.parameters())
        ends.append(weights(net) - start)
    assert 1e-5 < relative(ends[1], ends[0]) < 0.1


def test_dropout_and_norm_are_on_while_training_alone(tmp_path: Path) -> None:
    modes = []
    loop = make_loop(tmp_path, net=make_net(0.5, "batch"))
    loop.net.register_forward_hook(lambda net, x, y: modes.append(net.training))
    inner = loop.validate

    def validate() -> Any:
        loop.net.eval()
        return inner()

    loop.validate = validate
    loop.run()
    assert modes == [True] * 6


# ---- epochs ----


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
    told = [line for line in heard.said if line.startswith("epoch")]
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


# ---- when it goes wrong ----


class Bursts:
    """Schedule with a rate of 0.01 and a destructive rate in one update."""

    drops = 0

    def __init__(self, at: float, rate: float = 1e38) -> None:
        self.at, self.burst, self.highest = at, rate, 0.01

    def rate(self, epochs_done: float) -> float:
        return self.burst if epochs_done == self.at else 0.01

    def warm_after(self) -> float:
        return 0.0

    def go_on(self) -> None:
        pass

    def end_epoch(self, value: float) -> str | None:
        return None

    def state(self) -> dict[str, Any]:
        return {}

    def restore(self, state: Any) -> None:
        pass


def test_a_loss_that_is_not_finite_stops_with_advice(tmp_path: Path) -> None:
    calls = []

    def poison(pictures: Tensor, factors: Tensor) -> Tensor:
        calls.append(len(pictures))
        x = prepare(pictures, factors)
        return x * math.nan if len(calls) == 4 else x

    loop = make_loop(tmp_path, "training.learning_rate=0.03", prepare=poison)
    with pytest.raises(TrainingStopped) as error:
        loop.run()
    message = str(error.value)
    for part in (
        "nan",
        "epoch 2, update 2",
        "learning rate of 0.03",
        f"checkpoint is kept in {tmp_path / 'checkpoints'}",
        "training__learning_rate=0.003",
        "init_from=",
        "net__norm='batch'",
        "precision='fp32'",
    ):
        assert part in message
    assert error.value.exit_code == 1
    other = make_loop(tmp_path)
    assert other.resume()
    assert other.position.epoch == 1
    assert torch.isfinite(weights(other.net)).all()
    assert other.run().epoch == 3  # the data were at fault, so it can go on


def test_without_a_checkpoint_the_message_says_so(tmp_path: Path) -> None:
    loop = make_loop(
        tmp_path, prepare=lambda pictures, factors: prepare(pictures, factors) * math.inf
    )
    with pytest.raises(TrainingStopped, match="There is no checkpoint yet"):
        loop.run()
    assert not (tmp_path / "checkpoints").exists()


def kept_answers(folder: Path) -> Tensor:
    """Return the outputs of a checkpoint's net."""
    net = make_net()
    load_checkpoint(folder / "checkpoints", net, torch.optim.SGD(net.parameters(), momentum=0.9))
    return net.eval()(prepare(torch.full((1, 3, 32, 32), 200), torch.zeros(1, 3)))


LOST = pytest.mark.xfail(
    strict=True, reason="weights are looked at, not answers: these are finite and give NaN"
)


@pytest.mark.parametrize("rate", [math.inf, 1e30, 1e12])
def test_an_epoch_that_ends_in_a_burst_does_not_replace_the_good_checkpoint(
    rate: float, tmp_path: Path
) -> None:
    net = make_net()

    def validate() -> dict[str, float]:
        x = prepare(torch.randint(0, 256, (4, 3, 32, 32)), torch.zeros(4, 3))
        with torch.no_grad():
            loss = nn.functional.cross_entropy(net.eval()(x), torch.tensor([0, 1, 2, 0]))
        return {"loss": loss.item(), "top1_error": 50.0, "top5_error": 0.0}

    loop = make_loop(tmp_path, net=net, schedule=Bursts(at=1.5, rate=rate), validate=validate)
    with pytest.raises(TrainingStopped, match="kept"):
        loop.run()
    assert kept_answers(tmp_path).isfinite().all()


@pytest.mark.parametrize("rate", [math.inf, 1e30, pytest.param(1e12, marks=LOST)])
def test_weights_that_burst_within_an_epoch_are_not_kept(rate: float, tmp_path: Path) -> None:
    loop = make_loop(tmp_path, schedule=Bursts(at=1.0, rate=rate), checkpoint_minutes=1e-9)
    with pytest.raises(TrainingStopped, match="kept"):
        loop.run()
    assert kept_answers(tmp_path).isfinite().all()


def test_a_burst_names_the_update_that_it_happened_in(tmp_path: Path) -> None:
    loop = make_loop(tmp_path, schedule=Bursts(at=1.5, rate=math.inf))
    with pytest.raises(TrainingStopped, match="epoch 2, update 2,"):
        loop.run()


def test_a_loss_stuck_at_that_of_a_guess_gets_a_hint_after_three_epochs(tmp_path: Path) -> None:
    torch.manual_seed(0)
    fresh = vgg("A", K, input_size=32, width=0.125, hidden=64)  # begins at ln K
    heard = Heard()
    make_loop(
        tmp_path,
        "training.learning_rate=1e-12",
        "training.epochs=5",
        net=fresh,
        progress=heard,
        validate=Validation(math.log(K)),
    ).run()
    hints = [place for place, line in enumerate(heard.said) if line.startswith("hint")]
    assert hints == [3]
    for part in ("shallower", "init_from=", "net__norm='batch'"):
        assert part in heard.said[3]


def test_a_loss_far_above_that_of_a_guess_is_not_called_one(tmp_path: Path) -> None:
    heard = Heard()
    net = make_net()
    nn.init.normal_(net.classifier.fc8.weight, 0, 1e4)
    loop = make_loop(tmp_path, "training.learning_rate=1e-12", net=net, progress=heard)
    position = loop.run()
    assert min(row["train_loss"] for row in position.history) > 3 * math.log(K)
    assert not any("hint" in line for line in heard.said)


@pytest.mark.parametrize("schedule", ["one-cycle", "cosine"])
def test_no_hint_is_given_while_the_rate_rises_nor_twice(schedule: str, tmp_path: Path) -> None:
    torch.manual_seed(0)
    fresh = vgg("A", K, input_size=32, width=0.125, hidden=64)
    heard = Heard()
    make_loop(
        tmp_path,
        *("training.learning_rate=1e-12", "training.epochs=10", f"training.schedule={schedule}"),
        *("training.warmup=0.35",),
        net=fresh,
        progress=heard,
        validate=Validation(math.log(K)),
        remedies=Remedies(batch_norm=False),
    ).run()
    (place,) = [place for place, line in enumerate(heard.said) if line.startswith("hint")]
    assert heard.said[place - 1].startswith(f"epoch {7 if schedule == 'one-cycle' else 3}:")
    assert "norm" not in heard.said[place]


def test_no_hint_is_given_where_the_validation_shows_that_something_is_learned(
    tmp_path: Path,
) -> None:
    """With strong dropout, the training loss alone may stagnate."""
    torch.manual_seed(0)
    fresh = vgg("A", K, input_size=32, width=0.125, hidden=64)
    heard = Heard()
    settings = ("training.learning_rate=1e-12", "training.epochs=5")
    validation = Validation(math.log(K), 0.8)
    make_loop(tmp_path, *settings, net=fresh, progress=heard, validate=validation).run()
    assert not any("hint" in line for line in heard.said)


@pytest.mark.parametrize("best", [False, True])
@pytest.mark.parametrize("error", [*TITLES])
@pytest.mark.parametrize("value", [1e-5, 0.12345, 99.9999, 12345.678, 1e30])
def test_an_epoch_takes_one_line_of_eighty_columns(value: float, error: str, best: bool) -> None:
    row = {"epoch": 1000, "train_loss": value, "val_loss": value, "learning_rate": 1.41e-08}
    line = epoch_line(row | {f"val_{error}": 100.0}, error, best=best)
    assert len(line) <= 80
    assert ("(best)" in line) == best


def test_a_loss_that_falls_gets_no_hint(tmp_path: Path) -> None:
    heard = Heard()
    loop = make_loop(
        tmp_path,
        "training.learning_rate=0.01",
        "training.epochs=4",
        net=make_net(norm="batch"),
        progress=heard,
    )
    position = loop.run()
    assert position.history[2]["train_loss"] < 0.9 * math.log(K)
    assert not any("hint" in line for line in heard.said)


# ---- checkpoints ----


def test_a_checkpoint_is_written_within_an_epoch_when_it_is_time(tmp_path: Path) -> None:
    found = []

    def look(title: str, done: float) -> None:
        file = tmp_path / "checkpoints" / "last.pt"
        if title.startswith("epoch") and file.exists():
            position = torch.load(file, weights_only=True)["position"]
            found.append((position["epoch"], position["step"], done))

    loop = make_loop(
        tmp_path, batches=batches(4, 4), epochs=1, checkpoint_minutes=1e-9, progress=Heard(look)
    )
    loop.run()
    # Before the update `done` is reported, the one before it is safe.
    assert found == [(0, step - 1, step) for step in (2, 3, 4, 5)]


def test_otherwise_an_epoch_ends_with_one(tmp_path: Path) -> None:
    existed = []

    def look(title: str, done: float) -> None:
        existed.append((tmp_path / "checkpoints" / "last.pt").exists())

    make_loop(tmp_path, epochs=2, progress=Heard(look)).run()
    assert existed == [False] * 4 + [True] * 4


class Stop(Exception):
    """Simulated power failure."""


@pytest.mark.parametrize("cut", [1, 2, 3, 5, 6])
@pytest.mark.parametrize("schedule", ["plateau", "one-cycle"])
def test_a_loop_goes_on_bit_for_bit(cut: int, schedule: str, tmp_path: Path) -> None:
    settings = (f"training.schedule={schedule}", "plateau.patience=1")
    losses = (1.0, 2.0, 0.5)
    whole = make_loop(
        tmp_path / "whole", *settings, net=make_net(0.5, "batch"), validate=Validation(*losses)
    )
    torch.manual_seed(1)
    whole.run()

    updates = iter(range(1, 100))

    def stop(title: str, done: float) -> None:
        if title.startswith("epoch") and next(updates) == cut:
            raise Stop

    loop = make_loop(
        tmp_path / "cut",
        *settings,
        net=make_net(0.5, "batch"),
        validate=Validation(*losses),
        checkpoint_minutes=1e-9,
        progress=Heard(stop),
    )
    torch.manual_seed(1)
    with pytest.raises(Stop):
        loop.run()
    torch.manual_seed(2)
    resumed = make_loop(tmp_path / "cut", *settings, net=make_net(0.5, "batch"))
    there = resumed.resume()
    assert there == (cut > 1)
    if not there:
        torch.manual_seed(1)
    resumed.validate = Validation(*losses[resumed.position.epoch :])
    resumed.run()
    for key, tensor in whole.net.state_dict().items():
        assert torch.equal(resumed.net.state_dict()[key], tensor), key
    for ours, theirs in zip(resumed.position.history, whole.position.history, strict=True):
        for row in (ours, theirs):
            del row["seconds"], row["images_per_second"]
        assert ours == theirs
    log = (tmp_path / "cut" / "log.jsonl").read_text().splitlines()
    assert [json.loads(line)["train_loss"] for line in log] == [
        row["train_loss"] for row in whole.position.history
    ]


# ---- signals ----


def signalling(number: signal.Signals, *at: int) -> Heard:
    """Send a signal to this process in the given updates, counted from 1."""
    updates = iter(range(1, 100))

    def send(title: str, done: float) -> None:
        if title.startswith("epoch") and next(updates) in at:
            signal.raise_signal(number)

    return Heard(send)


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM, signal.SIGHUP])
@pytest.mark.parametrize("at", [1, 3, 4])
def test_a_signal_ends_the_update_and_writes_a_checkpoint(
    number: signal.Signals, at: int, tmp_path: Path
) -> None:
    before = signal.getsignal(number)
    loop = make_loop(tmp_path, progress=signalling(number, at))
    with pytest.raises(Interrupted) as error:
        loop.run()
    assert error.value.exit_code == 130
    for part in (
        number.name,
        str(tmp_path / "checkpoints"),
        "resume=True",
        f"epoch {1 + (at - 1) // 2}",
    ):
        assert part in str(error.value)
    assert signal.getsignal(number) == before
    other = make_loop(tmp_path)
    assert other.resume()
    assert 2 * other.position.epoch + other.position.step == at
    assert torch.equal(weights(other.net), weights(loop.net))
    assert other.run().epoch == 3


def test_a_second_signal_ends_at_once(tmp_path: Path) -> None:
    def twice(title: str, done: float) -> None:
        if title.startswith("epoch"):
            signal.raise_signal(signal.SIGINT)
            signal.raise_signal(signal.SIGINT)

    before = signal.getsignal(signal.SIGINT)
    loop = make_loop(tmp_path, progress=Heard(twice))
    with pytest.raises(KeyboardInterrupt):
        loop.run()
    assert signal.getsignal(signal.SIGINT) == before


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM, signal.SIGHUP])
def test_a_signal_is_answered_at_once(number: signal.Signals, tmp_path: Path) -> None:
    """The message appears during the current update."""
    heard = Heard()
    loop = make_loop(tmp_path, progress=heard)
    prepare, at_once = loop.prepare, []

    def signal_amid(pictures: Tensor, factors: Tensor) -> Tensor:
        if not at_once:
            signal.raise_signal(number)
            at_once.append(list(heard.said))
        return prepare(pictures, factors)

    loop.prepare = signal_amid
    with pytest.raises(Interrupted):
        loop.run()
    assert number.name in at_once[0][-1]
    assert loop.position.step == 1


def test_a_terminal_that_is_closed_twice_still_gets_its_checkpoint(tmp_path: Path) -> None:
    def twice(title: str, done: float) -> None:
        if title.startswith("epoch"):
            signal.raise_signal(signal.SIGHUP)
            signal.raise_signal(signal.SIGHUP)

    with pytest.raises(Interrupted, match="SIGHUP"):
        make_loop(tmp_path, progress=Heard(twice)).run()


def test_under_nohup_a_closed_terminal_is_nothing(tmp_path: Path) -> None:
    def close(title: str, done: float) -> None:
        signal.raise_signal(signal.SIGHUP)

    before = signal.signal(signal.SIGHUP, signal.SIG_IGN)
    try:
        assert make_loop(tmp_path, epochs=1, progress=Heard(close)).run().epoch == 1
    finally:
        signal.signal(signal.SIGHUP, before)


def test_a_signal_after_the_last_update_keeps_the_end(tmp_path: Path) -> None:
    def validate() -> dict[str, float]:
        signal.raise_signal(signal.SIGTERM)
        return {"loss": 1.0, "top1_error": 50.0, "top5_error": 0.0}

    loop = make_loop(tmp_path, epochs=1, validate=validate)
    with pytest.raises(Interrupted, match="resume=True"):
        loop.run()
    other = make_loop(tmp_path, epochs=1)
    assert other.resume()
    assert other.position.stopped_because == "the ceiling of 1 epochs"
    assert other.run().epoch == 1


def test_a_loop_in_another_thread_leaves_signals_alone(tmp_path: Path) -> None:
    loop = make_loop(tmp_path, epochs=1)
    ends = []
    thread = threading.Thread(target=lambda: ends.append(loop.run().epoch))
    thread.start()
    thread.join()
    assert ends == [1]


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
