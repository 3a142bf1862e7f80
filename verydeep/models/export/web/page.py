"""The page: a net, its runtime and its classes in one HTML file."""

from __future__ import annotations

import base64
import gzip
import hashlib
from collections.abc import Iterator
from dataclasses import dataclass
from importlib import resources
from pathlib import Path
from typing import TYPE_CHECKING, Any

from verydeep.errors import InputError, ModelError, plural
from verydeep.evaluation.abstention.abstention import Abstention
from verydeep.models.classifier import Classifier
from verydeep.models.export.describe import exported_abstention
from verydeep.models.export.graph import SCORES, onnx_graph
from verydeep.models.export.web.runtime import Runtime, find_runtime
from verydeep.models.export.web.small_weights import with_int8_weights
from verydeep.models.exported.metadata import FEATURES, KEY, PROJECTIONS, Metadata
from verydeep.models.weights.checksum import MEGABYTE
from verydeep.system.files import write_text
from verydeep.system.option_names import option
from verydeep.system.pages import render
from verydeep.system.progress import Progress
from verydeep.system.summary import Rows, Summary, percent

if TYPE_CHECKING:
    from onnx import ModelProto

LARGE = 100 * MEGABYTE
"""Bytes of a page from which on a browser takes long, and a phone may fail."""

LARGEST = 500 * MEGABYTE
"""Bytes that no browser reads as one text."""

INT8_BOUND = 0.05
"""Largest accepted difference of a probability with weights in 8 bits."""

_HERE = "verydeep.models.export.web"


@dataclass(frozen=True)
class PageOptions:
    """Options of a page.

    Attributes:
        int8: Store the weights in 8 bits, a quarter of the size; the probabilities differ a little.
        runtime: Package of ONNX Runtime Web as a ``.tgz`` file or a folder; None takes it from the
            cache or from npm.
    """

    int8: bool = False
    runtime: str | Path | None = None

    @property
    def weights(self) -> str:
        """Type of the stored weights."""
        return "int8" if self.int8 else "float32"


@dataclass(frozen=True, repr=False)
class WebPage(Summary):
    """A written page.

    Attributes:
        path: The file.
        size: Its size in bytes.
        net_size: Bytes of the net's ONNX graph, before compression.
        weights: ``float32`` or ``int8``.
        runtime: Version of ONNX Runtime Web.
    """

    path: Path
    size: int
    net_size: int
    weights: str
    runtime: str

    def facts(self) -> Rows:
        """Yield the displayed facts."""
        yield "page", self.path
        yield "size", f"{self.size / MEGABYTE:.1f} MB"
        yield "net", f"{self.net_size / MEGABYTE:.1f} MB, {self.weights}"
        yield "runtime", self.runtime

    def to_dict(self) -> dict[str, Any]:
        """Return plain values for JSON."""
        return {
            "path": str(self.path),
            "bytes": self.size,
            "net_bytes": self.net_size,
            "weights": self.weights,
            "runtime": self.runtime,
        }


def write_web_page(
    model: Classifier,
    path: Path,
    options: PageOptions | None = None,
    progress: Progress | None = None,
) -> WebPage:
    """Write a page that classifies images in the browser as :meth:`Classifier.predict` does.

    Args:
        model: Classifier.
        path: HTML file to write.
        options: Weights and runtime of the page.
        progress: Progress reporting; it is told of a page that is large for a browser.

    Raises:
        ModelError: The model has no classes, or the page is larger than browsers can read.
        InputError: There is no ONNX Runtime Web, or the file cannot be written.
        MissingExtra: onnx is not installed.
    """
    options, progress = options or PageOptions(), progress or Progress()
    if not model.classes:
        raise ModelError("a web page names classes, but this model has convolutions only")
    if path.is_dir():
        raise InputError(f"{path}: a folder; name a file like page.html ({option('out')})")
    found = find_runtime(options.runtime, progress)
    graph = page_graph(model)
    if options.int8:
        with_int8_weights(graph)
    net = graph.SerializeToString()
    page = _page(model, net, found, options.weights)
    size = len(page.encode())
    if size > LARGEST:
        raise ModelError(
            f"the page would have {size / MEGABYTE:,.0f} MB, more than browsers can read: "
            f"{_smaller(options.int8)}"
        )
    if size > LARGE:
        progress.log(
            f"the page has {size / MEGABYTE:,.0f} MB: slow to open, and too large for some phones; "
            f"{_smaller(options.int8)}"
        )
    write_text(path, page)
    return WebPage(path, size, len(net), options.weights, found.version)


def page_graph(model: Classifier) -> ModelProto:
    """Return the dense graph of a net with its scores and its max-pooling layers as outputs.

    That of a model that tells unlike images also has what their distance is computed of.
    """
    from onnx import TensorProto, helper

    told = (FEATURES, PROJECTIONS) if model.reference else ()
    graph = onnx_graph(model, dense=True, outputs=(SCORES, *told))
    for name in _layers(graph):
        value = helper.make_tensor_value_info(name, TensorProto.FLOAT, [None] * 4)
        graph.graph.output.append(value)
    return graph


