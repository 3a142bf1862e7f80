"""Where a net looked, and where it found the object, as PNG.

H, W: sides of the rescaled image; h, w: sides of the copy that is drawn on.
"""

from __future__ import annotations

import io
from collections.abc import Mapping
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any, Literal, cast
from urllib.parse import quote

import numpy as np
from numpy.typing import NDArray
from PIL import Image

from verydeep.errors import InputError, MissingExtra
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


@dataclass(frozen=True, slots=True)
class ExplainWish:
    """What to draw.

    Attributes:
        show: ``overlay``: the map over the image, with the box of the class if the model has
            boxes; ``map``: the map alone, transparent where it is low, of the image's shape;
            ``boxes``: the image with the boxes of the likeliest classes.
        label: Class to explain, by name or title; None takes the likeliest.
        layer: Convolution whose map is taken; None takes the last.
        top: Number of classes whose boxes are drawn.
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
    import asyncio

    if wish.show == "boxes" and not served.boxes:
        raise Problem(501, "no-boxes", f"the model {served.name} has no boxes")
    if wish.show != "boxes" and not served.explains:
        raise Problem(
            501,
            "no-gradients",
            f"the model {served.name} cannot be explained: Grad-CAM needs the model folder of a "
            "net of this package, not an exported file or another net",
        )
    scale = map_scale(served)
    plan = replace(served.plan, scales=tuple({*served.scales, scale}), shown=LONGEST)
    decoded = await service.decode(upload, plan)
    if isinstance(decoded, Fault):
        raise Problem(422, "unreadable", f"the image cannot be read: {decoded.reason}")
    shown = decoded

    def work() -> Drawing:
        return _draw(served, shown, plan.scales, scale, wish)

    return await asyncio.wrap_future(service.thread.call(work))


def map_scale(served: ServedModel) -> int:
    """Return the scale at which the map is computed: the smallest that the answers use."""
    return min(served.scales)


def _draw(
    served: ServedModel,
    decoded: Decoded,
    scales: tuple[int, ...],
    scale: int,
    wish: ExplainWish,
) -> Drawing:
    """Compute and draw, in the thread of the models."""
    assert decoded.shown is not None
    at = dict(zip(scales, decoded.pixels, strict=True))
    own = replace(decoded, pixels=tuple(at[each] for each in served.scales))
    picture = Image.fromarray(decoded.shown)
    if wish.show == "boxes":
        return Drawing(_png(_with_boxes(served, own, picture, wish.top)), {})
    try:
        subject = _subject(served, at[scale], wish.label)
        heat = _heat(served, subject, at[scale].shape[:2], wish.layer)
    except MissingExtra as error:
        raise Problem(501, "missing-extra", str(error)) from None
    except InputError as error:
        raise Problem(422, "bad-parameter", str(error)) from None
    coloured = colour(heat).resize(picture.size, Image.Resampling.BILINEAR)
    if wish.show == "overlay":
        grey = picture.convert("L").convert("RGBA")
        coloured = Image.alpha_composite(grey, coloured).convert("RGB")
        if served.boxes:
            coloured = _with_boxes(served, own, coloured, wish.top)
    return Drawing(_png(coloured), {"X-Verydeep-Class": quote(served.model.classes[subject.label])})


def _subject(served: ServedModel, pixels: NDArray[np.uint8], label: str | None) -> Subject:
    """Return the subject: the whole image, or the central crop if that is all the model sees."""
    import math

    import torch

    from verydeep.data.geometry import center_window
    from verydeep.inspection.subject import MOST_PIXELS, find_class, make_subject

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
    chosen = None if label is None else find_class(model, label)
    shown = torch.from_numpy(pixels.copy()).permute(2, 0, 1).contiguous()
    return make_subject(model, "image", shown, chosen)


def is_central(served: ServedModel) -> bool:
    """Return whether the model sees only the central crop."""
    return served.how.name == "center" or not served.model.any_size


def _heat(
    served: ServedModel, subject: Subject, shape: Any, layer: str | None
) -> NDArray[np.float32]:
    """Return the map from 0 to 1, float32 (H, W), zero outside the central crop."""
    from verydeep.data.geometry import center_window
    from verydeep.inspection.attribution import grad_cam

    heat: NDArray[np.float32] = grad_cam(subject, layer).heat.detach().float().numpy()
    most = float(heat.max())
    heat = heat / most if most > 0 else np.zeros_like(heat)
    if not is_central(served):
        return heat
    height, width = shape
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


def _with_boxes(
    served: ServedModel, decoded: Decoded, picture: Image.Image, top: int
) -> Image.Image:
    """Return a drawing with the boxes of the likeliest classes, the likeliest on top."""
    from verydeep.data.geometry import Box
    from verydeep.visualization.plots.boxes import PALETTE, Mark, draw_boxes
    from verydeep.visualization.plots.fonts import name_or_number

    (answer,) = served.answer([decoded], top)
    wide, high = picture.width / decoded.size[1], picture.height / decoded.size[0]
    titles = {one.class_name: (one.title, one.probability) for one in answer.ranking}
    marks = []
    for place, one in enumerate(answer.boxes):
        title, probability = titles[one.class_name]
        x0, y0, x1, y1 = one.box
        box = Box(x0 * wide, y0 * high, x1 * wide, y1 * high)
        title = name_or_number(title, place + 1, pillow=True)
        label = f"{title}, {100 * probability:.0f} %"
        marks.append(Mark(box, label, PALETTE[place % len(PALETTE)]))
    return draw_boxes(picture, marks[::-1])


def _png(picture: Image.Image) -> bytes:
    file = io.BytesIO()
    picture.save(file, "PNG", compress_level=3)
    return file.getvalue()
