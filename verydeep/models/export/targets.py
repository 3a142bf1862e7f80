"""Writing of a classifier as a file of another runtime."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any, Literal, get_args

from verydeep.errors import InputError, MissingExtra, ModelError, did_you_mean
from verydeep.models.classifier import Classifier
from verydeep.models.export.graph import onnx_graph
from verydeep.models.export.int8_graph import int8_graph
from verydeep.models.exported.metadata import KEY, Metadata
from verydeep.models.exported.reading import SUFFIXES, TORCH_ENTRY
from verydeep.system.option_names import option

Target = Literal["onnx", "openvino", "torch", "web"]

TARGETS: tuple[Target, ...] = get_args(Target)

PAGE = ".html"
"""Ending of the name of a web page."""

BESIDE_FROM = 2**26
"""Bytes of weights from which they lie in a file of their own, which runtimes can map.

Reading 500 MB of weights within an ONNX file takes seconds; mapping them takes none.
"""

LARGEST_CONSTANT = 2**10
"""Bytes of the largest constant that stays in the ONNX file then."""


def check_target(target: str | None, out: Path) -> Target:
    """Return the target of an export after checking that the file name fits it.

    Args:
        target: A target; None takes that of the file name.
        out: File to write.

    Raises:
        InputError: The target is unknown, or the name has another ending.
    """
    known = {**SUFFIXES, PAGE: "web"}
    if target is None:
        target = known.get(out.suffix.lower())
        if target is None:
            raise InputError(
                f"{out}: the name of the file must end in {', '.join(known)} ({option('out')})"
            )
    if target not in TARGETS:
        raise InputError(
            f"{option('to')} must be one of {', '.join(TARGETS)}, got {target!r} instead"
            f"{did_you_mean(target, TARGETS)}"
        )
    suffix = next(suffix for suffix, name in known.items() if name == target)
    if out.suffix.lower() != suffix:
        raise InputError(
            f"{out}: the name of a file for {target} must end in {suffix}: name it "
            f"{out.with_suffix(suffix).name} ({option('out')})"
        )
    return target


def write_target(model: Classifier, metadata: Metadata, target: Target, path: Path) -> None:
    """Write a classifier as a file of a runtime, perhaps with a file of its weights beside it.

    Args:
        model: The classifier.
        metadata: Description that is stored in the file.
        target: Kind of the file.
        path: The file; its name must be the final one, since files mention each other.

    Raises:
        MissingExtra: A library for the target is not installed.
        ModelError: The net is too large for the target.
    """
    _WRITERS[target](model, metadata, path)


def _write_onnx(model: Classifier, metadata: Metadata, path: Path) -> None:
    graph = _described(model, metadata)  # names the extra if onnx is missing
    import onnx

    beside = graph.ByteSize() >= BESIDE_FROM
    how = {"location": f"{path.name}.data", "size_threshold": LARGEST_CONSTANT} if beside else {}
    onnx.save_model(graph, path, save_as_external_data=beside, **how)


def _write_openvino(model: Classifier, metadata: Metadata, path: Path) -> None:
    try:
        import openvino
    except ImportError as error:
        raise MissingExtra("writing files for OpenVINO", "openvino") from error
    graph = _described(model, metadata)
    import onnx

    with_graph = path.with_name(f"{path.name}.onnx")
    onnx.save_model(graph, with_graph)
    del graph  # as large as the weights
    converted = openvino.Core().read_model(with_graph)
    converted.set_rt_info(metadata.to_json(), KEY)
    # In float32, since half precision would change the answers.
    openvino.save_model(converted, path, compress_to_fp16=False)
    del converted  # which reads from the file
    with_graph.unlink()


def _described(model: Classifier, metadata: Metadata) -> Any:
    """Return the graph of a model with its description.

    Raises:
        ModelError: The net is too large for an ONNX file.
    """
    weights = sum(4 * parameter.numel() for parameter in model.net.parameters())
    if weights >= 2**31 - 2**24:
        raise ModelError(
            f"net {model.name} has {weights / 1e9:.1f} GB of weights, more than the 2 GB of an "
            f"ONNX graph; {option('to', 'torch')} has no such limit"
        )
    make = int8_graph if metadata.precision == "int8" else onnx_graph
    graph = make(model, dense=metadata.dense)
    graph.producer_version = metadata.version
    graph.doc_string = (
        f"VGG net {metadata.net}, {len(metadata.classes):,} classes, licence of the weights: "
        f"{metadata.licence or 'not stated'}"
    )
    graph.metadata_props.add(key=KEY, value=metadata.to_json())
    return graph


def _write_torch(model: Classifier, metadata: Metadata, path: Path) -> None:
    import torch

    from verydeep.models.export.program import exported_program

    program = exported_program(model, dense=metadata.dense)
    torch.export.save(program, path, extra_files={TORCH_ENTRY: metadata.to_json()})


_WRITERS: dict[Target, Callable[[Classifier, Metadata, Path], None]] = {
    "onnx": _write_onnx,
    "openvino": _write_openvino,
    "torch": _write_torch,
}
