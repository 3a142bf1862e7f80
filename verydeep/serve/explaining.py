"""Where a net looked, and where it found the object, as PNG.

H, W: sides of the rescaled image; h, w: sides of the copy that is drawn on.
"""

from __future__ import annotations

import asyncio
import io
import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from functools import partial
from typing import TYPE_CHECKING, Literal, cast
from urllib.parse import quote

import numpy as np
from numpy.typing import NDArray
from PIL import Image

from verydeep.errors import InputError, MissingExtra
from verydeep.serve.answers import ImageAnswer
from verydeep.serve.decoding import Decoded, Fault
from verydeep.serve.problems import Problem
from verydeep.serve.uploads import Upload

if TYPE_CHECKING:
    from verydeep.inspection.subject import Subject
    from verydeep.models.classifier import Classifier
    from verydeep.serve.models import ServedModel
    from verydeep.serve.service import Service

LONGEST = 1600
"""Maximum of the longer side of a drawing, in pixels."""

Show = Literal["overlay", "map", "boxes"]
SHOWN: tuple[Show, ...] = ("overlay", "map", "boxes")

STRONGEST = 0.85
"""Opacity of the map where it is strongest."""

MOST_LABELS = 10
"""Maximum number of labels in one map; the likeliest are taken."""


@dataclass(frozen=True, slots=True)
class ExplainWish:
    """What to draw.

    Attributes:
        show: ``overlay``: the map over the image, with the box of the class if the model has
            boxes; ``map``: the map alone, transparent where it is low, of the image's shape;
            ``boxes``: the image with the boxes of the likeliest classes.
        label: Class to explain, by name or title; None takes the likeliest of the answer, or the
            labels that a multi-label model gives the image.
        layer: Convolution whose map is taken; None takes the last.
        top: Number of classes whose boxes are drawn, unless one class is named.
    """

    show: Show = "overlay"
    label: str | None = None
    layer: str | None = None
    top: int = 1

    @classmethod
    def of(cls, query: Mapping[str, str]) -> ExplainWish:
        """Return the wish of a query.

        Raises:
            Problem: A parameter is out of range.
        """
        show, top = query.get("show", "overlay"), query.get("top", "1")
        if show not in SHOWN:
            raise Problem(
                422, "bad-parameter", f"show must be one of {', '.join(SHOWN)}, got {show[:32]!r}"
            )
        if top not in map(str, range(1, 6)):
            raise Problem(422, "bad-parameter", f"top must be 1 to 5, got {top[:32]!r}")
        return cls(show, query.get("class"), query.get("layer"), int(top))


@dataclass(frozen=True, slots=True)
class Drawing:
    """A drawing, with the facts about it as headers."""

    png: bytes
    headers: dict[str, str]


async def explain(
    service: Service, served: ServedModel, upload: Upload, wish: ExplainWish
) -> Drawing:
    """Return a drawing for an image.

    Raises:
        Problem: The model cannot be explained, or the image cannot be read.
    """
    if wish.show == "boxes" and not served.boxes:
        raise Problem(501, "no-boxes", f"the model {served.name} has no boxes")
    if wish.show != "boxes" and not served.explains:
        raise Problem(
            501,
            "no-gradients",
            f"the model {served.name} cannot be explained: Grad-CAM needs the model folder of a "
            "net of this package, not an exported file or another net",
        )
    plan = replace(served.plan, shown=LONGEST)
    async with service.room.share(plan.most_bytes) as share:
        decoded = await service.decode(upload, plan)
        if isinstance(decoded, Fault):
            raise Problem(422, "unreadable", f"the image cannot be read: {decoded.reason}")
        assert decoded.shown is not None
        share.shrink(decoded.nbytes)
        computed = service.thread.call(partial(_compute, served, decoded, wish))
        share.until(computed)
        found = await asyncio.wrap_future(computed)
        # The thread of the models goes on meanwhile.
        return await asyncio.to_thread(_draw, Image.fromarray(decoded.shown), decoded.size, found)


@dataclass(frozen=True, slots=True)
class _Found:
    """What the nets say.

    Attributes:
        heat: Map from 0 to 1, float32 (H, W); None if it is not wanted.
        names: Names of the explained classes.
        over: Whether the map is laid over the image.
        answer: Answer with boxes; None without.
    """

    heat: NDArray[np.float32] | None = None
    names: tuple[str, ...] = ()
    over: bool = False
    answer: ImageAnswer | None = None


def _compute(served: ServedModel, decoded: Decoded, wish: ExplainWish) -> _Found:
    """Ask the nets, in the thread of the models."""
    if wish.show == "boxes":
        return _Found(answer=served.answer([decoded], wish.top)[0])
    boxed = served.boxes is not None and wish.show == "overlay"
    # The smallest of the scales that the answers use.
    pixels = min(decoded.pixels, key=np.size)
    try:
        labels, answer = _choose(served, decoded, wish, boxed=boxed)
        subjects = _subjects(served, pixels, labels)
        maps = [_heat(served, one, pixels.shape[:2], wish.layer) for one in subjects]
    except MissingExtra as error:
        raise Problem(501, "missing-extra", str(error)) from None
    except InputError as error:
        raise Problem(422, "bad-parameter", str(error)) from None
    names = tuple(served.model.classes[one.label] for one in subjects)
    over = wish.show == "overlay"
    return _Found(np.max(maps, axis=0), names, over, answer if boxed else None)


