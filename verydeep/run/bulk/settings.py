"""Settings of bulk work: where it runs, and how it is divided."""

from __future__ import annotations

from dataclasses import dataclass

from verydeep.errors import InputError
from verydeep.system.option_names import option
from verydeep.system.settings import described

PART_SIZE = 1024
"""Images per part; a multiple of a block of :func:`~verydeep.evaluation.posteriors.mix_posteriors`,
so that batches are those of plain prediction."""


@dataclass(frozen=True, slots=True)
class Cluster:
    """Where bulk work runs.

    Attributes:
        address: Address of a Ray cluster, or ``auto`` for the one that this machine belongs to;
            None starts Ray on this machine and ends it with the job.
        actors: Number of actors, each with the model; None: one per GPU, or per group of cores.
        cores_per_actor: Cores of each actor; None: 4, or all where there are fewer; with GPUs, an
            equal share of at most 8.

    Raises:
        InputError: A number is below 1.
    """

    address: str | None = described(
        None, "address of a Ray cluster, or auto; default: this machine alone"
    )
    actors: int | None = described(None, "actors; default: one per GPU, or per 4 cores")
    cores_per_actor: int | None = described(
        None, "cores per actor; default: 4, or all where there are fewer"
    )

    def __post_init__(self) -> None:
        for name in ("actors", "cores_per_actor"):
            check_count(name, getattr(self, name))


def check_count(name: str, value: int | None) -> None:
    """Refuse a number below 1; None passes.

    Raises:
        InputError: The number is below 1.
    """
    if value is not None and value < 1:
        raise InputError(f"{option(name)} must be at least 1, got {value} instead")


@dataclass(frozen=True, slots=True)
class Shape:
    """Actors of a job.

    Attributes:
        actors: Number of actors.
        cores: Cores of each.
        gpus: GPUs of each, 0 or 1.
    """

    actors: int
    cores: int
    gpus: int


def shape_of(
    cluster: Cluster, device: str | None, cpus: int, gpus: int, *, local: bool = True
) -> Shape:
    """Return the actors for the resources of a cluster.

    Args:
        cluster: Settings.
        device: Requested device; None takes GPUs if there are some.
        cpus: Cores of the cluster.
        gpus: GPUs of the cluster.
        local: Whether it is this machine, which will not grow.

    Raises:
        InputError: This machine has fewer cores, or a GPU is requested and there is none.

    >>> shape_of(Cluster(), None, cpus=64, gpus=8)
    Shape(actors=8, cores=8, gpus=1)
    >>> shape_of(Cluster(), "cpu", cpus=64, gpus=8), shape_of(Cluster(), None, cpus=2, gpus=0)
    (Shape(actors=16, cores=4, gpus=0), Shape(actors=1, cores=2, gpus=0))
    """
    wanted = gpus if device is None or device.startswith("cuda") else 0
    if device is not None and device.startswith("cuda") and not gpus:
        raise InputError(f"{option('device', device)}: the Ray cluster has no GPU")
    cores = cluster.cores_per_actor or _default_cores(cpus, wanted)
    actors = cluster.actors or wanted or max(1, cpus // cores)
    if local and (actors * cores > cpus or 0 < wanted < actors):
        raise InputError(
            f"{option('actors', actors)} with {option('cores_per_actor', cores)} need "
            f"{actors * cores} cores{f' and {actors} GPUs' if wanted else ''}, but this machine "
            f"has {cpus}{f' and {gpus}' if wanted else ''}: take fewer"
        )
    return Shape(actors, cores, 1 if wanted else 0)


def _default_cores(cpus: int, gpus: int) -> int:
    return max(1, min(8, cpus // gpus) if gpus else min(4, cpus))
