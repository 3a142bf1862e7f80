"""Maps of volumes: three orthogonal slices through the peak, plain and with the map over them."""

from __future__ import annotations

from typing import Any, NamedTuple

import numpy as np
from matplotlib import colormaps
from matplotlib.cm import ScalarMappable
from matplotlib.colors import Normalize
from matplotlib.figure import Figure
from torch import Tensor

from verydeep.inspection.attribution import grad_cam, saliency
from verydeep.inspection.subject import Subject
from verydeep.visualization.inspection.heatmap import LETTERS, ONE_SIGN
from verydeep.visualization.inspection.section import Panel, Section
from verydeep.visualization.inspection.tiles import DOTS, WIDTH
from verydeep.visualization.plots.style import ORANGE, colour_scale

AXES = ("depth", "height", "width")
"""Axes of a volume; a slice along one shows the other two, the later one across."""

BRIGHT = 0.999
"""Quantile of a map at the end of its colour scale."""

COARSE = 4
"""Fewest cells along an axis of a map for Grad-CAM; the last convolution that has them is taken."""


class Place(NamedTuple):
    """A voxel, and the value of a map there."""

    z: int
    y: int
    x: int
    value: float

    @property
    def voxel(self) -> tuple[int, int, int]:
        """The voxel alone."""
        return self.z, self.y, self.x


def peak_of(heat: Tensor) -> Place:
    """Return the maximum of a map (D, H, W), the first of several.

    >>> import torch
    >>> peak_of(torch.eye(3)[None] * torch.tensor([1.0, 2.0]).view(2, 1, 1))
    Place(z=1, y=0, x=0, value=2.0)
    """
    z, y, x = np.unravel_index(int(heat.argmax()), tuple(heat.shape))
    return Place(int(z), int(y), int(x), float(heat[z, y, x]))


def half_volume(heat: Tensor) -> float:
    """Return the smallest share of the voxels that holds half of a map's positive mass.

    >>> import torch
    >>> half_volume(torch.tensor([[[1.0, 1.0], [2.0, 4.0]]]))
    0.25
    """
    sums = heat.double().clamp(min=0).flatten().sort(descending=True).values.cumsum(0)
    return (int((sums < sums[-1] / 2).sum()) + 1) / heat.numel()


def saliency_of_volume(subject: Subject) -> Section:
    """Draw the absolute gradient of the class score with respect to the voxels.

    Raises:
        MissingExtra: Captum is not installed.
    """
    return _section(
        "saliency",
        "Saliency",
        f"|∂score/∂voxel| of {subject.quoted} before the {subject.activation}, maximum over the "
        "channels (Simonyan, Vedaldi & Zisserman 2013, section 3).",
        subject,
        saliency(subject),
        "score per grey level",
    )


def grad_cam_of_volume(subject: Subject, layer: str | None = None) -> Section:
    """Draw the Grad-CAM map of a convolution (Selvaraju et al. 2017).

    Args:
        subject: Volume, net and class.
        layer: A convolution; None means the last one with at least four cells along each axis.

    Raises:
        InputError: The net has no such convolution.
        MissingExtra: Captum is not installed.
    """
    result = grad_cam(subject, layer or _fine_enough(subject))
    cells = "x".join(map(str, reversed(result.cells.shape)))
    return _section(
        "grad-cam",
        f"Grad-CAM at {result.layer}",
        f"ReLU(Σₖ αₖ·Aₖ) of the maps Aₖ after the ReLU of {result.layer}; αₖ is the mean gradient "
        f"of the score of {subject.quoted} with respect to map k (Selvaraju et al. 2017). There "
        f"are {cells} values, one per cube of {result.stride} voxels a side, with interpolation.",
        subject,
        result.heat,
        "weighted activation",
    )


def _fine_enough(subject: Subject) -> str:
    names = [name for name, _ in subject.model.net.features.named_children()]
    convolutions = [name for name in names if name.startswith("conv")]
    side = min(subject.pixels.shape[1:])
    fine = [name for name in convolutions if side >> (int(name[4]) - 1) >= COARSE]
    return (fine or convolutions)[-1]


