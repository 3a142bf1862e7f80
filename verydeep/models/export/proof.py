"""Comparison of an exported file with its model, image by image, in the file's own runtime.

N images of a batch, K classes.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import asdict, dataclass
from itertools import groupby, islice
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
import torch
from numpy.typing import NDArray
from PIL import Image

from verydeep.data.images.member import ImageSource
from verydeep.data.pipeline.rescaled import Pixels, TestPicture, TestPictures
from verydeep.errors import ModelError, PictureError, plural, printable
from verydeep.evaluation.abstention.familiarity import ProjectedFamiliarity
from verydeep.evaluation.calibration import temper
from verydeep.evaluation.posteriors import answer_of, over_positions
from verydeep.evaluation.sigmoid import sigmoid
from verydeep.evaluation.softmax import softmax
from verydeep.evaluation.view_batching import show
from verydeep.evaluation.views import Center, Dense, Views
from verydeep.models.classifier import Classifier
from verydeep.models.engines.eager import Eager
from verydeep.models.exported.metadata import Metadata
from verydeep.models.exported.session import Outputs, Session
from verydeep.system.device import Machine
from verydeep.system.progress import Progress

BOUND = 1e-4
"""Largest accepted difference of a probability or a distance, for files in float32."""

AT_ONCE = (1, 4)
"""Images of the first batch and of the others, so that several sizes are tried."""


@dataclass(frozen=True)
class PictureParity:
    """Comparison of the answers to one image.

    Attributes:
        image: Name of the image.
        difference: Largest absolute difference of a probability.
        likeliest: Most likely class according to the model.
        by_file: Most likely class according to the file.
        distance: Distance from the training images, according to the model; None if it tells no
            unlike images.
        distance_difference: Absolute difference of the file's distance; None likewise.
        told_otherwise: True if only one of them counts this view as unlike the training images;
            None likewise.
    """

    image: str
    difference: float
    likeliest: str
    by_file: str
    distance: float | None = None
    distance_difference: float | None = None
    told_otherwise: bool | None = None

    @property
    def changed(self) -> bool:
        """True if the most likely class differs."""
        return self.likeliest != self.by_file

    def to_dict(self) -> dict[str, Any]:
        """Return plain values for JSON, without distances if there are none."""
        values = {**asdict(self), "changed": self.changed}
        return {name: value for name, value in values.items() if value is not None}


@dataclass(frozen=True)
class Parity:
    """Parity report of an exported file.

    Attributes:
        pictures: Comparison of every readable image.
        unreadable: Reasons why other images were left out.
        view: What was shown of every image, in words.
        runtime: Name and version of the file's runtime.
        reference: Name and version of PyTorch, with its precision.
        bound: Largest accepted difference of a probability, and of a distance.
    """

    pictures: tuple[PictureParity, ...]
    unreadable: tuple[str, ...]
    view: str
    runtime: str
    reference: str
    bound: float

    @property
    def largest_difference(self) -> float:
        """Largest absolute difference of a probability over all images; NaN if there is one."""
        return float(np.max([one.difference for one in self.pictures]))

    @property
    def largest_distance_difference(self) -> float | None:
        """Largest absolute difference of a distance; None if the model tells no unlike images."""
        found = [one.distance_difference for one in self.pictures]
        return None if None in found else float(np.max(np.array(found)))

    @property
    def changed(self) -> int:
        """Number of images whose most likely class differs."""
        return sum(one.changed for one in self.pictures)

    @property
    def told_otherwise(self) -> int:
        """Number of images that only the model or only the file counts as unlike."""
        return sum(bool(one.told_otherwise) for one in self.pictures)

    @property
    def holds(self) -> bool:
        """True if no difference exceeds the bound."""
        found = (self.largest_difference, self.largest_distance_difference or 0.0)
        return all(one <= self.bound for one in found)  # false for NaN, too

    def to_dict(self) -> dict[str, Any]:
        """Return plain values for JSON."""
        far = self.largest_distance_difference
        distances = {"largest_distance_difference": far, "told_otherwise": self.told_otherwise}
        return {
            "holds": self.holds,
            "largest_difference": self.largest_difference,
            **({} if far is None else distances),
            "bound": self.bound,
            "likeliest_changed": self.changed,
            "images": len(self.pictures),
            "view": self.view,
            "runtime": self.runtime,
            "reference": self.reference,
            "unreadable": list(self.unreadable),
            "pictures": [one.to_dict() for one in self.pictures],
        }

    def lines(self) -> Iterator[str]:
        """Yield the report line by line."""
        yield f"{self.runtime} against {self.reference}"
        yield f"{plural(len(self.pictures), 'image')}, {self.view}"
        yield (
            f"largest difference of a probability: {self.largest_difference:.2g} "
            f"(at most {self.bound:g} is accepted)"
        )
        if (far := self.largest_distance_difference) is not None:
            yield f"largest difference of a distance: {far:.2g} (at most {self.bound:g})"
        yield f"likeliest class changed: {self.changed} of {len(self.pictures)}"
        if far is not None:
            yield f"unlike for one of them only: {self.told_otherwise} of {len(self.pictures)}"
        if self.unreadable:
            yield f"unreadable and left out: {len(self.unreadable)}"

    def text(self) -> str:
        """Return the report with a line for each image."""
        rows = [
            f"{one.difference:10.2e}  {printable(one.image)}: {printable(one.likeliest)}"
            + (f", by the file {printable(one.by_file)}" if one.changed else "")
            + _distance_in_words(one)
            for one in self.pictures
        ]
        return "\n".join([*self.lines(), "", "difference  image: likeliest class", *rows, ""])


def compare(
    model: Classifier,
    metadata: Metadata,
    session: Session,
    pictures: Sequence[ImageSource | Image.Image],
    *,
    bound: float = BOUND,
    progress: Progress | None = None,
) -> Parity:
    """Run images through an exported file and its model, and compare the probabilities.

    Every image is rescaled to the middle test scale. A file that takes crops only is shown the
    central crop, a dense one the whole image. The model is computed by PyTorch in float32. The
    distances from the training images are compared, too, if the model tells unlike images.

    Args:
        model: The model.
        metadata: Description of the file.
        session: The file in its runtime.
        pictures: Files, or images in memory.
        bound: Largest accepted difference of a probability, and of a distance.
        progress: Progress reporting.

    Raises:
        PictureError: None of the images can be read.
        ModelError: The outputs of the file have other shapes than those of the model.
    """
    machine = Machine(torch.device("cpu"), "fp32")
    exact = Eager(model.net, model.preprocessing, machine, exact_answers=True)
    scale = metadata.proof_scale
    tested = TestPictures(pictures, (scale,), interpolation=metadata.interpolation)
    found: list[PictureParity] = []
    with (progress or Progress()).task("comparing answers", len(pictures)) as task:
        for indices, images in _batches(tested, metadata, scale):
            ours, theirs = _answers(model, exact, images), _of_file(session.run(images))
            names = [_name(pictures[index], index) for index in indices]
            found += _compared(model, names, ours, theirs)
            task.update(indices[-1] + 1)
    if not found:
        reasons = "".join(f"\n  {fault}" for fault in [*tested.unreadable.values()][:10])
        raise PictureError(f"none of the images to compare answers on can be read:{reasons}")
    shown = "the whole image" if metadata.dense else "the central crop"
    return Parity(
        tuple(found),
        tuple(tested.unreadable.values()),
        f"{shown} at Q = {scale}",
        session.runtime,
        f"PyTorch {torch.__version__}, fp32, cpu",
        bound,
    )


def _batches(
    tested: TestPictures, metadata: Metadata, scale: int
) -> Iterator[tuple[list[int], Pixels]]:
    """Yield batches of neighbouring views of one size, with the indices of the images."""
    views: Views = Dense(flip=False) if metadata.dense else Center(flip=False)

    def view_of(picture: TestPicture) -> tuple[int, Pixels]:
        pixels = picture.at(scale)
        height, width, _ = pixels.shape
        (view,) = views(height, width, metadata.input_size)
        return picture.index, show(pixels, view)

    for _, group in groupby(map(view_of, tested), key=lambda pair: pair[1].shape):
        count, others = AT_ONCE
        while batch := [*islice(group, count)]:
            yield [index for index, _ in batch], np.stack([pixels for _, pixels in batch])
            count = others


def _distance_in_words(one: PictureParity) -> str:
    if one.distance is None:
        return ""
    return f"; distance {one.distance:.4f}, difference {one.distance_difference:.2e}"


class _Answers(NamedTuple):
    """Probabilities (N, K) and distances (V, N), found in V ways; none if V = 0."""

    likely: NDArray[np.float32]
    distances: NDArray[np.float32]


def _answers(model: Classifier, exact: Eager, images: Pixels) -> _Answers:
    """Return the model's answers to images, with its one distance of each if it has one."""
    shown, reference = torch.from_numpy(images.transpose(0, 3, 1, 2)), model.reference
    far = np.zeros((0, len(images)), np.float32)
    if reference:
        scores, inner = exact.scores_and_activations(shown, model.feature_layer)
        far = reference.distances(over_positions(inner.numpy()))[None]
    else:
        scores = exact.answers(shown)
    likely = answer_of("paper", sigmoid if model.multi_label else softmax)(scores.numpy())
    kept = model.calibration
    return _Answers(temper(likely, kept.temperature) if kept else likely, far)


