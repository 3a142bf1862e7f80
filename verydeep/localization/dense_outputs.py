"""Dense outputs of classification nets and box regressors on the same views of an image.

N images of a group, K classes, G boxes per position (1 or K), P boxes in total; h, w sides of a
map.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator, Sequence
from contextlib import closing
from dataclasses import dataclass, field
from typing import NamedTuple
from typing import Protocol as Interface

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from verydeep.data.geometry import View
from verydeep.data.pipeline.rescaled import Pixels, TestPicture, TestPictures
from verydeep.evaluation.joint_tests import Model
from verydeep.evaluation.posteriors import ANSWERS, not_finite
from verydeep.evaluation.view_batching import Together, in_blocks
from verydeep.localization.box_geometry import PlacedView, area, boxes_on_picture, clip, first_view
from verydeep.localization.protocol import BoxProtocol
from verydeep.system.progress import ProgressTask

KEPT_BYTES = 256 * 2**20
"""Maximum bytes of outputs kept while other views of their images are pending."""


class Net(Interface):
    """Interface shared by classification nets and box regressors."""

    @property
    def name(self) -> str:
        """Name of the net."""

    @property
    def classes(self) -> tuple[str, ...]:
        """Names of the K classes."""

    @property
    def input_size(self) -> int:
        """Side of the input crop, in pixels."""

    @property
    def pixels_at_once(self) -> int:
        """Recommended number of pixels per batch."""

    def check_scale(self, scale: int) -> None:
        """Raise an InputError if the net cannot be tested at a scale."""


class BoxRegressor(Net, Interface):
    """Interface of a box regressor."""

    @property
    def stride(self) -> int:
        """Pixels between neighbouring positions of the map of boxes."""

    @property
    def per_class(self) -> bool:
        """True for one box per class (G = K), False for one box for all classes (G = 1)."""

    def outputs(self, pictures: Tensor) -> Tensor:
        """Return boxes for uint8 images: (N, G, 4, h, w), centre and size relative to the crop."""


class Answer(NamedTuple):
    """Outputs of all nets for one view.

    Attributes:
        first: Window at position (0, 0).
        likely: Posteriors at every position of the box regressors, averaged over the
            classification nets, (K, h, w).
        boxes: Boxes of each box regressor, (G, 4, h, w).
    """

    first: PlacedView
    likely: Tensor
    boxes: tuple[Tensor, ...]


@dataclass
class DenseOutputs:
    """Outputs of all nets for one image.

    Attributes:
        size: Height and width of the image, in pixels.
        views: Number of views.
        answers: Outputs for each view.
        total: Sum of the views' posteriors (scores averaged over positions), (K,); None without
            classification nets.
    """

    size: tuple[int, int]
    views: int
    answers: list[Answer] = field(default_factory=list)
    total: Tensor | None = None

    @property
    def posterior(self) -> Tensor | None:
        """Posterior of the image, float32 (K,): the mean over its views."""
        return None if self.total is None else self.total / self.views

    def candidates(self, labels: Sequence[int]) -> tuple[Tensor, Tensor]:
        """Return the boxes of classes at all positions, clipped to the image.

        Boxes without area and non-finite boxes are omitted.

        Args:
            labels: L classes; several only if every box regressor has one box for all classes.

        Returns:
            Corners in image pixels, float64 (P, 4), and posteriors of the classes at each box's
            position, float64 (P, L).
        """
        boxes, likely = [torch.empty(0, 4)], [torch.empty(0, len(labels))]
        for answer in self.answers:
            for maps in answer.boxes:
                assert len(maps) == 1 or len(labels) == 1
                own = maps[labels] if len(maps) > 1 else maps
                boxes.append(boxes_on_picture(own.double(), answer.first).reshape(-1, 4))
                likely.append(answer.likely[list(labels)].flatten(1).T)
        found, good = on_picture(torch.cat(boxes).double(), self.size)
        return found[good], torch.cat(likely).double()[good]


def on_picture(boxes: Tensor, size: tuple[int, int]) -> tuple[Tensor, Tensor]:
    """Return boxes (…, 4) clipped to an image, and a mask of the valid ones, bool (…).

    Boxes without area and non-finite boxes are invalid.
    """
    clipped = clip(boxes, *size)
    return clipped, boxes.isfinite().all(-1) & (area(clipped) > 0)


def dense_outputs(
    models: Sequence[Model],
    nets: Sequence[BoxRegressor],
    pictures: TestPictures,
    protocol: BoxProtocol,
    *,
    block: int = 256,
    task: ProgressTask | None = None,
) -> Iterator[tuple[int, DenseOutputs]]:
    """Compute the outputs of all nets for all views of images.

    Images are processed in blocks, and views of one size in one batch, as in
    :func:`verydeep.evaluation.posteriors.mix_posteriors`.

    Args:
        models: Classification nets; without any, all posteriors are 1.
        nets: Box regressors with the same classes and input size.
        pictures: Images at every scale of the protocol; it records unreadable ones.
        protocol: Views and scales.
        block: Images per block.
        task: Progress task, updated with the number of images done.

    Yields:
        Index and outputs of every readable image, once all its views are done.

    Raises:
        ModelError: The scores of a classification net are not finite.
    """
    desk = _Collector(models, nets, protocol)
    every: list[Net] = [*models, *nets]
    together = Together([min(net.pixels_at_once for net in every)], desk.add)
    blocks = in_blocks(pictures, together, block, task=task, full=desk.is_full)
    with closing(blocks) as each:
        for picture in each:
            desk.take(picture, together)
            yield from desk.done()
    yield from desk.done()
    assert not desk.open, "a view was never shown"
    assert not desk.kept, "answers are still kept"


class _Note(NamedTuple):
    """A view's image index, its first window, and how often the protocol has it."""

    row: int
    first: PlacedView
    times: int


