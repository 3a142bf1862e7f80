"""Settings as dataclass fields that carry their own help, for Python, recipes and command line."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field, fields
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from verydeep.system.device import Machine


def described(default: Any, text: str) -> Any:
    """Return a dataclass field with a default value and one line of help."""
    return field(default=default, metadata={"help": text})


def help_of(settings: type, name: str) -> str:
    """Return the help of a field made by :func:`described`.

    >>> help_of(Compute, "workers")
    'decoding processes; default: one a core if there are many images'
    """
    return str(_fields(settings)[name].metadata["help"])


def default_of(settings: type, name: str) -> Any:
    """Return the default value of a field."""
    return _fields(settings)[name].default


def _fields(settings: type) -> Mapping[str, Any]:
    return {one.name: one for one in fields(settings)}


@dataclass(frozen=True, slots=True)
class Compute:
    """Where and how to compute. None leaves the choice to the package.

    Attributes:
        device: Device of torch, such as ``cpu`` or ``cuda:1``; None takes a GPU if there is one.
            Each of several processes on one machine takes its own GPU.
        precision: ``bf16`` or ``fp32``; None takes bf16 where the processor multiplies it natively.
            ``int8`` for a model that was quantized.
        workers: Decoding processes; None decides by the number of cores and images.
        engine: Engine that answers for trained nets: ``torch``, ``compile``, ``openvino``,
            ``onnxruntime``; ``auto`` takes the fastest that is installed and passes its check, and
            torch for a few images.
        processes: Processes on this machine that share the images of a test or of features, each
            with its own GPU or its share of the cores; the calling one is the first of them.
    """

    device: str | None = described(None, "cpu, cuda, cuda:1; default: a GPU if there is one")
    precision: str | None = described(
        None, "bf16 or fp32, or int8 for a quantized model; default: bf16 where it is native"
    )
    workers: int | None = described(
        None, "decoding processes; default: one a core if there are many images"
    )
    engine: str = described("auto", "auto, torch, compile, openvino, onnxruntime")
    processes: int | None = described(
        None, "processes on this machine that share the images, one a GPU; default: 1"
    )

    @classmethod
    def of(cls, given: Compute | str | None) -> Compute:
        """Return ``given``; a string names the device, None leaves everything open."""
        return given if isinstance(given, Compute) else cls(given)

    def machine(self) -> Machine:
        """Return the device, precision and engine to compute with.

        Raises:
            InputError: There is no such device, precision or engine.
        """
        from verydeep.system.device import choose_machine  # brings torch

        return choose_machine(self.device, self.precision, self.engine)