def _of_file(found: Outputs) -> _Answers:
    """Return a file's answers; the distance also as it is computed for several views."""
    far = np.zeros((0, len(found.probabilities)), np.float32)
    if found.distance is not None and found.features is not None and found.projections is not None:
        both = np.concatenate([found.features, found.projections], 1)
        sizes = ProjectedFamiliarity(found.features.shape[1], found.projections.shape[1])
        far = np.stack([found.distance, sizes.distances(both)])
    return _Answers(found.probabilities, far)


def _compared(
    model: Classifier, names: Sequence[str], ours: _Answers, theirs: _Answers
) -> Iterator[PictureParity]:
    """Yield the comparison of each image.

    Raises:
        ModelError: The outputs of the file have other shapes, or some are missing.
    """
    if ours.likely.shape != theirs.likely.shape:
        raise ModelError(f"the file answers {theirs.likely.shape}, the model {ours.likely.shape}")
    if len(ours.distances) and not len(theirs.distances):
        raise ModelError("the file gives no distance from the training images, but the model does")
    for row, name in enumerate(names):
        mine, others = ours.likely[row], theirs.likely[row]
        first, second = (model.classes[int(one.argmax())] for one in (mine, others))
        difference = float(np.abs(mine - others).max())
        far = _compared_distances(model, ours.distances[:, row], theirs.distances[:, row])
        yield PictureParity(name, difference, first, second, **far)


def _compared_distances(
    model: Classifier, ours: NDArray[np.float32], theirs: NDArray[np.float32]
) -> dict[str, Any]:
    """Return the fields of :class:`PictureParity` on the distance of one image."""
    learned = model.abstention
    if not len(ours) or learned is None or learned.familiar is None:
        return {}
    limit = learned.familiar.limit
    return {
        "distance": float(ours[0]),
        "distance_difference": float(np.abs(theirs - ours).max()),
        "told_otherwise": bool((ours[0] <= limit) != (theirs[0] <= limit)),
    }


def _name(source: ImageSource | Image.Image, index: int) -> str:
    return f"image {index + 1}" if isinstance(source, Image.Image) else str(source)


def write_report(parity: Parity, folder: Path, name: str) -> None:
    """Write the parity report as ``NAME.parity.json`` and ``NAME.parity.txt``."""
    from verydeep.system.files import write_json, write_text

    write_json(folder / f"{name}.parity.json", parity.to_dict())
    write_text(folder / f"{name}.parity.txt", parity.text())