def _section(
    name: str, title: str, lead: str, subject: Subject, heat: Tensor, unit: str
) -> Section:
    words = _in_words(heat)
    panel = Panel(
        name=name,
        title=f"{title} of {subject.quoted}",
        alt=f"{title} of {subject.quoted} on {subject.name}. {words}",
        figure=draw_slices(subject.pixels, heat, unit),
        caption="Slices through the peak along depth, height and width; below, with the map over "
        f"them. {words} A ring marks the peak.",
    )
    facts = {"class": subject.title, "unit": unit, "peak": peak_of(heat)._asdict()}
    return Section(name, title, lead, (panel,), {**facts, "half_volume": half_volume(heat)})


def _in_words(heat: Tensor) -> str:
    top = peak_of(heat)
    if top.value <= 0:
        return "The map is nowhere positive."
    return (
        f"The peak is at z = {top.z}, y = {top.y}, x = {top.x} ({top.value:.2g}), and "
        f"{100 * half_volume(heat):.1f} % of the voxels hold half of the map."
    )


def draw_slices(voxels: Tensor, heat: Tensor, unit: str) -> Figure:
    """Draw three orthogonal slices through the peak of a map, and the map over them.

    Args:
        voxels: Volume, uint8 (3, D, H, W).
        heat: Non-negative map, (D, H, W).
        unit: Label of the colour bar.
    """
    top = peak_of(heat)
    most = float(heat.flatten().float().quantile(BRIGHT)) if heat.numel() < 2**24 else top.value
    norm, colours = Normalize(0, most or top.value or 1.0), colormaps[ONE_SIGN]
    grey = voxels.float().mean(0) / 255
    room, head, gap = 0.95, 0.24, 0.08
    side = (WIDTH - room - 2 * gap) / 3
    ratio = [heat.shape[rows] / heat.shape[columns] for rows, columns in _PLANES]
    high = side * max(ratio)
    figure = Figure(figsize=(WIDTH, 2 * (high + head)), dpi=DOTS)
    for axis, (rows, columns) in enumerate(_PLANES):
        at = top.voxel
        plane, values = grey.select(axis, at[axis]), heat.select(axis, at[axis])
        for row, image in enumerate((plane.numpy(), _over(plane, values, norm, colours))):
            axes = figure.add_axes(
                (
                    axis * (side + gap) / WIDTH,
                    (1 - row) / 2,
                    side / WIDTH,
                    high / 2 / (high + head),
                ),
                anchor="NW",
            )
            axes.imshow(image, cmap="gray", vmin=0, vmax=1, interpolation="nearest")
            axes.plot(at[columns], at[rows], "o", mfc="none", mec="white", ms=8, mew=2.4)
            axes.plot(at[columns], at[rows], "o", mfc="none", mec=ORANGE, ms=8, mew=1.2)
            axes.set_axis_off()
            if row == 0:
                title = f"{AXES[axis]} {at[axis]} of {heat.shape[axis]}"
                axes.set_title(title, fontsize=LETTERS, loc="left", pad=3)
    place = figure.add_axes(((WIDTH - room + 0.1) / WIDTH, 0.05, 0.1 / WIDTH, 0.8))
    colour_scale(ScalarMappable(norm, colours), place, unit, LETTERS, extend="max")
    return figure


_PLANES = ((1, 2), (0, 2), (0, 1))
"""Axes down and across of the slices along each axis."""


def _over(plane: Tensor, values: Tensor, norm: Normalize, colours: Any) -> Any:
    """Return a grey slice (h, w) with a map over it, (h, w, 3)."""
    scaled = norm(values.numpy()).clip(0, 1)
    weight = scaled[..., None] ** 0.5 * 0.8
    return plane.numpy()[..., None] * (1 - weight) + colours(scaled)[..., :3] * weight
