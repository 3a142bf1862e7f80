"""Sections of the explain page by name, in page order."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from dataclasses import dataclass, replace
from importlib.util import find_spec
from pathlib import Path

from PIL import Image

from verydeep.errors import InputError, MissingExtra, ModelError, did_you_mean
from verydeep.inspection.subject import Subject
from verydeep.localization.localizer import Localizer
from verydeep.localization.protocol import BoxProtocol
from verydeep.nets.interface import NO_HEAD
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
from verydeep.visualization.inspection.volumes import grad_cam_of_volume, saliency_of_volume

Make = Callable[[Subject], Section]


@dataclass(frozen=True, kw_only=True)
class Options:
    """Options of the sections.

    Attributes:
        layers: Layers in addition to the default ones.
        exciting: Draws the top activations; None if they were not searched for.
        boxes: Box regressors to explain.
        box_scales: Test scales of the box regressors in pixels; None means those of the first.
        source: The image before rescaling; None if only the subject's image is available.
        steps: Gradient steps of the class model; None means the default.
        seed: Random seed.
        progress: Progress reporter of slow sections.
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
    """An available section.

    Attributes:
        name: Name of the section.
        make: Computes and draws the section.
        of_net: Whether it depends on the net only and appears once per page.
        of_class: Whether it depends on net and class only and is made once per class.
        default: Whether it is shown by default.
        captum: Whether it needs Captum (the extra ``insight``).
        needs_class: Whether it explains a class.
    """

    name: str
    make: Callable[[Subject, Options], Section]
    of_net: bool = False
    of_class: bool = False
    default: bool = True
    captum: bool = False
    needs_class: bool = False


def _exciting(subject: Subject, options: Options) -> Section:
    assert options.exciting, "chosen only if top activations were searched for"
    return options.exciting(subject)


def _attribution(name: str, make: Make) -> Entry:
    """Return a section of Captum's that explains the class by the image."""
    return Entry(name, lambda subject, _: make(subject), captum=True, needs_class=True)


ENTRIES = (
    Entry("maps", lambda subject, options: maps_section(subject, options.layers)),
    Entry(
        "receptive-field",
        lambda subject, options: receptive_field_section(subject, options.layers),
    ),
    _attribution("saliency", saliency_section),
    _attribution("guided-backprop", guided_backprop_section),
    _attribution("grad-cam", grad_cam_section),
    _attribution("occlusion", occlusion_section),
    Entry(
        "boxes",
        lambda subject, options: boxes_section(
            subject, options.boxes, options.source, BoxProtocol("dense", options.box_scales)
        ),
        default=False,
        needs_class=True,
    ),
    Entry("exciting", _exciting, default=False),
    Entry(
        "class-model",
        lambda subject, options: class_model_section(
            subject, options.steps, options.seed, options.progress
        ),
        of_class=True,
        needs_class=True,
        default=False,
    ),
    Entry("filters", lambda subject, options: filters_section(subject), of_net=True),
)


OF_VOLUMES: dict[str, Make] = {"saliency": saliency_of_volume, "grad-cam": grad_cam_of_volume}
"""Sections that volumes have, with what draws them."""


@dataclass(frozen=True, slots=True)
class Choice:
    """Chosen sections, and reasons for those left out."""

    entries: tuple[Entry, ...]
    left_out: tuple[str, ...] = ()


def choose(only: Iterable[str] = (), more: Iterable[str] = ()) -> Choice:
    """Return the sections to make, in page order.

    Args:
        only: Names of sections; if empty, the default ones.
        more: Names of additional sections.

    Raises:
        InputError: A section is unknown.
        MissingExtra: A named section needs Captum, which is not installed.
    """
    named, extra = set(only), set(more)
    known = [entry.name for entry in ENTRIES]
    for name in sorted(named.difference(known)):
        raise InputError(
            f"unknown section {name!r}; available: {', '.join(known)}{did_you_mean(name, known)}"
        )
    wanted = named or {entry.name for entry in ENTRIES if entry.default}
    chosen = [entry for entry in ENTRIES if entry.name in wanted | extra]
    if find_spec("captum"):
        return Choice(tuple(chosen))
    for entry in chosen:
        if entry.captum and entry.name in named | extra:
            raise MissingExtra(f"the section {entry.name}: Captum", "insight")
    names = ", ".join(entry.name for entry in chosen if entry.captum)
    reason = f"{names}: Captum is not installed (pip install 'verydeep[insight]')"
    return Choice(tuple(entry for entry in chosen if not entry.captum), (reason,) if names else ())


def of_volumes(choice: Choice, asked: Iterable[str]) -> Choice:
    """Return the sections that volumes can have, drawn as slices.

    Args:
        choice: The chosen sections.
        asked: Sections that the user named, or gave settings for.

    Raises:
        InputError: One of these is of images only.
    """
    if others := sorted({*asked} - {*OF_VOLUMES}):
        raise InputError(
            f"{', '.join(others)}: of images only; volumes have {', '.join(OF_VOLUMES)}"
        )
    drawn = (_of_volumes(entry) for entry in choice.entries if entry.name in OF_VOLUMES)
    return replace(choice, entries=tuple(drawn))


def _of_volumes(entry: Entry) -> Entry:
    make = OF_VOLUMES[entry.name]
    return replace(entry, make=lambda subject, _: make(subject))


def without_classes(choice: Choice, only: Iterable[str]) -> Choice:
    """Return the sections that a net of convolutions only can have.

    Args:
        choice: The chosen sections.
        only: Sections that the user named.

    Raises:
        ModelError: A named section explains a class.
    """
    dropped = [entry.name for entry in choice.entries if entry.needs_class]
    if asked := sorted({*only} & {*dropped}):
        raise ModelError(f"{', '.join(asked)}: explains a class, but {NO_HEAD}")
    reason = f"{', '.join(dropped)}: the model has convolutions only, and knows no classes"
    kept = tuple(entry for entry in choice.entries if not entry.needs_class)
    return Choice(kept, (*choice.left_out, reason) if dropped else choice.left_out)
