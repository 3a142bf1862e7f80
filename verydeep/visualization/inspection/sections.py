"""The sections of a page that explains, by name, in the order in which they stand there."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from dataclasses import dataclass
from importlib.util import find_spec
from pathlib import Path

from PIL import Image

from verydeep.errors import InputError, MissingExtra, did_you_mean
from verydeep.inspection.subject import Subject
from verydeep.localization.localizer import Localizer
from verydeep.localization.protocol import BoxProtocol
from verydeep.system.progress import Progress
from verydeep.visualization.inspection.attributions import (
    grad_cam_section,
    guided_backprop_section,
    occlusion_section,
    saliency_section,
)
from verydeep.visualization.inspection.boxes import boxes_section
from verydeep.visualization.inspection.class_model import class_model_section
from verydeep.visualization.inspection.feature_maps import maps_section
from verydeep.visualization.inspection.filters import filters_section
from verydeep.visualization.inspection.receptive_field import receptive_field_section
from verydeep.visualization.inspection.section import Section

Make = Callable[[Subject], Section]


@dataclass(frozen=True, kw_only=True)
class Options:
    """What sections may be told.

    Attributes:
        layers: Layers that are looked at besides those that always are.
        exciting: Draws what excites an image's channels most; None if nobody looked for it.
        boxes: Box nets whose box is looked into.
        box_scales: Test scales of the box nets in pixels; None takes those of the first.
        source: The image before it was rescaled; None if only the subject's is there.
        steps: Of the ascent to a class model; None takes the usual number.
        seed: Of what is drawn by lot.
        progress: Where long sections report to.
    """

    layers: tuple[str, ...] = ()
    exciting: Make | None = None
    boxes: tuple[Localizer, ...] = ()
    box_scales: tuple[int, ...] | None = None
    source: Path | Image.Image | None = None
    steps: int | None = None
    seed: int = 0
    progress: Progress | None = None


@dataclass(frozen=True, slots=True)
class Entry:
    """A section that can be asked for.

    Attributes:
        name: Its name.
        make: Computes and draws it.
        of_net: Whether it is about the net alone, and stands once on the page.
        of_class: Whether it is about net and class alone, and is made once for each class.
        default: Whether it stands there without being asked for.
        captum: Whether it needs that package, the extra ``insight``.
    """

    name: str
    make: Callable[[Subject, Options], Section]
    of_net: bool = False
    of_class: bool = False
    default: bool = True
    captum: bool = False


def _exciting(subject: Subject, options: Options) -> Section:
    assert options.exciting, "chosen only if something was looked through"
    return options.exciting(subject)


ENTRIES = (
    Entry("maps", lambda subject, options: maps_section(subject, options.layers)),
    Entry(
        "receptive-field",
        lambda subject, options: receptive_field_section(subject, options.layers),
    ),
    Entry("saliency", lambda subject, options: saliency_section(subject), captum=True),
    Entry(
        "guided-backprop", lambda subject, options: guided_backprop_section(subject), captum=True
    ),
    Entry("grad-cam", lambda subject, options: grad_cam_section(subject), captum=True),
    Entry("occlusion", lambda subject, options: occlusion_section(subject), captum=True),
    Entry(
        "boxes",
        lambda subject, options: boxes_section(
            subject, options.boxes, options.source, BoxProtocol("dense", options.box_scales)
        ),
        default=False,
    ),
    Entry("exciting", _exciting, default=False),
    Entry(
        "class-model",
        lambda subject, options: class_model_section(
            subject, options.steps, options.seed, options.progress
        ),
        of_class=True,
        default=False,
    ),
    Entry("filters", lambda subject, options: filters_section(subject), of_net=True),
)


@dataclass(frozen=True, slots=True)
class Choice:
    """The sections of a page, and why others are not there."""

    entries: tuple[Entry, ...]
    left_out: tuple[str, ...] = ()


def choose(only: Iterable[str] = (), more: Iterable[str] = ()) -> Choice:
    """Return the sections that are to be made, in the order of the page.

    Args:
        only: Names; without any, those that stand there by default.
        more: Names of others that an option asked for.

    Raises:
        InputError: There is no section of such a name.
        MissingExtra: One that was named needs Captum, which is not installed.
    """
    asked, also = set(only), set(more)
    known = [entry.name for entry in ENTRIES]
    for name in sorted(asked.difference(known)):
        raise InputError(
            f"there is no section {name!r}; there are {', '.join(known)}{did_you_mean(name, known)}"
        )
    chosen = [entry for entry in ENTRIES if entry.name in also or _is_chosen(entry, asked)]
    if find_spec("captum"):
        return Choice(tuple(chosen))
    for entry in chosen:
        if entry.captum and entry.name in asked | also:
            raise MissingExtra(f"the section {entry.name}: Captum", "insight")
    names = ", ".join(entry.name for entry in chosen if entry.captum)
    reason = f"{names}: Captum is not installed (pip install 'verydeep[insight]')"
    return Choice(tuple(entry for entry in chosen if not entry.captum), (reason,) if names else ())


def _is_chosen(entry: Entry, asked: set[str]) -> bool:
    return entry.name in asked if asked else entry.default
