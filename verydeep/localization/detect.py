"""From images to classes with boxes (appendix A, the second way to test).

Classification nets say which classes an image shows, and how likely each is at every position; box
nets say where. The boxes of one class from all positions, scales, mirror images and box nets are
merged, and the merged box with the largest sum of that class's posteriors is the answer.

What the paper leaves open is decided so: the classes are the k of the image's largest posteriors
(scores averaged over the positions of a map, as in dense testing), and stand in that order. A box
counts with the posterior of its class at its own position, averaged over the classification nets.
Boxes of different classes are not merged with each other. Boxes are clipped to the image first,
and those without area left out.

K classes.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import NamedTuple

from PIL import Image

from verydeep.data.geometry import Box
from verydeep.data.pipeline.rescaled import TestPictures
from verydeep.errors import InputError, PictureError
from verydeep.evaluation.evaluate import Model
from verydeep.evaluation.metrics import likeliest
from verydeep.localization.dense_outputs import BoxNet, DenseOutputs, Net, dense_outputs
from verydeep.localization.merge import Merged, merge, merge_steps
from verydeep.localization.protocol import BoxProtocol, Merging
from verydeep.system.progress import ProgressTask


class Guess(NamedTuple):
    """An answer: a class and where it is.

    Attributes:
        label: Number of the class.
        probability: Its posterior in the image; None without a classification net.
        box: Where it is, in pixels of the upright image; None if no box had any area.
        score: Sum of the posteriors of what the box was merged from.
    """

    label: int
    probability: float | None
    box: Box | None
    score: float


@dataclass(frozen=True)
class Located:
    """What was found on an image.

    Attributes:
        size: Its height and width.
        guesses: The likeliest classes and their boxes, the likeliest first; none without a
            classification net.
        given: The box of the class that was asked for; None if none was.
    """

    size: tuple[int, int]
    guesses: tuple[Guess, ...]
    given: Guess | None = None


def locate(
    models: Sequence[Model],
    nets: Sequence[BoxNet],
    pictures: TestPictures,
    protocol: BoxProtocol,
    *,
    labels: Mapping[int, int] | None = None,
    block: int = 256,
    task: ProgressTask | None = None,
) -> dict[int, Located]:
    """Find objects on images.

    Args:
        models: Classification nets; none leaves out the guesses, and all boxes count the same.
        nets: Box nets, of the same classes and input size.
        pictures: Rescaled to every scale of the protocol. Which are unreadable it knows afterwards.
        protocol: How.
        labels: A class of each image, by number, whose box is wanted whether it is guessed or
            not.
        block: Images in a block; those of a block are shown to the nets together.
        task: Told how many images are done.

    Returns:
        What was found on each readable image, by number.

    Raises:
        InputError: The nets do not fit each other or the protocol.
    """
    check_nets(models, nets, protocol)
    wanted = labels or {}
    seen = dense_outputs(models, nets, pictures, protocol, block=block, task=task)
    return {row: _located(sighting, protocol, wanted.get(row)) for row, sighting in seen}


def merging_of(
    models: Sequence[Model],
    nets: Sequence[BoxNet],
    source: Path | Image.Image,
    protocol: BoxProtocol,
    label: int,
) -> list[Merged]:
    """Return how the boxes of one class on one image are merged, step by step.

    Args:
        models: As for :func:`locate`.
        nets: As for :func:`locate`.
        source: The image.
        protocol: How.
        label: The class.

    Raises:
        PictureError: The image cannot be read.
        InputError: The nets do not fit each other or the protocol.
    """
    boxes, likely = sight_one(models, nets, source, protocol).candidates([label])
    return list(merge_steps(boxes, likely[:, 0], protocol.merging))


def sight_one(
    models: Sequence[Model],
    nets: Sequence[BoxNet],
    source: Path | Image.Image,
    protocol: BoxProtocol,
) -> DenseOutputs:
    """Return what nets say of one image; the arguments are as above.

    Raises:
        PictureError: The image cannot be read.
        InputError: The nets do not fit each other or the protocol.
    """
    check_nets(models, nets, protocol)
    pictures = TestPictures([source], protocol.used_scales, 0)
    seen = [sighting for _, sighting in dense_outputs(models, nets, pictures, protocol)]
    if not seen:
        raise PictureError(pictures.unreadable[0])
    return seen[0]


def check_nets(models: Sequence[Model], nets: Sequence[BoxNet], protocol: BoxProtocol) -> None:
    """Refuse nets that cannot be tested together.

    Raises:
        InputError: There is no box net, or none to classify where classes are to be guessed; the
            classes or input sizes differ; a scale is too small.
    """
    if not nets:
        raise InputError("to find objects takes at least one box net")
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


def _located(sighting: DenseOutputs, protocol: BoxProtocol, label: int | None) -> Located:
    posterior = sighting.posterior
    top = [] if posterior is None else likeliest(posterior[None], protocol.top)[0].tolist()
    labels = [*dict.fromkeys([*top, *([] if label is None else [label])])]
    found = best_boxes(sighting, labels, protocol.merging)
    guesses = {
        each: Guess(each, None if posterior is None else float(posterior[each]), *found[each])
        for each in labels
    }
    given = None if label is None else guesses[label]
    return Located(sighting.size, tuple(guesses[each] for each in top), given)


def best_boxes(
    sighting: DenseOutputs, labels: Sequence[int], merging: Merging
) -> dict[int, tuple[Box | None, float]]:
    """Return the best merged box of each class and its score; (None, 0) where there is no box."""
    # Boxes that all classes share need merging but once.
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
