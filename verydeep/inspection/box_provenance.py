"""Where a box came from: the windows whose boxes were merged into it, and the pixels behind one.

A box net answers at every position of every view; the boxes of a class are merged greedily, and
the merged box with the largest sum of posteriors is the answer (appendix A of the paper; see
:mod:`verydeep.localization.detect`). Here the merging is followed backwards.

H, W sides of a rescaled image in pixels, P boxes.
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
from verydeep.evaluation.evaluate import Model
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
    """A box of the class, before merging. All boxes in pixels of the upright image.

    Attributes:
        net: Number of the box net.
        view: What the net saw at this position.
        row: Of the position in the view's map.
        column: Of the position.
        box: The box, clipped to the image.
        score: Posterior of the class at this position.
        alone: Whether the net was shown this window by itself, a crop, and not the whole image.
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
        """The smallest side of the rescaled image, Q, in pixels."""
        return min(self.view.rescaled)

    @property
    def window(self) -> Box:
        """What the net was asked about, where on the image."""
        top, left, height, width = self.view.window
        y, x = (a / b for a, b in zip(self.view.picture, self.view.rescaled, strict=True))
        return Box(left * x, top * y, (left + width) * x, (top + height) * y)


@dataclass(frozen=True, eq=False)
class Provenance:
    """Where the box of a class came from.

    Attributes:
        label: Number of the class.
        origins: Its boxes before merging, of all positions, views and nets.
        steps: Of the merging, as :func:`verydeep.localization.merge.merge_steps` yields them.
        used: Numbers of the origins that the answer was merged from, the best score first.
        box: The answer; None if no box had any area.
        score: Sum of the posteriors of what it was merged from.
    """

    label: int
    origins: tuple[Origin, ...]
    steps: tuple[Merged, ...]
    used: tuple[int, ...]
    box: Box | None
    score: float

    @property
    def strongest(self) -> Origin | None:
        """The origin of the answer with the largest score."""
        return self.origins[self.used[0]] if self.used else None


def provenance(
    models: Sequence[Model],
    nets: Sequence[Localizer],
    source: Path | Image.Image,
    protocol: BoxProtocol,
    label: int,
) -> Provenance:
    """Return where the box of a class on an image came from.

    Args:
        models: Classification nets, as for :func:`verydeep.localization.detect.locate`.
        nets: Box nets.
        source: The image.
        protocol: How boxes are found.
        label: The class.

    Raises:
        PictureError: The image cannot be read.
        InputError: The nets do not fit each other or the protocol.
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
    """Return of every box at the end which of those at the start it was merged from.

    Args:
        boxes: (P, 4), as they were handed to the merging.
        steps: Of the merging.

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
    """Yield a class's boxes in the order in which they are merged, without those without area."""
    for answer in sighting.answers:
        for net, maps in enumerate(answer.boxes):
            own = maps[[label if len(maps) > 1 else 0]].double()
            found = boxes_on_picture(own, answer.first)[:, :, 0]
            boxes, good = on_picture(found, sighting.size)
            for row, column in good.nonzero().tolist():
                view = position_view(answer.first, row, column)
                box = Box(*boxes[row, column].tolist())
                score = float(answer.likely[label, row, column])
                yield Origin(net, view, row, column, box, score, alone)


class Pull(NamedTuple):
    """How pixels pull at a box.

    Attributes:
        pixels: uint8 (3, H, W), the rescaled image, not mirrored.
        box: Where the net in float32 puts the box, (cx, cy, w, h) in pixels of the upright
            image, not clipped.
        gradients: float32 (4, H, W): by how many of these pixels cx, cy, w, h move if a pixel
            changes by a grey level, the largest of the three colours, without its sign.
    """

    pixels: Tensor
    box: tuple[float, float, float, float]
    gradients: Tensor


def pull(net: Localizer, source: Path | Image.Image, origin: Origin, label: int) -> Pull:
    """Return how the pixels of an image pull at the edges of one box, in float32.

    The box is that of one position, before merging and before it is clipped to the image.

    Args:
        net: The box net.
        source: The image.
        origin: Position, scale and view.
        label: The class.

    Raises:
        PictureError: The image cannot be read.
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
    answer = maps[0, label if net.per_class else 0, :, origin.row, origin.column]
    found = [torch.autograd.grad(one, shown, retain_graph=True)[0][0] for one in answer]
    factor, shift = (torch.tensor(each) for each in (origin.view.factor, origin.view.shift))
    slopes = torch.stack(found).cpu().abs().amax(1) / factor.abs().view(4, 1, 1)
    gradients = torch.zeros(4, *pixels.shape[1:])
    gradients[:, y0:y1, x0:x1] = slopes.flip(2) if flip else slopes
    box = ((answer.detach().cpu() - shift) / factor).tolist()
    return Pull(pixels, (box[0], box[1], box[2], box[3]), gradients)
