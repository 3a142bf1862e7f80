"""Detection of classes with their boxes on images (appendix A, second test protocol).

Classification nets predict the classes of an image and their posteriors at every position; box
regressors predict the boxes. The boxes of one class from all positions, scales, mirror images and
box regressors are merged. The prediction is the merged box with the largest sum of that class's
posteriors.

Where the paper leaves details open: the classes are those of the image's k largest posteriors
(scores averaged over the positions of a map, as in dense testing), in descending order. The weight
of a box is the posterior of its class at its position, averaged over the classification nets.
Boxes of different classes are not merged. Boxes are first clipped to the image; boxes without area
are omitted.

K classes.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import NamedTuple

import torch
from PIL import Image

from verydeep.data.geometry import Box
from verydeep.data.pipeline.rescaled import TestPictures
from verydeep.errors import InputError, PictureError
from verydeep.evaluation.calibration import temper
from verydeep.evaluation.joint_tests import Model
from verydeep.evaluation.metrics import likeliest
from verydeep.localization.dense_outputs import BoxRegressor, DenseOutputs, Net, dense_outputs
from verydeep.localization.merge import Merged, merge, merge_steps
from verydeep.localization.protocol import BoxProtocol, Merging
from verydeep.system.progress import ProgressTask


class Guess(NamedTuple):
    """A predicted class with its box.

    Attributes:
        label: Class index.
        probability: Posterior of the class in the image, calibrated if asked for; None without a
            classification net.
        box: Box in pixels of the upright image; None if no box had any area.
        score: Sum of the posteriors of the boxes merged into this one.
    """

    label: int
    probability: float | None
    box: Box | None
    score: float


@dataclass(frozen=True)
class Located:
    """Predictions for an image.

    Attributes:
        size: Height and width of the image, in pixels.
        guesses: Most likely classes and their boxes, in descending order; empty without a
            classification net.
        given: Box of the given class; None if no class was given.
    """

    size: tuple[int, int]
    guesses: tuple[Guess, ...]
    given: Guess | None = None


def locate(
    models: Sequence[Model],
    nets: Sequence[BoxRegressor],
    pictures: TestPictures,
    protocol: BoxProtocol,
    *,
    labels: Mapping[int, int] | None = None,
    calibrated: bool = False,
    block: int = 256,
    task: ProgressTask | None = None,
) -> dict[int, Located]:
    """Predict classes and boxes for images.

    Args:
        models: Classification nets; without any, there are no guesses and all boxes have equal
            weight.
        nets: Box regressors with the same classes and input size.
        pictures: Images at every scale of the protocol; it records unreadable ones.
        protocol: Test protocol.
        labels: Class by image index; its box is returned as ``given``, guessed or not.
        calibrated: Apply the temperature of a single classification net to the probabilities, as in
            predictions without boxes. Tests report them as measured.
        block: Images per block; views of a block are batched.
        task: Progress task, updated with the number of images done.

    Returns:
        Predictions by image index, without unreadable images.

    Raises:
        InputError: The nets are incompatible with each other or the protocol.
    """
    check_nets(models, nets, protocol)
    wanted = labels or {}
    temperature = _temperature(models) if calibrated else None
    seen = dense_outputs(models, nets, pictures, protocol, block=block, task=task)
    return {
        row: located_in(sighting, protocol, wanted.get(row), temperature) for row, sighting in seen
    }


def _temperature(models: Sequence[Model]) -> float | None:
    """Return the temperature of a single net; averages of several nets have none."""
    if len(models) != 1 or models[0].calibration is None:
        return None
    return models[0].calibration.temperature


def merging_of(
    models: Sequence[Model],
    nets: Sequence[BoxRegressor],
    source: Path | Image.Image,
    protocol: BoxProtocol,
    label: int,
) -> list[Merged]:
    """Return the merging steps for the boxes of one class on one image.

    Args:
        models: Classification nets, as for :func:`locate`.
        nets: Box regressors, as for :func:`locate`.
        source: Image.
        protocol: Test protocol.
        label: Class index.

    Raises:
        PictureError: The image cannot be read.
        InputError: The nets are incompatible with each other or the protocol.
    """
    boxes, likely = sight_one(models, nets, source, protocol).candidates([label])
    return list(merge_steps(boxes, likely[:, 0], protocol.merging))


def sight_one(
    models: Sequence[Model],
    nets: Sequence[BoxRegressor],
    source: Path | Image.Image,
    protocol: BoxProtocol,
) -> DenseOutputs:
    """Return the dense outputs for one image; the arguments are those of :func:`merging_of`.

    Raises:
        PictureError: The image cannot be read.
        InputError: The nets are incompatible with each other or the protocol.
    """
    check_nets(models, nets, protocol)
    pictures = TestPictures([source], protocol.used_scales, 0)
    seen = [sighting for _, sighting in dense_outputs(models, nets, pictures, protocol)]
    if not seen:
        raise PictureError(pictures.unreadable[0])
    return seen[0]


def check_nets(
    models: Sequence[Model], nets: Sequence[BoxRegressor], protocol: BoxProtocol
) -> None:
    """Refuse nets that cannot be tested together.

    Raises:
        InputError: There is no box regressor, or no classification net for a protocol that predicts
            classes; classes or input sizes differ; a scale is too small; a net cannot run densely.
    """
    if not nets:
        raise InputError("to find objects takes at least one box regressor")
    if protocol.guesses and not models:
        raise InputError(f"{protocol.name} boxes are rated by class: name a classification net too")
    first = nets[0]
    every: list[Net] = [*models, *nets]
    for net in every:
        for scale in protocol.used_scales:
            net.check_scale(scale)
        if net.classes != first.classes:
            raise InputError(
                "nets that classify and nets that find boxes must know the same classes in the "
                f"same order; {first.name} knows {len(first.classes)} ({first.classes[0]}, …), "
                f"{net.name} {len(net.classes)} ({net.classes[0]}, …)"
            )
        if net.input_size != first.input_size:
            raise InputError(
                "nets answer at the same positions only if their crops are of one size; "
                f"{first.name} takes {first.input_size} pixels, {net.name} {net.input_size}"
            )
    for model in models:
        if protocol.name == "dense" and not (model.any_size and model.slides):
            raise InputError(f"net {model.name} does not answer densely at many positions")


def located_in(
    sighting: DenseOutputs,
    protocol: BoxProtocol,
    label: int | None,
    temperature: float | None = None,
) -> Located:
    """Return the predictions for an image from its dense outputs.

    Args:
        sighting: Outputs of all nets.
        protocol: Test protocol.
        label: Class whose box is returned as ``given``; None for no class.
        temperature: Temperature of the probabilities; None leaves them as they are.
    """
    posterior = sighting.posterior
    top = [] if posterior is None else likeliest(posterior[None], protocol.top)[0].tolist()
    labels = [*dict.fromkeys([*top, *([] if label is None else [label])])]
    found = best_boxes(sighting, labels, protocol.merging)
    if posterior is not None and temperature is not None:
        posterior = torch.from_numpy(temper(posterior[None], temperature)[0])
    guesses = {
        each: Guess(each, None if posterior is None else float(posterior[each]), *found[each])
        for each in labels
    }
    given = None if label is None else guesses[label]
    return Located(sighting.size, tuple(guesses[each] for each in top), given)


def best_boxes(
    sighting: DenseOutputs, labels: Sequence[int], merging: Merging
) -> dict[int, tuple[Box | None, float]]:
    """Return the best merged box and its score by class; (None, 0) without a box."""
    # Boxes shared by all classes are merged only once.
    shared = all(len(boxes) == 1 for answer in sighting.answers for boxes in answer.boxes)
    groups = [[*labels]] if shared else [[label] for label in labels]
    found: dict[int, tuple[Box | None, float]] = {}
    for group in groups:
        merged = merge(*sighting.candidates(group), merging)
        for column, label in enumerate(group):
            if not len(merged.boxes):
                found[label] = None, 0.0
                continue
            best = int(merged.scores[:, column].argmax())
            found[label] = Box(*merged.boxes[best].tolist()), float(merged.scores[best, column])
    return found
