"""Interface of runtimes that read a net as an ONNX graph. It knows NumPy only.

N images, H height, W width; D channels; h, w: sides of an output map.
"""

from __future__ import annotations

from importlib import import_module
from pathlib import Path
from typing import Any, Protocol, cast

import numpy as np
from numpy.typing import NDArray

Pixels = NDArray[np.uint8]
Maps = NDArray[np.float32]


class Runner(Protocol):
    """A runtime with one net."""

    @property
    def outputs(self) -> tuple[str, ...]:
        """Names of the outputs that the graph has."""

    def run(self, images: Pixels, output: str) -> Maps:
        """Return an output, float32 (N, D, h, w), for images (N, H, W, 3)."""

    def run_all(self, images: Pixels, outputs: tuple[str, ...]) -> list[Maps]:
        """Return several outputs from one pass."""


class RunnerType(Protocol):
    """Creates a runner, and the file that it reads fastest."""

    def convert(self, graph: Path, file: Path) -> None:
        """Write the file that the runtime reads fastest, from an ONNX graph.

        A runtime that reads the graph itself need not have this.
        """

    def __call__(self, file: Path, precision: str, threads: int) -> Runner:
        """Read such a file, to compute with a number of threads.

        Raises:
            RuntimeError: The runtime cannot compute in this precision here.
        """


RUNNERS = {
    "openvino": "verydeep.models.engines.openvino_runner:OpenVinoRunner",
    "onnxruntime": "verydeep.models.engines.onnxruntime_runner:OnnxRuntimeRunner",
}
"""Module and class of each runtime."""


def runner_type(place: str) -> RunnerType:
    """Return a class of runners from ``module:class``."""
    module, _, name = place.partition(":")
    return cast(RunnerType, getattr(cast(Any, import_module(module)), name))
