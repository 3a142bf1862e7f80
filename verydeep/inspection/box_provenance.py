"""Provenance of a predicted box: the boxes merged into it, their windows, and pixel gradients.

A box regressor predicts boxes at every position of every view. The boxes of a class are merged
greedily, and the merged box with the largest sum of posteriors is the result (appendix A of the
paper; see :mod:`verydeep.localization.detect`). This module traces the merging backwards.

H, W: sides of a rescaled image in pixels; P boxes.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import NamedTuple

import torch
from PIL import Image
from torch import Tensor

from verydeep.data.geometry import Box, Window
from verydeep.data.pipeline.rescaled import TestPictures
from verydeep.errors import PictureError
from verydeep.evaluation.joint_tests import Model
from verydeep.inspection.differentiable import Scores
from verydeep.localization.box_geometry import PlacedView, boxes_on_picture, position_view
from verydeep.localization.dense_outputs import DenseOutputs, on_picture
from verydeep.localization.detect import sight_one
from verydeep.localization.head import as_boxes
from verydeep.localization.localizer import Localizer
from verydeep.localization.merge import Merged, merge_steps
from verydeep.localization.protocol import BoxProtocol

COORDINATES = ("centre x", "centre y", "width", "height")


@dataclass(frozen=True, slots=True)
class Origin:
    """A box of the class before merging, in pixels of the upright image.

    Attributes:
        net: Index of the box regressor.
        view: View of the net at this position.
        row: Row of the position in the view's map.
        column: Column of the position.
        box: The box, clipped to the image.
        score: Posterior of the class at this position.
        alone: Whether the view is a crop instead of a position in a dense view.
    """

    net: int
    view: PlacedView
    row: int
    column: int
    box: Box
    score: float
    alone: bool = False

    @property
    def scale(self) -> int:
        """Smallest side Q of the rescaled image, in pixels."""
        return min(self.view.rescaled)

    @property
    def window(self) -> Box:
        """Window of the view on the image."""
        top, left, height, width = self.view.window
        y, x = (a / b for a, b in zip(self.view.picture, self.view.rescaled, strict=True))
        return Box(left * x, top * y, (left + width) * x, (top + height) * y)


@dataclass(frozen=True, eq=False)
class Provenance:
    """Provenance of the box of a class.

    Attributes:
        label: Class index.
        origins: Boxes before merging, from all positions, views and nets.
        steps: Merging steps from :func:`verydeep.localization.merge.merge_steps`.
        used: Indices of the origins merged into the result, highest score first.
        box: The result; None if no box overlaps the image.
        score: Sum of the posteriors of the merged boxes.
    """

    label: int
    origins: tuple[Origin, ...]
    steps: tuple[Merged, ...]
    used: tuple[int, ...]
    box: Box | None
    score: float

    @property
    def strongest(self) -> Origin | None:
        """The merged origin with the highest score."""
        return self.origins[self.used[0]] if self.used else None


def provenance(
    models: Sequence[Model],
    nets: Sequence[Localizer],
    source: Path | Image.Image,
    protocol: BoxProtocol,
    label: int,
) -> Provenance:
    """Return the provenance of the box of a class.

    Args:
        models: Classification nets, as for :func:`verydeep.localization.detect.locate`.
        nets: Box regressors.
        source: The image.
        protocol: Protocol of box prediction.
        label: Class index.

    Raises:
        PictureError: The image is unreadable.
        InputError: The nets do not match each other or the protocol.
    """
    seen = sight_one(models, nets, source, protocol)
    origins = tuple(_origins(seen, label, alone=protocol.name != "dense"))
    boxes = torch.tensor([origin.box for origin in origins], dtype=torch.float64).reshape(-1, 4)
    scores = torch.tensor([origin.score for origin in origins], dtype=torch.float64)
    steps = tuple(merge_steps(boxes, scores, protocol.merging))
    last = steps[-1]
    if not len(last.boxes):
        return Provenance(label, origins, steps, (), None, 0.0)
    best = int(last.scores.argmax())
    used = sorted(merged_from(boxes, steps)[best], key=lambda row: -origins[row].score)
    box = Box(*last.boxes[best].tolist())
    return Provenance(label, origins, steps, tuple(used), box, float(last.scores[best]))


def merged_from(boxes: Tensor, steps: Sequence[Merged]) -> list[list[int]]:
    """Return for each final box the indices of the initial boxes merged into it.

    Args:
        boxes: Initial boxes, (P, 4).
        steps: Merging steps.

    >>> boxes = torch.tensor([[0.0, 0, 2, 2], [9, 9, 11, 11], [0, 0, 2, 2.4], [0, 0, 2, 2]])
    >>> merged_from(boxes, [*merge_steps(boxes, torch.ones(4))])
    [[0, 3, 2], [1]]
    """
    rows: dict[tuple[float, ...], list[int]] = {}
    for row, box in enumerate(boxes.double().tolist()):
        rows.setdefault(tuple(box), []).append(row)
    members = [rows[tuple(box)] for box in steps[0].boxes.tolist()]
    for step in steps:
        if step.pair:
            first, second = step.pair
            members[first] = members[first] + members.pop(second)
    return members


def _origins(sighting: DenseOutputs, label: int, *, alone: bool) -> Iterator[Origin]:
    """Yield the boxes of a class in merging order, without those outside the image."""
    for answer in sighting.answers:
        for net, maps in enumerate(answer.boxes):
            own = maps[[label if len(maps) > 1 else 0]].double()
            placed = boxes_on_picture(own, answer.first)[:, :, 0]
            boxes, visible = on_picture(placed, sighting.size)
            for row, column in visible.nonzero().tolist():
                view = position_view(answer.first, row, column)
                box = Box(*boxes[row, column].tolist())
                score = float(answer.likely[label, row, column])
                yield Origin(net, view, row, column, box, score, alone)


class CoordinateGradients(NamedTuple):
    """Gradients of the coordinates of a box.

    Attributes:
        pixels: Rescaled image, not mirrored, uint8 (3, H, W).
        box: Unclipped box (cx, cy, w, h) in pixels of the upright image, computed in float32.
        gradients: Absolute change of cx, cy, w, h per grey level of a pixel, maximum over the three
            colours, float32 (4, H, W).
    """

    pixels: Tensor
    box: tuple[float, float, float, float]
    gradients: Tensor


def coordinate_gradients(
    net: Localizer, source: Path | Image.Image, origin: Origin, label: int
) -> CoordinateGradients:
    """Return the gradients of a box's coordinates with respect to the pixels, in float32.

    The box is that of one position, before clipping and merging.

    Args:
        net: The box regressor.
        source: The image.
        origin: Position, scale and view.
        label: Class index.

    Raises:
        PictureError: The image is unreadable.
    """
    pictures = TestPictures([source], (origin.scale,), 0)
    picture = next(iter(pictures), None)
    if picture is None:
        raise PictureError(pictures.unreadable[0])
    pixels = torch.from_numpy(picture.at(origin.scale).copy()).permute(2, 0, 1)
    window = origin.view.window if origin.alone else Window(0, 0, *pixels.shape[1:])
    x0, y0, x1, y1 = window.corners
    part, flip = pixels[:, y0:y1, x0:x1], origin.view.flip
    shown = (part.flip(2) if flip else part)[None].float().requires_grad_()
    scores = Scores(net)
    maps = as_boxes(scores.net.score_map(scores.reading(shown)))
    coordinates = maps[0, label if net.per_class else 0, :, origin.row, origin.column]
    raw = [torch.autograd.grad(one, shown, retain_graph=True)[0][0] for one in coordinates]
    factor, shift = (torch.tensor(each) for each in (origin.view.factor, origin.view.shift))
    scaled = torch.stack(raw).cpu().abs().amax(1) / factor.abs().view(4, 1, 1)
    gradients = torch.zeros(4, *pixels.shape[1:])
    gradients[:, y0:y1, x0:x1] = scaled.flip(2) if flip else scaled
    cx, cy, w, h = ((coordinates.detach().cpu() - shift) / factor).tolist()
    return CoordinateGradients(pixels, (cx, cy, w, h), gradients)