def write_proof_graph(
    model: Classifier, metadata: Metadata, path: Path, options: PageOptions
) -> None:
    """Write the page's net as an ONNX file, to compare its answers with those of the model.

    Args:
        model: Classifier.
        metadata: Description of a dense file.
        path: File to write.
        options: As for :func:`write_web_page`.
    """
    import onnx

    graph = onnx_graph(model, dense=True)
    if options.int8:
        with_int8_weights(graph)
    graph.metadata_props.add(key=KEY, value=metadata.to_json())
    onnx.save_model(graph, path)


def _layers(graph: ModelProto) -> list[str]:
    return [node.output[0] for node in graph.graph.node if node.op_type == "MaxPool"]


def _page(model: Classifier, net: bytes, runtime: Runtime, weights: str) -> str:
    script = _text("page.js")
    return render(
        _HERE,
        "page.html",
        title=f"VGG net {model.name}: {plural(len(model.classes), 'class', 'classes')}",
        facts=_facts(model),
        about=_about(model, len(net), weights, runtime),
        worker=_text("resize.js") + _text("worker.js"),
        script=script,
        script_digest=base64.b64encode(hashlib.sha256(script.encode()).digest()).decode(),
        runtime_script=_packed(runtime.script),
        runtime_wasm=_packed(runtime.wasm),
        model=_packed(net),
        mit=_text("MIT.txt"),
    )


def _facts(model: Classifier) -> dict[str, Any]:
    """Return what the page's program needs to know."""
    scales, limits = ", ".join(map(str, model.test_scales)), model.label_thresholds
    learned = _learned(model)
    threshold, sets = (learned.threshold, learned.sets) if learned else (None, None)
    familiar = learned.familiar if learned else None
    mirrored = ", averaged with the mirror image" if model.test_flip else ""
    calibrated = "; calibrated probabilities" if model.calibration else ""
    return {
        "classes": [model.title(label) for label in range(len(model.classes))],
        "scales": list(model.test_scales),
        "flip": model.test_flip,
        "thresholds": None if limits is None else list(limits),
        "temperature": model.calibration.temperature if model.calibration else None,
        "threshold": threshold.least if threshold else None,
        "limit": familiar.limit if familiar else None,
        "possible": sets.least if sets else None,
        "coverage": sets.coverage if sets else None,
        "layers": [f"features.{name}" for name in model.net.block_ends],
        "how": f"Smallest side rescaled to {scales} pixels, evaluated densely{mirrored}"
        f"{calibrated}.",
    }


def _learned(model: Classifier) -> Abstention | None:
    """Return what holds for the page's test of an image; None if nothing was learned for it."""
    learned = exported_abstention(model)
    return learned if model.abstention_for(model.test_protocol()) else None


def _about(model: Classifier, net_size: int, weights: str, runtime: Runtime) -> dict[str, Any]:
    return {
        "net": f"{model.name}, width {model.net.settings()['width']:g}",
        "parameters": sum(one.numel() for one in model.net.parameters()),
        "size": f"{net_size / MEGABYTE:,.1f} MB",
        "weights": weights,
        "runtime": runtime.version,
        "licence": (model.source or {}).get("licence"),
        "lines": list(_lines(model, weights)),
    }


def _lines(model: Classifier, weights: str) -> Iterator[str]:
    measured = model.measured or {}
    if "top1_error" in measured:
        images = f" on {measured['images']:,} images" if "images" in measured else ""
        before = ", before its weights were rounded to 8 bits" if weights == "int8" else ""
        yield f"Measured top-1 error: {percent(measured['top1_error'])}{images}{before}."
    learned = _learned(model)
    if learned and (kept := learned.threshold):
        yield (
            f"It answers from {100 * kept.least:.1f} % on: at most {kept.error:g} % of its answers "
            "to images like those that it was calibrated on are wrong, with "
            f"{kept.confidence:g} % confidence."
        )
    if learned and (familiar := learned.familiar):
        yield (
            f"It refuses images whose {familiar.layer} features lie far from those of "
            f"{plural(familiar.reference, 'training image')}, and at most {familiar.refused:g} % "
            "of familiar images on average."
        )
    known = plural(len(model.classes), "class", "classes")
    if "mean_average_precision" in measured:
        precision = percent(measured["mean_average_precision"])
        yield f"Measured mean average precision: {precision} on {measured['images']:,} images."
    if model.multi_label:
        yield (
            f"The net knows {known} alone; an image may have several of them or none. Those that "
            "are predicted are marked: their probability reaches the threshold of their class."
        )
        return
    yield (
        f"The net knows {known} alone: an image of anything else gets one of them, too, often with "
        "a high probability."
    )


def _packed(content: bytes) -> str:
    return base64.b64encode(gzip.compress(content, 6, mtime=0)).decode()


def _text(name: str) -> str:
    return (resources.files(_HERE) / name).read_text("utf-8")


def _smaller(int8: bool) -> str:
    narrow = "train a narrow net (width below 1)"
    return narrow if int8 else f"{option('int8', value=True)} takes a quarter, or {narrow}"
