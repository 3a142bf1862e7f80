"""ONNX Runtime on the CPU.

N images, H height, W width; D channels; h, w: sides of an output map.
"""

from __future__ import annotations

from pathlib import Path
from typing import cast

from verydeep.models.engines.runner import Maps, Pixels


class OnnxRuntimeRunner:
    """A net in ONNX Runtime, which takes images of any size in one session.

    It reads the graph itself: an optimised one would be no faster to read.

    Args:
        file: Graph as ``.onnx``.
        precision: ``fp32``, or ``int8`` for a quantized graph.
        threads: Number of threads.
    """

    def __init__(self, file: Path, precision: str, threads: int) -> None:
        import onnxruntime

        options = onnxruntime.SessionOptions()
        options.intra_op_num_threads = threads
        options.inter_op_num_threads = 1
        # Idle threads must not keep the cores from decoding the next images.
        options.add_session_config_entry("session.intra_op.allow_spinning", "0")
        self._session = onnxruntime.InferenceSession(
            str(file), options, providers=["CPUExecutionProvider"]
        )
        self._input = self._session.get_inputs()[0].name

    @property
    def outputs(self) -> tuple[str, ...]:
        """Names of the outputs that the graph has."""
        return tuple(output.name for output in self._session.get_outputs())

    def run(self, images: Pixels, output: str) -> Maps:
        """Return an output, float32 (N, D, h, w), for images (N, H, W, 3)."""
        return self.run_all(images, (output,))[0]

    def run_all(self, images: Pixels, outputs: tuple[str, ...]) -> list[Maps]:
        """Return several outputs from one pass."""
        return cast(list[Maps], self._session.run([*outputs], {self._input: images}))
