"""Where a box came from, drawn: windows, merging, and the pixels that pull at its edges."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
from matplotlib import colormaps
from matplotlib.figure import Figure
from PIL import Image

from verydeep.data.geometry import Box
from verydeep.data.images.decode import decode
from verydeep.inspection.box_provenance import COORDINATES, Provenance, Pull, provenance, pull
from verydeep.inspection.heatmap import peak
from verydeep.inspection.subject import Subject
from verydeep.localization.localizer import Localizer
from verydeep.localization.protocol import USUAL_GRID, BoxProtocol, make_box_protocol
from verydeep.system.option_names import option
from verydeep.visualization.inspection.heatmap import LETTERS, ONE_SIGN, as_picture, beside, show
from verydeep.visualization.inspection.section import Panel, Section
from verydeep.visualization.inspection.tiles import WIDTH
from verydeep.visualization.plots.boxes import reduced
from verydeep.visualization.plots.localization import MOST_PIXELS, draw_merging
from verydeep.visualization.plots.style import BLUE, ORANGE, outline

BRIGHT = 0.998
"""Share of the pixels that have colours of their own in a map of a coordinate."""

MOST = 24
"""Boxes and windows that are drawn, those of the best scores."""


def boxes_section(
    subject: Subject,
    localizer: Localizer | Sequence[Localizer],
    source: Path | Image.Image | None = None,
    *,
    protocol: str = "dense",
    scales: Sequence[int] | None = None,
    flip: bool | None = None,
    grid: tuple[int, int] = USUAL_GRID,
    threshold: float | None = None,
) -> Section:
    """Draw where the box of the class that is asked about came from.

    Args:
        subject: The image, and the classification net that rates boxes.
        localizer: Box nets, of the same classes and input size.
        source: The image before it was rescaled; None takes that of the subject.
        protocol: ``dense`` or ``crops``; see :class:`verydeep.localization.protocol.BoxProtocol`.
        scales: Test scales Q in pixels; None takes those of the first box net.
        flip: Whether to look at mirror images too; None does as the classifier was tested.
        grid: Rows and columns of ``crops``.
        threshold: Of the merging.

    Raises:
        InputError: The nets do not fit each other or the scales.
        PictureError: The image cannot be read.
    """
    nets = [localizer] if isinstance(localizer, Localizer) else [*localizer]
    how = make_box_protocol(
        protocol,
        scales or nets[0].test_scales,
        flip=subject.model.test_flip if flip is None else flip,
        top=1,
        threshold=threshold,
        grid=grid,
    )
    source = Image.fromarray(as_picture(subject.pixels)) if source is None else source
    found = provenance([subject.model], nets, source, how, subject.label)
    where = f"Q = {', '.join(map(str, how.used_scales))}{', mirrored too' * how.flip}"
    return Section(
        name="boxes",
        title="Where the box came from",
        lead=f"The box net's boxes of {subject.quoted} at every position ({how.name} at {where}), "
        "each rated by the posterior of the class there, merged greedily; the box with the largest "
        f"sum is the answer (appendix A of the paper).{_not_drawn(found)}",
        panels=tuple(_panels(subject, nets, source, found)),
        facts=_facts(subject, found, how),
    )


def _not_drawn(found: Provenance) -> str:
    if found.box is None:
        return " No box had any area on the image."
    if _merges(found):
        return ""
    first = "There is but one box" if len(found.origins) == 1 else "No two boxes match well enough"
    return f" {first}: nothing is merged. More scales give more ({option('box_scales')})."


def _merges(found: Provenance) -> int:
    return len(found.steps) - 1


def _panels(
    subject: Subject, nets: Sequence[Localizer], source: Path | Image.Image, found: Provenance
) -> list[Panel]:
    strongest = found.strongest
    if strongest is None or found.box is None:
        return []
    pulled = pull(nets[strongest.net], source, strongest, found.label)
    picture = source if isinstance(source, Image.Image) else decode(source)
    merging = [_merging_panel(subject, picture, found)] if _merges(found) else []
    return [
        _origins_panel(subject, picture, found),
        *merging,
        _pull_panel(subject, pulled, found),
    ]


def _facts(subject: Subject, found: Provenance, protocol: BoxProtocol) -> dict[str, Any]:
    return {
        "class": subject.title,
        "box": None if found.box is None else [*found.box],
        "score": found.score,
        "scales": [*protocol.used_scales],
        "flip": protocol.flip,
        "threshold": protocol.merging.threshold,
        "boxes": len(found.origins),
        "merges": _merges(found),
        "left": len(found.steps[-1].boxes),
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
            for origin in (found.origins[number] for number in found.used)
        ],
    }


def _origins_panel(subject: Subject, picture: Image.Image, found: Provenance) -> Panel:
    used = [found.origins[number] for number in found.used]
    assert found.box is not None
    box = ", ".join(f"{v:.0f}" for v in found.box)
    if len(used) == 1:
        many = len(found.origins)
        one = "the only box" if many == 1 else f"1 of {many} boxes"
        what = (
            f"The answer (corners {box}) is {one} of {subject.quoted}; its score is "
            f"{found.score:.3g}."
        )
    else:
        what = (
            f"The answer (corners {box}) comes from {len(used)} of {len(found.origins)} boxes of "
            f"{subject.quoted}; their scores, {used[0].score:.2g} to {used[-1].score:.2g}, add up "
            f"to {found.score:.3g}."
        )
    shown = f" Drawn are the {MOST} of the best scores." if len(used) > MOST else ""
    return Panel(
        name="boxes-origins",
        title=f"Windows and boxes behind the box of {subject.quoted}",
        alt=f"{what}{shown}",
        figure=_draw_origins(picture, found),
        caption="Left, dashed: what the net was asked about when it gave a box that is in the "
        "answer, all scales and mirror images on one image. Right: these boxes; the thicker, the "
        "larger the score. Blue is the strongest; the answer, orange, lies below, and shows beside "
        f"it where both are the same. {what}{shown} A window is where a position lies, not all "
        "that it sees: that reaches beyond.",
    )


def _merging_panel(subject: Subject, picture: Image.Image, found: Provenance) -> Panel:
    merges, left = _merges(found), len(found.steps[-1].boxes)
    figure = draw_merging(picture, found.steps)
    factor = min(1.0, WIDTH / figure.get_figwidth())
    figure.set_size_inches(factor * figure.get_figwidth(), factor * figure.get_figheight())
    for axes in figure.axes:
        axes.set_title(axes.get_title().replace(": ", ":\n"), fontsize=LETTERS - 1)
    return Panel(
        name="boxes-merging",
        title=f"Merging the boxes of {subject.quoted}",
        alt=f"{len(found.steps[0].boxes)} different boxes become {left} in {merges} merges; the "
        f"best then has a score of {found.score:.3g}.",
        figure=figure,
        caption="The two boxes that match best (blue) are replaced by their mean, until the best "
        "match is worse than the threshold; scores add up. At the end the box with the largest sum "
        "is orange. The match is the distance of the centres, in sides, less the overlap: −1 of "
        "equal boxes.",
    )


def _pull_panel(subject: Subject, pulled: Pull, found: Provenance) -> Panel:
    origin = found.strongest
    assert origin is not None
    peaks = []
    for name, heat in zip(COORDINATES, pulled.gradients, strict=True):
        x, y, value = peak(heat)
        peaks.append(f"{name} at x = {x}, y = {y} ({value:.2g})")
    turned = ", mirrored" if origin.view.flip else ""
    return Panel(
        name="boxes-pull",
        title="Which pixels pull at the edges",
        alt="Gradients of the strongest box's coordinates by the pixels. Peaks: "
        f"{'; '.join(peaks)}.",
        figure=_draw_pull(pulled, origin.view.picture),
        caption="The brighter a pixel, the more a small change of it moves the coordinate of the "
        f"strongest box that was merged into the answer (Q = {origin.scale}{turned}, row "
        f"{origin.row}, column {origin.column}, drawn in orange, before it was clipped and merged; "
        "in float32). Unit: pixels of the image that it moves for a grey level; each map has its "
        f"own scale, whose last colour its brightest {100 * (1 - BRIGHT):.1g} % share. Not shown "
        "is which way.",
    )


def _draw_origins(picture: Image.Image, found: Provenance) -> Figure:
    used = [found.origins[number] for number in found.used[:MOST]]
    size = (picture.height, picture.width)
    pixels = np.asarray(reduced(picture, [], MOST_PIXELS)[0])
    figure, (first, second) = beside(size, 2)
    many = len(found.used) != 1
    show(first, pixels, f"{len(found.used)} window" + "s" * many, size=size)
    show(second, pixels, f"{'boxes' if many else 'box'} and answer ({found.score:.2g})", size=size)
    most = max(used[0].score, 1e-12)
    assert found.box is not None
    for axes in (first, second):
        outline(axes, found.box, ORANGE, 3.6)
    for number, origin in reversed([*enumerate(used)]):
        colour = "white" if number else BLUE
        strength = origin.score / most
        outline(first, origin.window, colour, 0.6 + 1.4 * strength, style=(0, (4, 3)))
        outline(second, origin.box, colour, 0.6 + 1.4 * strength)
    for axes in (first, second):
        axes.set(xlim=(0, picture.width), ylim=(picture.height, 0))
    return figure


def _draw_pull(pulled: Pull, picture: tuple[int, int]) -> Figure:
    height, width = shape = pulled.pixels.shape[-2:]
    figure, panels = beside(shape, 4)
    y, x = height / picture[0], width / picture[1]
    cx, cy, w, h = (v * f for v, f in zip(pulled.box, (x, y, x, y), strict=True))
    box = Box(cx - w / 2, cy - h / 2, cx + w / 2, cy + h / 2)
    for axes, name, heat in zip(panels, COORDINATES, pulled.gradients, strict=True):
        values = heat.numpy()
        most = float(np.quantile(values, BRIGHT)) or 1.0
        drawn = colormaps[ONE_SIGN](np.clip(values / most, 0, 1))[..., :3]
        show(axes, drawn, f"{name}: to {most:.1g}")
        axes.title.set_fontsize(LETTERS - 1)
        outline(axes, box, ORANGE, 1.2)
        axes.set(xlim=(0, width), ylim=(height, 0))
    return figure