def _choose(
    served: ServedModel, decoded: Decoded, wish: ExplainWish, *, boxed: bool
) -> tuple[list[int], ImageAnswer | None]:
    """Return the classes to explain, and an answer with their boxes if these are wanted.

    Unless a class is named, they are those that the service answers for the image.

    Raises:
        InputError: The model has no such class.
    """
    from verydeep.inspection.subject import find_class

    if wish.label is not None:
        label = find_class(cast("Classifier", served.model), wish.label)
        return [label], served.answer_about(decoded, label) if boxed else None
    (answer,) = served.answer([decoded], wish.top)
    names = answer.labels or [answer.ranking[0].class_name]
    return [served.model.classes.index(name) for name in names[:MOST_LABELS]], answer


def _draw(picture: Image.Image, size: tuple[int, int], found: _Found) -> Drawing:
    """Draw what the nets say on an image whose boxes are in pixels of ``size``."""
    headers = {"X-Verydeep-Class": ",".join(map(quote, found.names))} if found.names else {}
    drawn = picture
    if found.heat is not None:
        drawn = colour(found.heat).resize(picture.size, Image.Resampling.BILINEAR)
        if found.over:
            grey = picture.convert("L").convert("RGBA")
            drawn = Image.alpha_composite(grey, drawn).convert("RGB")
    if found.answer is not None:
        drawn = _with_boxes(found.answer, size, drawn)
    file = io.BytesIO()
    drawn.save(file, "PNG", compress_level=3)
    return Drawing(file.getvalue(), headers)


def _subjects(
    served: ServedModel, pixels: NDArray[np.uint8], labels: Sequence[int]
) -> list[Subject]:
    """Return a subject for each class.

    It is the whole image, or the central crop if that is all the model sees.
    """
    import torch

    from verydeep.data.geometry import center_window
    from verydeep.inspection.subject import MOST_PIXELS, make_subject

    model = cast("Classifier", served.model)
    if is_central(served):
        height, width = pixels.shape[:2]
        pixels = pixels[center_window(height, width, model.input_size).slices]
    sides = pixels.shape[:2]
    if math.prod(sides) > MOST_PIXELS:
        raise InputError(
            f"rescaled to {sides[1]}x{sides[0]} pixels, the image is too large to explain: at most "
            f"{MOST_PIXELS:,} pixels; cut it"
        )
    shown = torch.from_numpy(pixels.copy()).permute(2, 0, 1).contiguous()
    first = make_subject(model, "image", shown, labels[0])
    return [first, *(replace(first, label=label) for label in labels[1:])]


def is_central(served: ServedModel) -> bool:
    """Return whether the model sees only the central crop."""
    return served.how.name == "center" or not served.model.any_size


def _heat(
    served: ServedModel, subject: Subject, size: tuple[int, ...], layer: str | None
) -> NDArray[np.float32]:
    """Return the map from 0 to 1, float32 (H, W), zero outside the central crop."""
    from verydeep.data.geometry import center_window
    from verydeep.inspection.attribution import grad_cam

    heat: NDArray[np.float32] = grad_cam(subject, layer).heat.detach().float().numpy()
    most = float(heat.max())
    heat = heat / most if most > 0 else np.zeros_like(heat)
    if not is_central(served):
        return heat
    height, width = size
    whole = np.zeros((height, width), np.float32)
    whole[center_window(height, width, served.model.input_size).slices] = heat
    return whole


def colour(heat: NDArray[np.float32]) -> Image.Image:
    """Return a map in colour, transparent where it is low.

    Args:
        heat: Map from 0 to 1, float32 (H, W).
    """
    from matplotlib import colormaps

    values = np.clip(heat, 0, 1)
    pixels = np.empty((*heat.shape, 4), np.uint8)
    pixels[..., :3] = colormaps["viridis"](values, bytes=True)[..., :3]
    pixels[..., 3] = np.round(255 * STRONGEST * values**0.5)
    return Image.fromarray(pixels)


def _with_boxes(answer: ImageAnswer, size: tuple[int, int], picture: Image.Image) -> Image.Image:
    """Return a drawing with the boxes of the likeliest classes, the likeliest on top."""
    from verydeep.data.geometry import Box
    from verydeep.visualization.plots.boxes import PALETTE, Mark, draw_boxes
    from verydeep.visualization.plots.fonts import name_or_number

    wide, high = picture.width / size[1], picture.height / size[0]
    ranked = {one.class_name: one for one in answer.ranking}
    marks = []
    for place, one in enumerate(answer.boxes):
        x0, y0, x1, y1 = one.box
        box = Box(x0 * wide, y0 * high, x1 * wide, y1 * high)
        title = name_or_number(ranked[one.class_name].title, place + 1, pillow=True)
        label = f"{title}, {100 * ranked[one.class_name].probability:.0f} %"
        marks.append(Mark(box, label, PALETTE[place % len(PALETTE)]))
    return draw_boxes(picture, marks[::-1])