class _Collector:
    """Collects the outputs of all views of each image."""

    def __init__(
        self, models: Sequence[Model], nets: Sequence[BoxRegressor], protocol: BoxProtocol
    ) -> None:
        self.models = models
        self.nets = nets
        self.protocol = protocol
        self.open: dict[int, DenseOutputs] = {}
        self.kept = 0

    def take(self, picture: TestPicture, together: Together[_Note]) -> None:
        """Queue all views of an image."""
        size, shown = self.nets[0].input_size, Counter[tuple[int, View]]()
        for scale in self.protocol.used_scales:
            height, width, _ = picture.at(scale).shape
            shown.update((scale, view) for view in self.protocol.views(height, width, size))
        self.open[picture.index] = DenseOutputs(picture.size, shown.total())
        for (scale, view), times in shown.items():
            pixels = picture.at(scale)
            height, width, _ = pixels.shape
            first = first_view(picture.size, (height, width), view, size, self.nets[0].stride)
            note = _Note(picture.index, first, times)
            together.add(0, view, pixels, (picture.index, scale), note)

    def add(self, _: int, shown: Pixels, notes: Sequence[_Note]) -> None:
        """Compute the outputs of all nets for views, and store them by image."""
        boxes = [net.outputs(torch.from_numpy(shown)).cpu() for net in self.nets]
        maps = [model.score_map(shown) for model in self.models]
        likely = self._likely(maps, boxes[0])
        for place, note in enumerate(notes):
            own = tuple(_part(each, place) for each in boxes)
            answer = Answer(note.first, _part(likely, place), own)
            self.open[note.row].answers += [answer] * note.times
            self.kept += _bytes(answer) * note.times
        if maps:
            self._add_posteriors(maps, notes)

    def _likely(self, maps: Sequence[NDArray[np.float32]], boxes: Tensor) -> Tensor:
        """Return posteriors (N, K, h, w) at the positions of boxes (N, G, 4, h, w)."""
        h, w = boxes.shape[-2:]
        if not maps:
            return torch.ones(len(boxes), len(self.nets[0].classes), h, w)
        if not all(np.isfinite(scores).all() for scores in maps):
            raise not_finite()
        # Nets that round up when they halve a map have positions beyond those of the boxes.
        common = (torch.from_numpy(scores[..., :h, :w]) for scores in maps)
        return torch.stack([scores.softmax(1) for scores in common]).mean(0)

    def _add_posteriors(self, maps: Sequence[NDArray[np.float32]], notes: Sequence[_Note]) -> None:
        answers = [ANSWERS["paper"](scores) for scores in maps]
        whole = torch.from_numpy(np.stack(answers).mean(0))
        for note, posterior in zip(notes, whole, strict=True):
            sighting, more = self.open[note.row], posterior * note.times
            sighting.total = more if sighting.total is None else sighting.total + more

    def is_full(self) -> bool:
        """Return whether the outputs that are kept exceed :data:`KEPT_BYTES`."""
        return self.kept > KEPT_BYTES

    def done(self) -> Iterator[tuple[int, DenseOutputs]]:
        """Yield and release the images whose views are all done."""
        complete = [row for row, seen in self.open.items() if len(seen.answers) == seen.views]
        for row in complete:
            sighting = self.open.pop(row)
            self.kept -= sum(map(_bytes, sighting.answers))
            yield row, sighting


def _part(group: Tensor, place: int) -> Tensor:
    """Return one item of a group without keeping the others in memory."""
    return group[place] if len(group) == 1 else group[place].clone()


def _bytes(answer: Answer) -> int:
    return sum(tensor.nbytes for tensor in (answer.likely, *answer.boxes))
