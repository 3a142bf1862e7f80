"""OpenVINO on the CPU, with our choice of precision.

N images, H height, W width; D channels; h, w: sides of an output map.
"""

from __future__ import annotations

import shutil
import tempfile
from pathlib import Path
from typing import Any

from verydeep.models.engines.recent import Recent
from verydeep.models.engines.runner import Maps, Pixels

MEMORY = 2**31
"""Bytes of weights that compiled shapes may hold together; each shape has its own copy."""

MOST_SHAPES = 16
"""Maximum number of compiled shapes, however small the net."""

HINTS = {"fp32": "f32", "bf16": "bf16", "int8": "f32"}
"""OpenVINO's names; an int8 graph says itself which layers are int8, and the others are fp32."""


class OpenVinoRunner:
    """A net in OpenVINO, compiled once for each height and width of images.

    The number of images stays open in a compiled shape, so a last, smaller batch needs no other;
    this was measured to be as fast as a fixed number.

    Args:
        file: Graph as ``.xml`` beside its ``.bin``, or as ``.onnx``.
        precision: ``fp32``, ``bf16`` or ``int8``.
        threads: Number of threads.
    """

    def __init__(self, file: Path, precision: str, threads: int) -> None:
        import openvino

        self._openvino: Any = openvino
        self._core: Any = openvino.Core()
        self._graph: Any = self._core.read_model(file)
        self._settings = {
            # Without these, OpenVINO takes bf16 or quantizes activations where it thinks best.
            "INFERENCE_PRECISION_HINT": HINTS[precision],
            "DYNAMIC_QUANTIZATION_GROUP_SIZE": 0,
            "INFERENCE_NUM_THREADS": threads,
            "NUM_STREAMS": 1,
            # Pinned threads collide with other processes pinned to the same cores.
            "ENABLE_CPU_PINNING": False,
        }
        weights = file.with_suffix(".bin")
        size = (weights if weights.exists() else file).stat().st_size
        most = max(1, min(MOST_SHAPES, MEMORY // max(size, 1)))
        self._compiled: Recent[tuple[tuple[str, ...], int, int], Any] = Recent(self._compile, most)

    @staticmethod
    def convert(graph: Path, file: Path) -> None:
        """Write OpenVINO's own format, which is mapped into memory instead of parsed."""
        import openvino

        model = openvino.Core().read_model(graph)
        folder = Path(tempfile.mkdtemp(prefix=".openvino-", dir=file.parent))
        try:
            openvino.save_model(model, folder / file.name, compress_to_fp16=False)
            for suffix in (".bin", ".xml"):  # a reader that sees the .xml finds its .bin
                target = file.with_suffix(suffix)
                (folder / target.name).replace(target)
        finally:
            shutil.rmtree(folder, ignore_errors=True)

    @property
    def outputs(self) -> tuple[str, ...]:
        """Names of the outputs that the graph has."""
        return tuple(name for output in self._graph.outputs for name in output.get_names())

    def run(self, images: Pixels, output: str) -> Maps:
        """Return an output, float32 (N, D, h, w), for images (N, H, W, 3)."""
        return self.run_all(images, (output,))[0]

    def run_all(self, images: Pixels, outputs: tuple[str, ...]) -> list[Maps]:
        """Return several outputs from one pass."""
        height, width = images.shape[1:3]
        request = self._compiled[outputs, height, width]
        request.infer([images], share_inputs=True)
        return [request.get_output_tensor(place).data.copy() for place in range(len(outputs))]

    def _compile(self, key: tuple[tuple[str, ...], int, int]) -> Any:
        """Return a request for outputs of images of one size."""
        outputs, height, width = key
        graph = self._graph.clone()  # shares the weights
        wanted = [graph.output(output).get_node() for output in outputs]
        part = self._openvino.Model(wanted, graph.get_parameters())
        part.reshape([-1, height, width, 3])
        compiled = self._core.compile_model(part, "CPU", self._settings)
        self._check_precision(compiled)
        return compiled.create_infer_request()

    def _check_precision(self, compiled: Any) -> None:
        """Refuse a precision that OpenVINO has replaced by another.

        Raises:
            RuntimeError: It computes in another precision than ours.
        """
        wanted = self._settings["INFERENCE_PRECISION_HINT"]
        found = compiled.get_property("INFERENCE_PRECISION_HINT").get_type_name()
        if found != wanted:
            raise RuntimeError(f"it computes in {found} instead of {wanted} on this processor")
