"""Provenance of a predicted box: windows, merging, and gradients of its coordinates."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
from matplotlib import colormaps
from matplotlib.figure import Figure
from PIL import Image

from verydeep.data.geometry import Box
from verydeep.data.images.decode import decode
from verydeep.inspection.box_provenance import (
    COORDINATES,
    CoordinateGradients,
    Provenance,
    coordinate_gradients,
    provenance,
)
from verydeep.inspection.heatmap import peak
from verydeep.inspection.subject import Subject
from verydeep.localization.localizer import Localizer
from verydeep.localization.protocol import BoxProtocol
from verydeep.system.one_or_many import one_or_many
from verydeep.system.option_names import option
from verydeep.visualization.inspection.heatmap import LETTERS, ONE_SIGN, as_array, image_row, show
from verydeep.visualization.inspection.section import Panel, Section
from verydeep.visualization.inspection.tiles import WIDTH
from verydeep.visualization.plots.boxes import reduced
from verydeep.visualization.plots.localization import MOST_PIXELS, draw_merging
from verydeep.visualization.plots.style import BLUE, ORANGE, outline

BRIGHT = 0.998
"""Quantile of a coordinate's map at the end of the colour scale."""

MOST = 24
"""Maximum number of drawn boxes and windows, by descending score."""


def boxes_section(
    subject: Subject,
    localizer: Localizer | Sequence[Localizer],
    source: Path | Image.Image | None = None,
    protocol: str | BoxProtocol = "dense",
) -> Section:
    """Draw where the box of the explained class came from.

    Args:
        subject: The image, and the classifier that rates boxes.
        localizer: Box regressors, of the same classes and input size.
        source: The image before it was rescaled; None takes that of the subject.
        protocol: ``dense`` or ``crops``, or a :class:`~verydeep.localization.protocol.BoxProtocol`.

    Raises:
        InputError: The nets do not match each other or the scales.
        PictureError: The image is unreadable.
    """
    nets = one_or_many(localizer)
    asked = replace(BoxProtocol.of(protocol), top=1)
    how = asked.for_nets([subject.model], nets, len(subject.model.classes))
    source = Image.fromarray(as_array(subject.pixels)) if source is None else source
    result = provenance([subject.model], nets, source, how, subject.label)
    where = f"Q = {', '.join(map(str, how.used_scales))}{', mirrored too' * how.mirrors}"
    return Section(
        name="boxes",
        title="Provenance of the box",
        lead=f"The net predicts a box of {subject.quoted} at every position ({how.name} at "
        f"{where}), scored by the posterior of the class there. Boxes are merged greedily, and the "
        "one with the largest sum of scores is the result (appendix A of the paper)."
        f"{_not_drawn(result)}",
        panels=tuple(_panels(subject, nets, source, result)),
        facts=_facts(subject, result, how),
    )


def _not_drawn(result: Provenance) -> str:
    if result.box is None:
        return " No box overlaps the image."
    if _merges(result):
        return ""
    single = len(result.origins) == 1
    reason = "There is only one box" if single else "No two boxes match well enough"
    return f" {reason}: nothing is merged. More scales give more boxes ({option('box_scales')})."


def _merges(result: Provenance) -> int:
    return len(result.steps) - 1


def _panels(
    subject: Subject, nets: Sequence[Localizer], source: Path | Image.Image, result: Provenance
) -> list[Panel]:
    strongest = result.strongest
    if strongest is None or result.box is None:
        return []
    gradients = coordinate_gradients(nets[strongest.net], source, strongest, result.label)
    image = source if isinstance(source, Image.Image) else decode(source)
    merging = [_merging_panel(subject, image, result)] if _merges(result) else []
    return [_origins_panel(subject, image, result), *merging, _gradients_panel(gradients, result)]


def _facts(subject: Subject, result: Provenance, protocol: BoxProtocol) -> dict[str, Any]:
    return {
        "class": subject.title,
        "box": None if result.box is None else [*result.box],
        "score": result.score,
        "scales": [*protocol.used_scales],
        "flip": protocol.flip,
        "threshold": protocol.merging.threshold,
        "boxes": len(result.origins),
        "merges": _merges(result),
        "left": len(result.steps[-1].boxes),
        "origins": [
            {
                "net": origin.net,
                "scale": origin.scale,
                "flip": origin.view.flip,
                "row": origin.row,
                "column": origin.column,
                "window": [*origin.window],
                "box": [*origin.box],
                "score": origin.score,
            }
            for origin in (result.origins[number] for number in result.used)
        ],
    }


