"""Names of the engines that answer for trained nets, what each can do, and what is installed."""

from __future__ import annotations

from dataclasses import dataclass
from importlib import metadata, util

from verydeep.errors import InputError, MissingExtra, did_you_mean

AUTO, TORCH = "auto", "torch"


@dataclass(frozen=True, slots=True)
class EngineKind:
    """A kind of engine.

    Attributes:
        name: Name, as for ``--engine``.
        package: Package whose version counts.
        modules: Modules that must be installed.
        precisions: Precisions that it can compute in.
        extra: Extra of this package that installs it; None if it is always there.
        compiles_shapes: Whether each shape of input costs a compilation at first.
    """

    name: str
    package: str
    modules: tuple[str, ...]
    precisions: tuple[str, ...]
    extra: str | None = None
    compiles_shapes: bool = False

    @property
    def version(self) -> str | None:
        """Installed version; None if a module is missing."""
        if any(util.find_spec(module) is None for module in self.modules):
            return None
        try:
            return metadata.version(self.package)
        except metadata.PackageNotFoundError:
            return None

    def check_installed(self) -> None:
        """Refuse an engine that is not installed.

        Raises:
            MissingExtra: A module is missing.
        """
        if self.version is None:
            raise MissingExtra(f"the engine {self.name}", self.extra or self.name)


KINDS = {
    kind.name: kind
    for kind in (
        EngineKind(TORCH, "torch", ("torch",), ("fp32", "bf16")),
        EngineKind("compile", "torch", ("torch",), ("fp32", "bf16"), compiles_shapes=True),
        EngineKind(
            "openvino",
            "openvino",
            ("openvino", "onnx"),
            ("fp32", "bf16", "int8"),
            "openvino",
            compiles_shapes=True,
        ),
        EngineKind(
            "onnxruntime", "onnxruntime", ("onnxruntime", "onnx"), ("fp32", "int8"), "onnxruntime"
        ),
    )
}
"""Engines by name; the first is the reference for all others."""

FOREIGN = ("onnxruntime", "openvino")
"""Engines that read the net as an ONNX graph and compute on the CPU.

Of two that are equally fast, the first is taken: it needs no compilation for each shape.
"""

WISHES = (AUTO, *KINDS)
"""Names that a user may give."""


def check_engine(name: str) -> str:
    """Return the name of an engine or ``auto``.

    Raises:
        InputError: There is no such engine.
    """
    if name not in WISHES:
        raise InputError(
            f"engine must be one of {', '.join(WISHES)}, got {name!r} instead"
            f"{did_you_mean(name, WISHES)}"
        )
    return name


def check_precision(engine: str, precision: str) -> None:
    """Refuse a precision that an engine lacks; ``auto`` takes any.

    Raises:
        InputError: The engine cannot compute in this precision.
    """
    if engine != AUTO and precision not in KINDS[engine].precisions:
        able = ", ".join(name for name, kind in KINDS.items() if precision in kind.precisions)
        raise InputError(
            f"the engine {engine} computes in {' or '.join(KINDS[engine].precisions)}, got "
            f"{precision!r} instead; {precision} is of {able}"
        )
