"""Time of an epoch on many GPUs, estimated from rates: where it stops to scale, and why.

Pure arithmetic on a net's anatomy. P GPUs share each batch; every GPU computes the gradient of its
images, and an all-reduce sums the gradients of all. The terms of one update:

- computing: images of a GPU ÷ its rate, plus a part that does not depend on their number (the
  optimizer passes over all weights, and every kernel is launched);
- exchange: a ring moves 2 (P − 1)/P times the gradient over the slowest link. The gradient of a
  layer can travel as soon as it is known, while those before it are still computed, so that only
  what is left at the end of the pass is waited for;
- reading: images decoded and bytes read by each machine, which go on meanwhile.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass

from verydeep.nets.anatomy import Anatomy, LayerAnatomy

BACKWARD = 2 / 3
"""Share of the backward pass in the time of computing: it has two products for each forward one."""

HALF = 2
"""Bytes of an activation in bf16."""


@dataclass(frozen=True, slots=True)
class Cluster:
    """Rates of equal machines with GPUs; bytes and images per second.

    Attributes:
        images: Training rate of one GPU with a batch that fills it.
        gpus_per_node: GPUs of a machine.
        inside: Rate of a link between GPUs of a machine, in one direction.
        between: Rate of a machine's network, in one direction.
        hop: Seconds of a message between two GPUs of a machine.
        leap: Seconds of a message between two machines.
        fixed: Seconds of an update that do not depend on the number of images.
        decoded: Images that a machine decodes.
        read: Bytes that a machine reads.
        image_bytes: Mean size of an image file.
        saved: Bytes that rank 0 writes in a checkpoint.
    """

    images: float
    gpus_per_node: int
    inside: float
    between: float
    hop: float
    leap: float
    fixed: float
    decoded: float
    read: float
    image_bytes: float
    saved: float


@dataclass(frozen=True, slots=True)
class Plan:
    """How a net is trained.

    Attributes:
        gpus: Number of GPUs.
        batch: Images of an update, of all GPUs together.
        gradient_bytes: Bytes of a gradient's number as it travels: 4, or 2 in bf16.
        overlapped: Whether gradients travel while others are computed.
        sharded: Names of layers whose weights are divided over the GPUs: instead of their
            gradients, the inputs of all images travel, and their gradients back.
        train_images: Images of the training set.
        val_images: Images of the validation set.
    """

    gpus: int
    batch: int
    gradient_bytes: int = 4
    overlapped: bool = True
    sharded: tuple[str, ...] = ()
    train_images: int = 1_281_167
    val_images: int = 50_000


@dataclass(frozen=True, slots=True)
class Update:
    """Seconds of one update.

    Attributes:
        computing: Forward and backward pass, and the optimizer.
        exchange: All transfers of gradients, one after the other.
        waiting: The part of them that no computing covers.
        reading: Reading and decoding the next batch, which goes on meanwhile.
    """

    computing: float
    exchange: float
    waiting: float
    reading: float

    @property
    def seconds(self) -> float:
        """Duration."""
        return max(self.computing + self.waiting, self.reading)

    @property
    def bound(self) -> str:
        """The term that a faster part would shorten most."""
        if self.reading > self.computing + self.waiting:
            return "reading"
        return "exchange" if self.waiting > self.computing / 2 else "computing"


@dataclass(frozen=True, slots=True)
class Epoch:
    """Seconds of one epoch.

    Attributes:
        update: One of its updates.
        training: All updates.
        validation: The forward passes of the validation set.
        saving: The checkpoint, which all wait for.
        images: Images of the training set.
        alone: Seconds that one GPU would take for the training.
        gpus: Number of GPUs.
    """

    update: Update
    training: float
    validation: float
    saving: float
    images: int
    alone: float
    gpus: int

    @property
    def seconds(self) -> float:
        """Duration."""
        return self.training + self.validation + self.saving

    @property
    def rate(self) -> float:
        """Training images per second."""
        return self.images / self.training

    @property
    def efficiency(self) -> float:
        """Share of the ideal rate: that of one GPU times their number."""
        return self.alone / self.gpus / self.training


def epoch(net: Anatomy, plan: Plan, cluster: Cluster) -> Epoch:
    """Return the estimated time of an epoch."""
    one = update(net, plan, cluster)
    busy = min(plan.gpus, plan.batch)
    validation = plan.val_images / (busy * cluster.images / (1 - BACKWARD))
    return Epoch(
        update=one,
        training=math.ceil(plan.train_images / plan.batch) * one.seconds,
        validation=validation,
        saving=checkpoint_bytes(net) / cluster.saved,
        images=plan.train_images,
        alone=plan.train_images / cluster.images,
        gpus=plan.gpus,
    )


def checkpoint_bytes(net: Anatomy) -> int:
    """Return the size of a checkpoint: weights and momentum in float32, and the kept model."""
    return 3 * 4 * net.parameters


def update(net: Anatomy, plan: Plan, cluster: Cluster) -> Update:
    """Return the estimated times of one update."""
    own = math.ceil(plan.batch / plan.gpus)  # the GPU with the most images
    passes = own / cluster.images
    backward = passes * BACKWARD
    known, travel = transfers(net, plan, cluster)
    times = [backward * share for share in known]
    if not plan.overlapped:
        times = [backward] * len(times)
    nodes = math.ceil(min(plan.gpus, plan.batch) / cluster.gpus_per_node)
    images = plan.batch / nodes
    return Update(
        computing=passes + cluster.fixed,
        exchange=sum(travel),
        waiting=max(0.0, last_arrival(times, travel) - backward),
        reading=max(images / cluster.decoded, images * cluster.image_bytes / cluster.read),
    )


def transfers(net: Anatomy, plan: Plan, cluster: Cluster) -> tuple[list[float], list[float]]:
    """Return when each layer's gradient is known, and how long it travels, the last layer first.

    Returns:
        Shares of the backward pass, 0 to 1, and seconds.
    """
    layers = [part for part in reversed(net.parts) if part.parameters]
    whole = sum(part.multiply_adds for part in layers)
    known, travel, done = [], [], 0.0
    for part in layers:
        done += part.multiply_adds / whole
        known.append(done)
        travel.append(_travel(part, plan, cluster))
    return known, travel


def _travel(part: LayerAnatomy, plan: Plan, cluster: Cluster) -> float:
    if part.layer.name in plan.sharded:
        inputs = part.multiply_adds // part.channels  # numbers that each output is a sum of
        # Every GPU gathers the inputs of all images; their gradients are summed and scattered.
        return all_reduce_seconds(plan.batch * inputs * HALF, plan.gpus, cluster)
    return all_reduce_seconds(part.parameters * plan.gradient_bytes, plan.gpus, cluster)


def all_reduce_seconds(size: float, gpus: int, cluster: Cluster) -> float:
    """Return the time to sum ``size`` bytes over all GPUs, and to give the sum to each.

    A ring moves the least possible, 2 (P − 1)/P times the size. Its latency grows with P; a tree's
    grows with log P at the same rate of bytes, so the shorter one counts.
    """
    if gpus == 1:
        return 0.0
    nodes = math.ceil(gpus / cluster.gpus_per_node)
    rate = cluster.inside if nodes == 1 else min(cluster.inside, cluster.between)
    around = min(gpus, cluster.gpus_per_node) - 1
    ring = 2 * (nodes * around * cluster.hop + (nodes - 1) * cluster.leap)
    tree = 2 * (around * cluster.hop + math.ceil(math.log2(nodes)) * cluster.leap)
    return 2 * (gpus - 1) / gpus * size / rate + min(ring, tree)


def last_arrival(known: Sequence[float], travel: Sequence[float]) -> float:
    """Return when the last of several transfers ends, which use one link in turn.

    Args:
        known: Seconds at which each may begin, in this order.
        travel: Seconds that each takes.

    >>> last_arrival([1.0, 2.0, 9.0], [5.0, 1.0, 0.5])
    9.5
    """
    end = 0.0
    for begin, seconds in zip(known, travel, strict=True):
        end = max(end, begin) + seconds
    return end
