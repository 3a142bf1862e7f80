"""Exported nets in their runtimes.

N images, H height, W width, K classes; h, w: sides of a score map. D features, K' means of classes.
"""

from __future__ import annotations

import importlib
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any, NamedTuple, Protocol

import numpy as np
from numpy.typing import NDArray

from verydeep.errors import MissingExtra, ModelError, VeryDeepError, printable
from verydeep.models.exported.pt2_archive import check_archive
from verydeep.models.exported.reading import SUFFIXES

INPUT, PROBABILITIES, SCORES = "images", "probabilities", "scores"
"""Names of the input and the outputs of an exported classifier."""

Pixels = NDArray[np.uint8]
Answers = NDArray[np.float32]


class Outputs(NamedTuple):
    """Outputs of an exported classifier, in the order of the file.

    Attributes:
        probabilities: float32 (N, K).
        scores: float32 (N, K, h, w).
        distance: Distances of the images from the training images, float32 (N,); None if the file
            does not give them, like the others below.
        features: Features that the distance is computed of, averaged over positions, float32
            (N, D).
        projections: Scalar products of the features with the means of classes, float32 (N, K').
    """

    probabilities: Answers
    scores: Answers
    distance: Answers | None = None
    features: Answers | None = None
    projections: Answers | None = None


def given_outputs(names: Iterable[str]) -> list[str]:
    """Return the known outputs among those of a file, in the order of :class:`Outputs`."""
    found = set(names)
    return [name for name in Outputs._fields if name in found]


class Session(Protocol):
    """An exported net, loaded into its runtime."""

    @property
    def runtime(self) -> str:
        """Name and version of the runtime."""

    def run(self, images: Pixels) -> Outputs:
        """Return the outputs for images, uint8 (N, H, W, 3)."""


def open_session(path: Path) -> Session:
    """Load an exported net into the runtime that its file is made for.

    Raises:
        MissingExtra: The runtime is not installed.
        ModelError: The runtime cannot read the file.
    """
    makers: dict[str, Any] = {
        "onnx": OnnxSession,
        "openvino": OpenvinoSession,
        "torch": TorchSession,
    }
    made: Session = makers[SUFFIXES[path.suffix.lower()]](path)
    return made


class OnnxSession:
    """A net in ONNX Runtime, on the CPU.

    Args:
        path: ONNX file.
    """

    def __init__(self, path: Path) -> None:
        onnxruntime = _library("onnxruntime", "ONNX Runtime", "export")
        self.runtime = f"ONNX Runtime {onnxruntime.__version__}"
        self.path = path
        options = onnxruntime.SessionOptions()
        options.log_severity_level = 4
        # Weights beside the file are mapped. Repacked copies of them would take longer to make
        # than the multiplications of a few images that they speed up.
        options.add_session_config_entry("session.disable_prepacking", "1")
        with running(path, self.runtime):
            providers = ["CPUExecutionProvider"]
            self.session = onnxruntime.InferenceSession(str(path), options, providers=providers)
            self.outputs = given_outputs(one.name for one in self.session.get_outputs())

    def run(self, images: Pixels) -> Outputs:
        """Return the outputs for images, uint8 (N, H, W, 3)."""
        with running(self.path, self.runtime):
            found = self.session.run(self.outputs, {INPUT: np.ascontiguousarray(images)})
            return Outputs(**dict(zip(self.outputs, found, strict=True)))


class OpenvinoSession:
    """A net in OpenVINO, on the CPU, in float32.

    Args:
        path: The ``.xml`` file; its weights are in the ``.bin`` file of the same name.
    """

    def __init__(self, path: Path) -> None:
        openvino = _library("openvino", "OpenVINO", "openvino")
        self.runtime = f"OpenVINO {openvino.__version__.partition('-')[0]}"
        self.path = path
        with running(path, self.runtime):
            core = openvino.Core()
            settings = {"INFERENCE_PRECISION_HINT": "f32", "PERFORMANCE_HINT": "LATENCY"}
            self.compiled = core.compile_model(core.read_model(path), "CPU", settings)
            names = (name for one in self.compiled.outputs for name in one.names)
            self.outputs = given_outputs(names)

    def run(self, images: Pixels) -> Outputs:
        """Return the outputs for images, uint8 (N, H, W, 3)."""
        with running(self.path, self.runtime):
            found = self.compiled({INPUT: np.ascontiguousarray(images)})
            return Outputs(**{name: np.array(found[name]) for name in self.outputs})


class TorchSession:
    """A net as a program of ``torch.export``, on the CPU.

    Args:
        path: The ``.pt2`` file.

    Raises:
        ModelError: It cannot be run, or it holds anything but what ``verydeep export`` writes.
    """

    def __init__(self, path: Path) -> None:
        self.torch = _library("torch", "PyTorch", "export")
        self.runtime = f"PyTorch {self.torch.__version__}"
        self.path = path
        with running(path, self.runtime):
            check_archive(path)
            self.module = self.torch.export.load(path).module()

    def run(self, images: Pixels) -> Outputs:
        """Return the outputs for images, uint8 (N, H, W, 3)."""
        with running(self.path, self.runtime), self.torch.inference_mode():
            found = self.module(self.torch.from_numpy(np.ascontiguousarray(images)))
            return Outputs(*(one.numpy() for one in found))


@contextmanager
def running(path: Path, runtime: str) -> Iterator[None]:
    """Report every error of a runtime as one about the file.

    Raises:
        ModelError: The runtime cannot read or run the file.
    """
    try:
        yield
    except VeryDeepError:
        raise
    except Exception as error:  # the errors of these libraries have no common base class
        lines = (line.strip() for line in str(error).splitlines())
        first = next((line for line in lines if line), type(error).__name__)
        raise ModelError(
            f"{printable(path)}: {runtime} cannot run this file ({printable(first[:300])}); "
            "it may be truncated, or the file of its weights may be missing beside it: export the "
            "net again"
        ) from error


def _library(module: str, called: str, extra: str) -> Any:
    try:
        return importlib.import_module(module)
    except ImportError as error:
        raise MissingExtra(f"running this file with {called}", extra) from error
