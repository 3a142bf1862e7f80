"""Interface of the work that actors do on images.

N images of a part.
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Any, ClassVar, NamedTuple

from verydeep.data.images.member import ImageSource
from verydeep.errors import MachineError, VeryDeepError
from verydeep.models.identity import model_key
from verydeep.system.settings import Compute
from verydeep.system.workers.parent_watch import Owner, end_with


class About(NamedTuple):
    """What an actor has loaded.

    Attributes:
        model_hash: Hash of the model.
        settings: Settings of the results, with engine and precision.
        machine: Device, threads and versions.
    """

    model_hash: str
    settings: dict[str, Any]
    machine: dict[str, Any]


class Fault(NamedTuple):
    """An error of ours in an actor. Ray could not send each of their classes.

    Attributes:
        text: Message.
        machine: Whether the machine is at fault, so that another attempt may succeed.
    """

    text: str
    machine: bool


@dataclass
class LoadedModel(ABC):
    """A loaded model, ready to work on parts.

    Attributes:
        model: The model.
        model_hash: Its hash.
    """

    model: Any
    model_hash: str = field(init=False)

    def __post_init__(self) -> None:
        self.model_hash = model_key(self.model)

    @property
    def device(self) -> str:
        """Device that the model computes on."""
        machine = getattr(self.model, "machine", None)
        return "cpu" if machine is None else str(machine.device)

    @abstractmethod
    def settings(self) -> dict[str, Any]:
        """Return the settings of the results, with engine and precision."""

    @abstractmethod
    def table(self, first: int, names: Sequence[str], sources: Sequence[ImageSource]) -> Any:
        """Return an Arrow table with a row per image, in order.

        Args:
            first: Row number of the first image.
            names: Names of N images.
            sources: Their locations.
        """


@dataclass(frozen=True)
class Work(ABC):
    """What to do, sent to each actor.

    Attributes:
        model: Model or run folder, file or name, as it was given.
        place: The same, as it holds in any folder.
        compute: Device, precision and engine.
    """

    model: str
    place: str
    compute: Compute

    verb: ClassVar[str]
    """Name of the verb."""

    @abstractmethod
    def load(self, images: int) -> LoadedModel:
        """Load the model.

        Args:
            images: Images of the whole job, by which the engine is chosen.

        Raises:
            VeryDeepError: The model or a setting cannot be used.
        """


@dataclass
class Actor:
    """Holds a loaded model in a process of its own; Ray makes an actor of it.

    Attributes:
        work: What to do.
        cores: Number of threads to compute with.
        owner: The program, if it runs on this machine alone; this process ends with it. Ray's
            processes would outlive a killed program in a session of systemd.
    """

    work: Work
    cores: int
    owner: Owner | None = None
    _loaded: LoadedModel | None = field(default=None, init=False)

    def begin(self, images: int) -> About | Fault:
        """Load the model."""
        from verydeep.run.bulk.versions import versions

        if self.owner:
            end_with(self.owner)
        try:
            _limit_threads(self.cores)
            self._loaded = self.work.load(images)
            settings = self._loaded.settings()
        except VeryDeepError as error:
            return Fault(str(error), isinstance(error, MachineError))
        machine = {
            "device": self._loaded.device,
            "threads": self.cores,
            "versions": versions(),
        }
        return About(self._loaded.model_hash, settings, machine)

    def do(self, first: int, names: Sequence[str], sources: Sequence[ImageSource]) -> Any | Fault:
        """Return the table of a part; see :meth:`LoadedModel.table`."""
        assert self._loaded is not None, "begin comes first"
        try:
            return self._loaded.table(first, names, sources)
        except VeryDeepError as error:
            return Fault(str(error), isinstance(error, MachineError))


def _limit_threads(cores: int) -> None:
    import torch

    torch.set_num_threads(cores)