def _origins_panel(subject: Subject, image: Image.Image, result: Provenance) -> Panel:
    used = [result.origins[number] for number in result.used]
    assert result.box is not None
    box = ", ".join(f"{v:.0f}" for v in result.box)
    if len(used) == 1:
        many = len(result.origins)
        one = "the only box" if many == 1 else f"1 of {many} boxes"
        summary = (
            f"The result (corners {box}) is {one} of {subject.quoted}; its score is "
            f"{result.score:.3g}."
        )
    else:
        summary = (
            f"The result (corners {box}) comes from {len(used)} of {len(result.origins)} boxes of "
            f"{subject.quoted}; their scores, {used[0].score:.2g} to {used[-1].score:.2g}, add up "
            f"to {result.score:.3g}."
        )
    if len(used) > MOST:
        summary += f" The {MOST} with the highest scores are drawn."
    return Panel(
        name="boxes-origins",
        title=f"Windows and boxes behind the box of {subject.quoted}",
        alt=summary,
        figure=_draw_origins(image, result),
        caption="Left, dashed: windows whose boxes were merged into the result, for all scales and "
        "mirrored views. Right: these boxes; thicker lines mean higher scores. Blue: the box with "
        "the highest score. Orange: the result, drawn wider and below, so that it remains visible "
        f"where both coincide. {summary} A window shows the location of a position; its receptive "
        "field is larger.",
    )


def _merging_panel(subject: Subject, image: Image.Image, result: Provenance) -> Panel:
    merges, left = _merges(result), len(result.steps[-1].boxes)
    figure = draw_merging(image, result.steps)
    factor = min(1.0, WIDTH / figure.get_figwidth())
    figure.set_size_inches(factor * figure.get_figwidth(), factor * figure.get_figheight())
    for axes in figure.axes:
        axes.set_title(axes.get_title().replace(": ", ":\n"), fontsize=LETTERS - 1)
    return Panel(
        name="boxes-merging",
        title=f"Merging the boxes of {subject.quoted}",
        alt=f"{len(result.steps[0].boxes)} different boxes are reduced to {left} in {merges} "
        f"merges; the best has a score of {result.score:.3g}.",
        figure=figure,
        caption="The two best-matching boxes (blue) are replaced by their mean until the best "
        "match is worse than the threshold; their scores are added. In the last step the box with "
        "the largest sum is orange. The match is the distance of the centres, in box sides, minus "
        "the overlap: −1 for equal boxes.",
    )


def _gradients_panel(gradients: CoordinateGradients, result: Provenance) -> Panel:
    origin = result.strongest
    assert origin is not None
    peaks = []
    for name, heat in zip(COORDINATES, gradients.gradients, strict=True):
        x, y, value = peak(heat)
        peaks.append(f"{name} at x = {x}, y = {y} ({value:.2g})")
    mirrored = ", mirrored" if origin.view.flip else ""
    return Panel(
        name="boxes-pull",
        title="Influence of the pixels on the box",
        alt="Gradients of the strongest box's coordinates with respect to the pixels. Peaks: "
        f"{'; '.join(peaks)}.",
        figure=_draw_gradients(gradients, origin.view.picture),
        caption="Brighter pixels have a larger influence on the coordinate of the strongest box "
        f"merged into the result (Q = {origin.scale}{mirrored}, row {origin.row}, column "
        f"{origin.column}; orange, before clipping and merging; float32). Unit: shift in pixels "
        "per grey level, without its sign. Each map has its own colour scale, which clips the "
        f"brightest {100 * (1 - BRIGHT):.1g} % of the pixels.",
    )


def _draw_origins(image: Image.Image, result: Provenance) -> Figure:
    used = [result.origins[number] for number in result.used[:MOST]]
    size = (image.height, image.width)
    pixels = np.asarray(reduced(image, [], MOST_PIXELS)[0])
    figure, (first, second) = image_row(size, 2)
    many = len(result.used) != 1
    show(first, pixels, f"{len(result.used)} window" + "s" * many, size=size)
    show(second, pixels, f"{'boxes' if many else 'box'} and result ({result.score:.2g})", size=size)
    most = max(used[0].score, 1e-12)
    assert result.box is not None
    for axes in (first, second):
        outline(axes, result.box, ORANGE, 3.6)
    for number, origin in reversed([*enumerate(used)]):
        colour = "white" if number else BLUE
        strength = origin.score / most
        outline(first, origin.window, colour, 0.6 + 1.4 * strength, ls=(0, (4, 3)))
        outline(second, origin.box, colour, 0.6 + 1.4 * strength)
    for axes in (first, second):
        axes.set(xlim=(0, image.width), ylim=(image.height, 0))
    return figure


def _draw_gradients(gradients: CoordinateGradients, size: tuple[int, int]) -> Figure:
    height, width = shape = gradients.pixels.shape[-2:]
    figure, panels = image_row(shape, 4)
    y, x = height / size[0], width / size[1]
    cx, cy, w, h = (v * f for v, f in zip(gradients.box, (x, y, x, y), strict=True))
    box = Box(cx - w / 2, cy - h / 2, cx + w / 2, cy + h / 2)
    for axes, name, heat in zip(panels, COORDINATES, gradients.gradients, strict=True):
        values = heat.numpy()
        most = float(np.quantile(values, BRIGHT)) or 1.0
        drawn = colormaps[ONE_SIGN](np.clip(values / most, 0, 1))[..., :3]
        show(axes, drawn, f"{name}: 0 to {most:.1g}")
        axes.title.set_fontsize(LETTERS - 1)
        outline(axes, box, ORANGE, 1.2)
        axes.set(xlim=(0, width), ylim=(height, 0))
    return figure
