"""Export a classifier to a file of another runtime, with proof that it answers alike."""

from __future__ import annotations

import tempfile
from collections.abc import Iterable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from itertools import pairwise
from math import isnan
from pathlib import Path
from typing import Any

from PIL import Image

from verydeep.data.images.inputs import Picture, list_pictures
from verydeep.data.images.member import ImageSource
from verydeep.errors import InputError, ModelError, plural
from verydeep.models.classifier import Classifier, load_classifier
from verydeep.models.export.describe import describe
from verydeep.models.export.example import example_script, script_of
from verydeep.models.export.int8_graph import BOUND as INT8_VARIANT_BOUND
from verydeep.models.export.int8_graph import check_quantized
from verydeep.models.export.proof import BOUND, Parity, compare, write_report
from verydeep.models.export.targets import Target, check_target, write_target
from verydeep.models.export.web.page import (
    INT8_BOUND,
    PageOptions,
    write_proof_graph,
    write_web_page,
)
from verydeep.models.exported.metadata import Metadata
from verydeep.models.exported.reading import is_exported, weights_beside
from verydeep.models.exported.session import open_session
from verydeep.run.data_record import recorded_dataset
from verydeep.run.testing.overlap import run_of
from verydeep.system.files import (
    TEMPORARY,
    check_writable,
    expanded,
    explained_write_errors,
    move_into_place,
    write_text,
)
from verydeep.system.locks import hold
from verydeep.system.option_names import option, placeholder
from verydeep.system.progress import Progress, ProgressWish, choose_progress
from verydeep.system.settings import Compute
from verydeep.system.summary import Rows, Summary

MOST_PICTURES = 16
"""Images of the training set to compare answers on."""


@dataclass(frozen=True, repr=False)
class ExportResult(Summary):
    """An exported file.

    Attributes:
        out: The file.
        files: All files written, the exported one first.
        target: Kind of the file.
        metadata: Description that is stored in it.
        parity: Comparison with the model.
    """

    out: Path
    files: tuple[Path, ...]
    target: Target
    metadata: Metadata
    parity: Parity

    def facts(self) -> Rows:
        """Yield the displayed facts."""
        yield "net", self.metadata.net
        yield "file", self.out
        yield "largest difference", self.parity.largest_difference
        if (far := self.parity.largest_distance_difference) is not None:
            yield "largest difference of a distance", far
        yield "images compared", len(self.parity.pictures)

    def lines(self) -> list[str]:
        """Return the report, line by line."""
        written = [f"  {path} ({_in_words(path.stat().st_size)})" for path in self.files]
        return [*self.parity.lines(), "files:", *written]

    def to_dict(self) -> dict[str, Any]:
        """Return plain values for JSON."""
        return {
            "out": str(self.out),
            "files": [str(path) for path in self.files],
            "to": self.target,
            "net": self.metadata.net,
            "classes": len(self.metadata.classes),
            "dense": self.metadata.dense,
            "licence": self.metadata.licence,
            "parity": self.parity.to_dict(),
        }


def export(
    model: str | Path | Classifier,
    out: str | Path,
    *,
    to: str | None = None,
    dense: bool = False,
    pictures: Picture | Iterable[Picture] | None = None,
    bound: float | None = None,
    int8: bool = False,
    runtime: str | Path | None = None,
    progress: ProgressWish = None,
) -> ExportResult:
    """Export a classifier to a file that another runtime reads, and prove that it answers alike.

    The file takes uint8 RGB images, any number at once, and contains everything up to the
    probabilities. Its metadata hold classes, test settings, licence and measured errors. Images
    are run through the file in its own runtime and through the model; if a probability differs by
    more than the bound, nothing is written. The file of a model that tells images unlike its
    training images (:func:`verydeep.learn_abstention`) gives their distance as well, which must
    not differ by more either.

    Beside ``F.onnx`` lie ``F.onnx.example.py``, a few lines that name an image with it, the reports
    ``F.onnx.parity.json`` and ``.txt``, and for large nets the weights, ``F.onnx.data``.

    A web page (``to="web"``) is one HTML file that classifies images in a browser, without a
    network. It is always dense, and has no example beside it. Its net is compared in ONNX Runtime.

    Args:
        model: Model or run folder, loaded classifier, or weights as for :func:`verydeep.load`.
        out: File to write; its name ends in ``.onnx``, ``.xml``, ``.pt2`` or ``.html``.
        to: ``onnx``, ``openvino``, ``torch`` (a program of ``torch.export``) or ``web``; None takes
            what the ending of ``out`` says.
        dense: Accept images of any size from ``input_size`` on, instead of crops only.
        pictures: Images to compare answers on; None takes 16 of the training set of a run.
        bound: Largest accepted difference of a probability or a distance; None means 0.0001, with
            int8 0.2, or 0.05 for a web page.
        int8: Export the int8 variant that :func:`verydeep.quantize` left with the model; of a web
            page, store the weights in 8 bits.
        runtime: For a web page: the npm package onnxruntime-web, as a ``.tgz`` file or a folder;
            None takes it from the cache or fetches it once by npm.
        progress: Progress reporting.

    Raises:
        ModelError: The model has no classes, or the file answers otherwise than the model.
        InputError: A setting makes no sense, there are no images to compare on, or ``out``
            cannot be written.
        MissingExtra: A library is not installed.
    """
    path, progress = expanded(out), choose_progress(progress)
    target = check_target(to, path)
    page = PageOptions(int8, runtime)
    bound = _checked_bound(target, page, bound)
    if path.is_dir():
        raise InputError(f"{path}: a folder; name a file ({option('out')})")
    if is_exported(model):
        raise ModelError(f"{model}: exported already; give the model that it was exported from")
    check_writable(path.parent)
    classifier = _loaded(model)
    classifier.check_images("an exported file")
    if dense or target == "web":
        classifier.net.check_dense("a web page" if target == "web" else option("dense"))
    shown = _pictures(model, pictures, progress)
    quantized = int8 and target != "web"
    if quantized:
        check_quantized(classifier)
    metadata = describe(classifier, dense=dense or target == "web", int8=quantized)
    with _folder_beside(path) as folder:
        progress.log(f"writing net {classifier.name} as {path.name}")
        written = folder / path.name
        proved = written.with_suffix(".onnx") if target == "web" else written
        if target == "web":
            write_web_page(classifier, written, page, progress)
            write_proof_graph(classifier, metadata, proved, page)
        else:
            write_target(classifier, metadata, target, written)
        session = open_session(proved)
        parity = compare(classifier, metadata, session, shown, bound=bound, progress=progress)
        del session
        if not parity.holds:
            raise _refusal(path, parity)
        _complete(folder, path, target, metadata, parity)
        files = _move(folder, path)
    return ExportResult(path, files, target, metadata, parity)


