"""How a picture is tested, as a value: views, scales, mirror images (section 3.2)."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

from verydeep.errors import InputError, did_you_mean

ProtocolName = Literal["center", "dense"]

NAMES: tuple[ProtocolName, ...] = ("center", "dense")


@dataclass(frozen=True, slots=True)
class Protocol:
    """A way to test.

    Attributes:
        name: ``center``: the central crop; ``dense``: the whole picture through the dense form,
            scores averaged over positions before the soft-max.
        scales: Test scales Q, the smallest side of the rescaled picture in pixels.
        flip: Whether the posteriors of the mirror image are averaged in.
    """

    name: ProtocolName
    scales: tuple[int, ...]
    flip: bool = True

    def __str__(self) -> str:
        scales = ", ".join(str(scale) for scale in self.scales)
        return f"{self.name} at Q = {scales}{', with the mirror image' if self.flip else ''}"


def make_protocol(name: str, scales: tuple[int, ...], *, flip: bool = True) -> Protocol:
    """Return a protocol.

    Raises:
        InputError: There is no such protocol, or no scale.
    """
    if name not in NAMES:
        raise InputError(
            f"protocol must be one of {', '.join(NAMES)}, got {name!r} instead"
            f"{did_you_mean(name, NAMES)}"
        )
    if not scales:
        raise InputError("a protocol needs at least one test scale")
    return Protocol(name, scales, flip)
