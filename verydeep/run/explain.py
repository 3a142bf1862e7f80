"""Look inside a net: what each layer does with given images, as a page with figures."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterable, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
from PIL import Image

from verydeep.data.images.inputs import Picture
from verydeep.data.read import Data
from verydeep.errors import InputError, printable
from verydeep.inspection.layers import check_channel
from verydeep.inspection.subject import Subject, Subjects, find_class
from verydeep.inspection.top_activations import Channel, strongest_channels
from verydeep.localization.detect import check_nets
from verydeep.localization.localizer import Localizer, load_localizer
from verydeep.localization.protocol import BoxProtocol
from verydeep.models.classifier import Classifier, loaded_classifier
from verydeep.nets.layer_outputs import check_layer
from verydeep.run.channel_search import ChannelMatches, channel_in, search_channels
from verydeep.run.explain_result import ExplainResult
from verydeep.run.explain_sections import SectionMaker
from verydeep.system.engine_names import TORCH
from verydeep.system.files import expanded, lies_within
from verydeep.system.locks import hold
from verydeep.system.one_or_many import one_or_many
from verydeep.system.option_names import option
from verydeep.system.progress import Progress, ProgressWish, choose_progress
from verydeep.system.settings import Compute
from verydeep.visualization.inspection.page import Head, write_page
from verydeep.visualization.inspection.section import Section
from verydeep.visualization.inspection.sections import (
    Choice,
    Options,
    choose,
    of_volumes,
    without_classes,
)


def explain(
    model: str | Path | Classifier,
    pictures: Picture | Iterable[Picture],
    out: str | Path,
    *,
    label: str | None = None,
    layers: str | Iterable[str] = (),
    channels: str | Iterable[str] = (),
    among: Data | None = None,
    top: int = 9,
    scale: int | None = None,
    center: bool = False,
    only: str | Iterable[str] = (),
    boxes: str | Path | Localizer | Iterable[str | Path | Localizer] = (),
    box_scales: Iterable[int] | None = None,
    steps: int | None = None,
    seed: int = 0,
    compute: Compute | str | None = None,
    command: str | None = None,
    progress: ProgressWish = None,
) -> ExplainResult:
    """Show what a net does with images, layer by layer, as a page with figures.

    Args:
        model: Model or run folder of a classifier, a VGG net of torchvision like
            ``torchvision/vgg16``, or a loaded one.
        pictures: As for :meth:`verydeep.Classifier.predict`.
        out: Folder for ``index.html``, ``explain.json`` and one folder of figures per image;
            created if missing.
        label: Class to explain, by name or title; None takes the most likely class of each image.
        layers: One or several more layers to show, such as ``conv3_1``.
        channels: One or several channels such as ``conv3_3:17``; the images of ``among`` that
            activate them most are shown.
        among: A folder of images, or data; without ``channels``, its images that most activate
            the strongest channel of each block are shown.
        top: Number of images to show per channel.
        scale: Smallest side of the rescaled image in pixels; None takes the model's first test
            scale, or with ``center`` the net's input size.
        center: Use only the central square of the net's input size, not the whole image.
        only: One or several sections, by name: see
            :data:`verydeep.visualization.inspection.sections.ENTRIES`; by default all about the
            image, and the first filters.
        boxes: One or several box regressors, or their folders; the page then shows the origin of
            their box.
        box_scales: Test scales of the box regressors, in pixels; None takes those of the first.
        steps: Gradient steps for a class model; adds it to the page. None takes the default
            number, if ``only`` includes it.
        seed: Random seed.
        compute: Device and precision; a string names the device.
        command: Command line to quote on the page.
        progress: Progress reporting; None enables it in notebooks and terminals, True everywhere,
            False nowhere.

    Returns:
        The page, with the content of ``explain.json`` by key: facts of every section of every
        image, files, and omitted sections and images.

    Raises:
        InputError: The model, an image's path or a setting cannot be used.
        PictureError: No image can be read.
        MissingExtra: A requested section needs a package that is not installed.
    """
    progress, compute, folder = (
        choose_progress(progress),
        replace(Compute.of(compute), engine=TORCH),
        expanded(out),
    )
    layers, only, boxes = (tuple(one_or_many(one)) for one in (layers, only, boxes))
    named = tuple(dict.fromkeys(map(channel_in, one_or_many(channels))))
    sizes = None if box_scales is None else tuple(box_scales)
    _check_partners(only, channels=named, among=among, boxes=boxes, box_scales=sizes)
    wanted = {"boxes": boxes or None, "exciting": among, "class-model": steps}
    more = [name for name, how in wanted.items() if how is not None]
    choice = _choose(only, more, named)
    given = _given(pictures)
    _check_target(folder, given, among)
    with hold(folder):
        started = time.perf_counter()
        loaded = loaded_classifier(model, compute, multi_label=None)
        sources = loaded.sources(given, progress)
        asked = (*only, *more, *(["maps"] if layers else []))
        choice = _suited(choice, loaded, only, asked, progress)
        nets = _regressors(boxes, sizes, loaded, compute)
        subjects = _subjects(loaded, sources, scale, label, center=center)
        _check_names(loaded, layers, named)
        options = Options(
            layers=layers, boxes=nets, box_scales=sizes, steps=steps, seed=seed, progress=progress
        )
        found = None
        if among is not None and any(entry.name == "exciting" for entry in choice.entries):
            found = _search(subjects, among, named, top=top, seed=seed, progress=progress)
            options = replace(options, exciting=_exciting(found, named))
        maker = SectionMaker(choice.entries, options, folder)
        parts = maker.write_all(subjects, progress)
        name = f"net {loaded.name} in memory" if model is loaded else printable(model)
        head = _head(name, subjects, choice, found, command)
        seconds = time.perf_counter() - started
        content = write_page(head, parts, [*maker.net.values()], folder, seconds=seconds)
    return ExplainResult(folder, content)


def _check_partners(
    only: Sequence[str],
    *,
    channels: tuple[Channel, ...],
    among: Data | None,
    boxes: Sequence[object],
    box_scales: tuple[int, ...] | None,
) -> None:
    """Refuse settings that depend on a missing one.

    Raises:
        InputError: A required setting is missing.
    """
    if among is None and (channels or "exciting" in only):
        raise InputError(
            "what excites a channel most must be sought somewhere: name a folder of images, or "
            f"a data set, with {option('among')}"
        )
    if ("boxes" in only or box_scales is not None) and not boxes:
        raise InputError(f"where a box came from: name the box regressor with {option('boxes')}")


def _choose(only: Sequence[str], wanted: Sequence[str], channels: tuple[Channel, ...]) -> Choice:
    """Return the sections to create."""
    choice = choose(only, wanted)
    # The images that activate given channels do not depend on the explained image.
    entries = (
        replace(entry, of_net=True) if channels and entry.name == "exciting" else entry
        for entry in choice.entries
    )
    return replace(choice, entries=tuple(entries))


def _suited(
    choice: Choice, model: Classifier, only: Sequence[str], asked: Sequence[str], progress: Progress
) -> Choice:
    """Return the sections that a model can have; log which are left out.

    Args:
        choice: The chosen sections.
        model: The model.
        only: Sections that the user named.
        asked: These, and those that other settings are for.
        progress: Told what is left out.
    """
    if model.net.dimensions == 3:
        choice = of_volumes(choice, asked)
    choice = choice if model.classes else without_classes(choice, only)
    for reason in choice.left_out:
        progress.log(f"left out: {reason}")
    return choice


def _given(pictures: Picture | Iterable[Picture]) -> list[Picture]:
    if isinstance(pictures, str | Path | Image.Image | np.ndarray):
        return [pictures]
    return [*pictures]


def _check_target(out: Path, given: Sequence[Picture], among: Data | None) -> None:
    """Refuse to write among the images, where the next call would read its own figures.

    This excludes given and searched folders with everything below them, and the parent folders of
    given files.
    """
    paths = [expanded(one) for one in given if isinstance(one, str | Path)]
    searched = [expanded(among)] if isinstance(among, str | Path) else []
    for path in (*paths, *searched):
        if path.is_dir() and lies_within(out, path):
            raise InputError(
                f"{out} lies within the images of {path}: choose another {option('out')}"
            )
    for path in paths:
        if path.is_file() and _same_folder(out, path.parent):
            raise InputError(
                f"{out} is the folder of {path}, where a call on it would take the drawings for "
                f"images: choose another {option('out')}, such as {out / 'inside'}"
            )


def _same_folder(one: Path, other: Path) -> bool:
    return one.is_dir() and one.samefile(other)


def _regressors(
    boxes: Sequence[str | Path | Localizer],
    scales: tuple[int, ...] | None,
    model: Classifier,
    compute: Compute,
) -> tuple[Localizer, ...]:
    if boxes and model.multi_label:
        raise InputError("box regressors go with classifiers of one class per image")
    nets = tuple(
        net if isinstance(net, Localizer) else load_localizer(net, compute) for net in boxes
    )
    if nets:
        protocol = BoxProtocol("dense", scales).for_nets([model], nets, len(model.classes))
        check_nets([model], nets, protocol)
    return nets


def _subjects(
    model: Classifier,
    sources: Sequence[Any],
    scale: int | None,
    label: str | None,
    *,
    center: bool,
) -> Subjects:
    center = center or not model.any_size
    if scale is None:
        scale = model.input_size if center else model.test_scales[0]
    model.check_scale(scale)
    return Subjects(
        model, sources, scale, center, None if label is None else find_class(model, label)
    )


def _check_names(model: Classifier, layers: Sequence[str], channels: Sequence[Channel]) -> None:
    for layer in layers:
        check_layer(model.net, layer)
    for channel in channels:
        check_channel(model.net, *channel)


def _search(
    subjects: Subjects,
    among: Data,
    channels: tuple[Channel, ...],
    *,
    top: int,
    seed: int,
    progress: Progress,
) -> ChannelMatches:
    """Search in one pass for what activates the given channels, or each image's strongest."""
    if not channels:
        strongest = (strongest_channels(subject) for subject, _ in subjects)
        channels = tuple(dict.fromkeys(channel for one in strongest for channel in one))
    return search_channels(
        subjects.model,
        among,
        channels,
        scale=subjects.scale,
        top=top,
        seed=seed,
        progress=progress,
    )


def _exciting(found: ChannelMatches, channels: tuple[Channel, ...]) -> Callable[[Subject], Section]:
    return lambda subject: found.section(channels or strongest_channels(subject))


def _head(
    name: str,
    subjects: Subjects,
    choice: Choice,
    found: ChannelMatches | None,
    command: str | None,
) -> Head:
    model = subjects.model
    return Head(
        model=name,
        net=model.name,
        classes=len(model.classes),
        input_size=model.input_size,
        scale=subjects.scale,
        center=subjects.center,
        dimensions=model.net.dimensions,
        device=str(model.machine.device),
        precision=model.machine.precision,
        measured=model.measured,
        command=command,
        left_out=choice.left_out,
        unreadable=(*subjects.unreadable, *(found.unreadable if found else ())),
    )
