"""Verdicts on engines, kept by machine, net, precision and versions."""

from __future__ import annotations

import hashlib
import json
import time
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

from verydeep.errors import VeryDeepError
from verydeep.models.engines.net_files import engines_folder
from verydeep.system.device import processor_features, processor_name, usable_cores
from verydeep.system.engine_names import KINDS
from verydeep.system.files import write_json
from verydeep.system.version import __version__


@dataclass(frozen=True)
class Verdict:
    """Verdict on an engine for a net on this machine.

    Attributes:
        engine: Name of the engine.
        precision: Precision.
        version: Version of the engine's package.
        net: Hash of the net.
        fault: Reason not to use it; None if it passed.
        difference: Largest difference of posteriors from torch in fp32; None without scores.
        speed: Images of the input size per second; None without scores.
        torch_speed: The same of eager PyTorch at that time.
        seconds: Duration of the trial.
        tried: Time of the trial, in UTC.
    """

    engine: str
    precision: str
    version: str
    net: str
    fault: str | None
    difference: float | None = None
    speed: float | None = None
    torch_speed: float | None = None
    seconds: float = 0.0
    tried: str = ""

    @property
    def passed(self) -> bool:
        """True if the engine may be used."""
        return self.fault is None

    @property
    def gain(self) -> float:
        """Speed as a multiple of eager PyTorch's; 0 if it may not be used."""
        return (self.speed or 0) / (self.torch_speed or 1) if self.passed else 0.0

    def to_dict(self) -> dict[str, Any]:
        """Return plain values."""
        return {**asdict(self), "passed": self.passed}


def find_verdict(engine: str, precision: str, net: str) -> Verdict | None:
    """Return the verdict of an earlier trial on this machine; None if there was none."""
    try:
        content = json.loads(_path(engine, precision, net).read_text("utf-8"))
        content.pop("passed")
        return Verdict(**content)
    except (OSError, ValueError, TypeError, KeyError, AttributeError):
        return None


def keep_verdict(verdict: Verdict) -> None:
    """Store a verdict for later; without a writable cache it is lost."""
    try:
        path = _path(verdict.engine, verdict.precision, verdict.net)
        write_json(path, verdict.to_dict())
    except (OSError, VeryDeepError):
        pass


def now() -> str:
    """Return the time in UTC, as verdicts give it."""
    return time.strftime("%Y-%m-%dT%H:%M:%SZ", time.gmtime())


def _path(engine: str, precision: str, net: str) -> Path:
    machine = [processor_name(), sorted(processor_features()), usable_cores()]
    versions = [KINDS[engine].version, KINDS["torch"].version, __version__]
    text = json.dumps([engine, precision, net, machine, versions])
    name = hashlib.sha256(text.encode()).hexdigest()[:32]
    return engines_folder() / "verdicts" / f"{name}.json"
