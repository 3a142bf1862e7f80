"""Files that engines read a net from, kept in the user's cache folder.

OpenVINO's converted graph is mapped into memory in milliseconds, while building and parsing the
ONNX graph of net D takes seconds. Compiling a shape from it is quick, so compiled shapes, as large
as the weights each, are not kept.
"""

from __future__ import annotations

import contextlib
import hashlib
import json
import os
import shutil
import time
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from verydeep.data.builtin.cache import cache_folder
from verydeep.errors import InputError
from verydeep.models.engines.runner import RUNNERS, runner_type
from verydeep.models.exported.session import SCORES
from verydeep.system.engine_names import KINDS
from verydeep.system.files import write_atomically
from verydeep.system.version import __version__

if TYPE_CHECKING:
    from torch import nn

    from verydeep.models.trained_net import TrainedNet

MOST_NETS = 4
"""Maximum number of nets whose files are kept; those used longest ago are removed."""

ABANDONED = 3600.0
"""Seconds after which a temporary file or folder counts as that of a killed process."""

FORMAT = 1
"""Version of the graphs, increased by every change of what they compute."""

_CHUNK = 2**24


@dataclass(frozen=True)
class NetFiles:
    """Files of one net, or of its int8 variant.

    Attributes:
        key: Hash of weights and settings.
        quantized: Graph of the int8 variant; None for the net itself.
    """

    key: str
    quantized: Path | None = None

    @property
    def folder(self) -> Path:
        """Folder of the files."""
        return engines_folder() / "nets" / self.key

    @property
    def graph(self) -> Path:
        """ONNX graph."""
        return self.quantized or self.folder / "graph.onnx"

    def file(self, engine: str) -> Path:
        """Return the file that an engine reads fastest."""
        return self.folder / "openvino.xml" if engine == "openvino" else self.graph

    def prepare(self, model: TrainedNet, engine: str) -> None:
        """Write the ONNX graph unless the engine's own file or the graph is there.

        Raises:
            InputError: The cache folder is not writable.
            DiskError: The disk is full.
        """
        self.folder.mkdir(parents=True, exist_ok=True)
        with contextlib.suppress(FileNotFoundError):  # another process may have removed it
            os.utime(self.folder)
        if self.file(engine).exists() or self.graph.exists():
            return
        from verydeep.models.export.graph import onnx_graph  # imports this package

        outputs = [SCORES, *model.net.feature_layers] if model.net.num_classes else None
        graph = onnx_graph(model, dense=True, outputs=outputs)
        write_atomically(self.graph, lambda path: path.write_bytes(graph.SerializeToString()))

    def ready(self, model: TrainedNet, engine: str) -> Path:
        """Return the file that an engine reads fastest, and make it if it is missing."""
        self.prepare(model, engine)
        file = self.file(engine)
        if file != self.graph and not file.exists():
            runner_type(RUNNERS[engine]).convert(self.graph, file)
        return file

    def tidy(self, engine: str) -> None:
        """Remove the graph if no engine reads it any more, and the files of nets used long ago."""
        needed = self.file(engine) == self.graph or KINDS["onnxruntime"].version
        if not needed and not self.quantized:
            self.graph.unlink(missing_ok=True)
        nets = self.folder.parent
        for old in sorted(nets.iterdir(), key=_changed_at)[:-MOST_NETS]:
            shutil.rmtree(old, ignore_errors=True)
        for part in nets.glob("*/.*"):
            if time.time() - _changed_at(part) > ABANDONED:
                with contextlib.suppress(OSError):
                    shutil.rmtree(part) if part.is_dir() else part.unlink()


def _changed_at(path: Path) -> float:
    """Return the time of the last change; 0 if another process has removed the path."""
    try:
        return path.stat().st_mtime
    except OSError:
        return 0.0


def engines_folder() -> Path:
    """Return the cache folder of engines: files of nets, and verdicts."""
    return cache_folder() / "engines"


def files_of(model: TrainedNet, precision: str) -> NetFiles:
    """Return the files of a net in a precision.

    Raises:
        InputError: The model has no int8 variant, or one that was made from other weights.
    """
    if precision != "int8":
        return NetFiles(net_key(model))
    if model.int8 is None:
        raise InputError(
            "this model has no int8 variant: write one into its folder with verydeep quantize or "
            "verydeep.quantize"
        )
    _check_variant(model, model.int8)
    digest = hashlib.sha256(b"int8")
    with model.int8.open("rb") as file:
        while chunk := file.read(_CHUNK):
            digest.update(chunk)
    return NetFiles(digest.hexdigest()[:32], model.int8)


def _check_variant(model: TrainedNet, graph: Path) -> None:
    """Refuse an int8 variant of other weights than the model's.

    Raises:
        InputError: It was made from other weights, or its record is missing or broken.
    """
    if _record_of(graph)["net"] != weights_key(model):
        raise InputError(f"{graph}: was made from other weights; quantize the model again")


def passed_guard(graph: Path) -> bool:
    """Return whether an int8 variant was compared with fp32 and found good enough.

    Raises:
        InputError: Its record is missing or broken.
    """
    return bool(_record_of(graph).get("within"))


def _record_of(graph: Path) -> dict[str, Any]:
    """Return the record of an int8 variant, which names the net that it was made from.

    Raises:
        InputError: It is missing or broken.
    """
    path = graph.with_suffix(".json")
    try:
        found: dict[str, Any] = json.loads(path.read_text("utf-8"))
        found["net"]
    except (OSError, ValueError, TypeError, KeyError) as error:
        raise InputError(
            f"{path}: not the record of an int8 variant ({error}); quantize the model again"
        ) from error
    return found


def net_key(model: TrainedNet) -> str:
    """Return a hash of a net and of the versions that its graph depends on."""
    text = f"{FORMAT} {__version__} {weights_key(model)}"
    return hashlib.sha256(text.encode()).hexdigest()[:32]


def weights_key(model: TrainedNet) -> str:
    """Return a hash of everything that a net's scores depend on."""
    preprocessing = [model.preprocessing.mean, model.preprocessing.divisor]
    about = [model.net.settings(), model.net.num_classes, preprocessing]
    digest = hashlib.sha256(json.dumps(about, sort_keys=True, default=str).encode())
    add_state(digest, model.net)
    return digest.hexdigest()[:32]


def add_state(digest: hashlib._Hash, net: nn.Module) -> None:
    """Add the names and values of a net's weights and buffers to a hash."""
    for name, values in net.state_dict().items():
        digest.update(name.encode())
        digest.update(values.detach().cpu().contiguous().numpy())
