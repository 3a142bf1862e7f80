"""State of all engines on this machine, also for one model."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from verydeep.errors import InputError
from verydeep.models.classifier import Classifier
from verydeep.models.engines.choice import verdict_on
from verydeep.models.engines.net_files import files_of
from verydeep.models.engines.verdicts import Verdict, find_verdict
from verydeep.models.loading import names_exported
from verydeep.run.load import load
from verydeep.system.device import processor_name
from verydeep.system.engine_names import KINDS, TORCH, EngineKind
from verydeep.system.progress import Progress, ProgressWish, choose_progress
from verydeep.system.settings import Compute


@dataclass(frozen=True)
class EngineState:
    """State of an engine.

    Attributes:
        name: Name.
        version: Installed version; None if it is not installed.
        precisions: Precisions that it can compute in.
        extra: Extra of this package that installs it; None if it is always there.
        verdicts: Verdicts on it for a model.
    """

    name: str
    version: str | None
    precisions: tuple[str, ...]
    extra: str | None
    verdicts: tuple[Verdict, ...] = ()

    def to_dict(self) -> dict[str, Any]:
        """Return plain values for JSON."""
        return {
            "engine": self.name,
            "version": self.version,
            "precisions": list(self.precisions),
            "extra": self.extra,
            "verdicts": [verdict.to_dict() for verdict in self.verdicts],
        }


@dataclass(frozen=True)
class EngineStates:
    """State of all engines.

    Attributes:
        processor: Name of the processor.
        engines: The engines; the first is the reference.
        model: Model that the verdicts are about; None if none was given.
    """

    processor: str
    engines: tuple[EngineState, ...]
    model: str | None = None

    def to_dict(self) -> dict[str, Any]:
        """Return plain values for JSON."""
        engines = [engine.to_dict() for engine in self.engines]
        return {"processor": self.processor, "model": self.model, "engines": engines}


def engines(
    model: str | Path | None = None,
    *,
    try_now: bool = False,
    precision: str | None = None,
    progress: ProgressWish = None,
) -> EngineStates:
    """List the engines, and the verdicts of their trials with a model on this machine.

    Args:
        model: Model or run folder, or a name of published weights; None lists the engines alone.
        try_now: Try every installed engine now, also those that were tried before.
        precision: Only verdicts in this precision; None takes all, and tries that of the model.
        progress: Progress reporting; None enables it in notebooks and terminals, True everywhere,
            False nowhere.

    Raises:
        InputError: The model cannot be read, or the precision does not exist.
    """
    progress = choose_progress(progress)
    if model is None:
        return EngineStates(processor_name(), tuple(_state(kind) for kind in KINDS.values()))
    if names_exported(model):
        raise InputError(f"{model}: an exported file has one engine only, by its ending")
    loaded = load(model, Compute("cpu", precision))
    if try_now:
        _try_all(loaded, progress)
    keys = _keys(loaded, (precision,) if precision else ("fp32", "bf16", "int8"))
    states = (_state(kind, tuple(_verdicts(kind, keys))) for kind in KINDS.values())
    return EngineStates(processor_name(), tuple(states), str(model))


def _state(kind: EngineKind, verdicts: tuple[Verdict, ...] = ()) -> EngineState:
    return EngineState(kind.name, kind.version, kind.precisions, kind.extra, verdicts)


def _try_all(model: Classifier, progress: Progress) -> None:
    """Try every installed engine that has the model's precision."""
    precision = model.machine.precision
    able = [
        kind.name
        for kind in KINDS.values()
        if kind.name != TORCH and kind.version and precision in kind.precisions
    ]
    files = files_of(model, precision) if able else None
    for name in able:
        verdict_on(model, name, precision, progress, files=files, again=True)


def _keys(model: Classifier, precisions: tuple[str, ...]) -> dict[str, str]:
    """Return the hash of the net in every precision that the model has."""
    had = (one for one in precisions if one != "int8" or model.int8 is not None)
    return {precision: files_of(model, precision).key for precision in had}


def _verdicts(kind: EngineKind, keys: Mapping[str, str]) -> Iterator[Verdict]:
    for precision, key in keys.items():
        if precision in kind.precisions and (found := find_verdict(kind.name, precision, key)):
            yield found