def _checked_bound(target: Target, page: PageOptions, bound: float | None) -> float:
    """Return the largest accepted difference, after checks of what not every target has.

    Raises:
        InputError: A setting makes no sense.
    """
    if page.runtime and target != "web":
        raise InputError(f"{option('runtime')} is of {option('to', 'web')}")
    if page.int8 and target == "torch":
        raise InputError(f"{option('int8')} is not for {option('to', 'torch')}")
    if bound is None:
        int8_bound = INT8_BOUND if target == "web" else INT8_VARIANT_BOUND
        return int8_bound if page.int8 else BOUND
    if not bound > 0:
        raise InputError(f"{option('bound')} must be above 0, got {bound} instead")
    return bound


def _complete(folder: Path, path: Path, target: Target, metadata: Metadata, parity: Parity) -> None:
    """Write what lies beside a file; of a web page, remove the graph that was compared."""
    if target == "web":
        (folder / path.name).with_suffix(".onnx").unlink()
    else:
        script = script_of(path)
        write_text(folder / script, example_script(target, metadata, path.name, script))
    write_report(parity, folder, path.name)


def _in_words(size: int) -> str:
    """Return a size in bytes, in words.

    >>> _in_words(553_435_904), _in_words(1789)
    ('553.4 MB', '1.8 kB')
    """
    return f"{size / 1e6:,.1f} MB" if size >= 10**6 else f"{size / 1e3:.1f} kB"


def _loaded(model: str | Path | Classifier) -> Classifier:
    loaded = (
        load_classifier(model, Compute("cpu", "fp32"), multi_label=None)
        if isinstance(model, str | Path)
        else model
    )
    if not loaded.classes:
        loaded.net.check_head()
    return loaded


def _pictures(
    model: object, pictures: Picture | Iterable[Picture] | None, progress: Progress
) -> Sequence[ImageSource | Image.Image]:
    """Return the images to compare answers on.

    Raises:
        InputError: None are given, and the model belongs to no run.
    """
    if pictures is not None:
        found = list_pictures(pictures, progress)
        if not found:
            raise InputError(f"{option('pictures')} names no images")
        return found
    run = run_of(model)
    if run is None:
        raise InputError(
            "the model is not part of a run, so name images to compare the answers of the file "
            f"on: {option('pictures', placeholder('FOLDER'))}"
        )
    samples = recorded_dataset(run).split("train")
    taken = min(len(samples), MOST_PICTURES)
    bounds = [number * len(samples) // max(1, taken) for number in range(taken + 1)]
    return list(samples.take([low for low, _ in pairwise(bounds)]).paths)


@contextmanager
def _folder_beside(path: Path) -> Iterator[Path]:
    """Yield a temporary folder on the disk of a path, which is removed in any case."""
    with explained_write_errors(path):
        path.parent.mkdir(parents=True, exist_ok=True)
        with tempfile.TemporaryDirectory(
            prefix=f".{path.name}.", suffix=TEMPORARY, dir=path.parent
        ) as folder:
            yield Path(folder)


def _move(folder: Path, path: Path) -> tuple[Path, ...]:
    """Move finished files beside a path, the exported one last, and return them, it first.

    An older file of that name is removed first: it would read the new weights as its own, if this
    process were killed in between.

    Raises:
        FolderInUse: Another process is moving files of this name.
    """
    others = sorted(one for one in folder.iterdir() if one.name != path.name)
    with hold(path.with_name(f".{path.name}.lock"), brief=True):
        path.unlink(missing_ok=True)
        weights = weights_beside(path)
        if weights is not None and not (folder / weights.name).exists():
            weights.unlink(missing_ok=True)  # of the older file
        for one in [*others, folder / path.name]:
            move_into_place(one, path.parent / one.name)
    return (path, *(path.parent / one.name for one in others))


def _refusal(path: Path, parity: Parity) -> ModelError:
    found = [(one.difference, "a probability", one.image) for one in parity.pictures]
    found += [
        (one.distance_difference, "a distance", one.image)
        for one in parity.pictures
        if one.distance_difference is not None
    ]
    difference, what, image = max(found, key=lambda one: (isnan(one[0]), one[0]))
    return ModelError(
        f"{path}: refused and removed, since it answers otherwise than the model: {what} "
        f"differs by {difference:.2g} for {image} (at most {parity.bound:g} is "
        f"accepted; {option('bound')} sets that), and the likeliest class changed for "
        f"{parity.changed} of {plural(len(parity.pictures), 'image')}"
    )
