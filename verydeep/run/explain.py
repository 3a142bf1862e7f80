"""What happens inside a net on the way of people's own images, as a page with drawings."""

from __future__ import annotations

import re
import time
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np
from PIL import Image

from verydeep.data.images.inputs import Picture, list_pictures
from verydeep.errors import InputError, PictureError, printable
from verydeep.inspection.layers import check_channel
from verydeep.inspection.subject import LoadedSubject, Subject, Subjects, find_class
from verydeep.inspection.top_activations import Channel, strongest_channels
from verydeep.localization.detect import check_nets
from verydeep.localization.localizer import Localizer, load_localizer
from verydeep.localization.protocol import make_box_protocol
from verydeep.models.classifier import Classifier, load
from verydeep.nets.layer_outputs import check_layer
from verydeep.run.channel_search import ChannelMatches, channel_in, search_channels
from verydeep.run.explain_result import ExplainResult
from verydeep.run.predict import free_name
from verydeep.system.files import lies_within
from verydeep.system.locks import hold
from verydeep.system.option_names import option
from verydeep.system.progress import Progress, ProgressTask, ProgressWish, choose_progress
from verydeep.visualization.inspection.page import (
    Head,
    ImagePart,
    WrittenSection,
    write_page,
    write_part,
    write_section,
)
from verydeep.visualization.inspection.sections import Choice, Entry, Options, choose
from verydeep.visualization.lecture.theme import theme


@dataclass(frozen=True, kw_only=True)
class ExplainRequest:
    """What is to be explained; see :func:`explain`."""

    model: str | Path | Classifier
    pictures: Picture | Iterable[Picture]
    label: str | None = None
    layers: tuple[str, ...] = ()
    channels: tuple[str, ...] = ()
    among: str | Path | None = None
    top: int = 9
    scale: int | None = None
    center: bool = False
    only: tuple[str, ...] = ()
    boxes: tuple[str | Path | Localizer, ...] = ()
    box_scales: tuple[int, ...] | None = None
    steps: int | None = None
    seed: int = 0
    device: str | None = None
    precision: str | None = None
    command: str | None = None


def explain(
    model: str | Path | Classifier,
    pictures: Picture | Iterable[Picture],
    out: str | Path,
    *,
    label: str | None = None,
    layers: Iterable[str] = (),
    channels: Iterable[str] = (),
    among: str | Path | None = None,
    top: int = 9,
    scale: int | None = None,
    center: bool = False,
    only: Iterable[str] = (),
    boxes: Iterable[str | Path | Localizer] = (),
    box_scales: Iterable[int] | None = None,
    steps: int | None = None,
    seed: int = 0,
    device: str | None = None,
    precision: str | None = None,
    progress: ProgressWish = None,
) -> ExplainResult:
    """Look inside a net: what it makes of images, layer by layer, as a page with drawings.

    Args:
        model: Model or run folder of a classifier, or a loaded one.
        pictures: As for :meth:`verydeep.Classifier.predict`.
        out: Folder for ``index.html``, ``explain.json`` and a folder of drawings an image; it is
            made if need be.
        label: The class that is asked about, by name or title; None takes each image's likeliest.
        layers: Layers that are drawn besides those that always are, like ``conv3_1``.
        channels: Channels like ``conv3_3:17``: what excites them most is sought in ``among``.
        among: A folder of images, or a data set; without ``channels``, what is sought excites
            the strongest channel of each block.
        top: Images that are shown for a channel.
        scale: Smallest side that an image is rescaled to; None takes the first that the model
            was tested at, or with ``center`` the net's input size.
        center: Show the net the central square of its input size alone, not the whole image.
        only: Names of sections, see :data:`verydeep.visualization.inspection.sections.ENTRIES`;
            without any, all that are about the image, and the first filters.
        boxes: Box nets, or their model or run folders: where their box came from is then on the
            page.
        box_scales: Test scales of the box nets, in pixels; None takes those of the first.
        steps: Along the gradient to a class model, which is then on the page; None takes the usual
            number, if it is there by ``only``.
        seed: Of what is drawn by lot.
        device: Where to compute; None decides.
        precision: ``bf16`` or ``fp32``; None decides.
        progress: Where to report to; None reports in a notebook and to a terminal, False is
            silent, True reports anyway.

    Returns:
        The page, and by key what ``explain.json`` holds: the facts of every section of every
        image, the files, and what was left out.

    Raises:
        InputError: The model, an image's path or a setting cannot be used.
        PictureError: None of the images can be read.
        MissingExtra: A section that was asked for needs a package that is not installed.
    """
    progress = choose_progress(progress)
    request = ExplainRequest(
        model=model,
        pictures=pictures,
        label=label,
        layers=tuple(layers),
        channels=tuple(channels),
        among=among,
        top=top,
        scale=scale,
        center=center,
        only=tuple(only),
        boxes=tuple(boxes),
        box_scales=None if box_scales is None else tuple(box_scales),
        steps=steps,
        seed=seed,
        device=device,
        precision=precision,
    )
    folder = Path(out).expanduser()
    return ExplainResult(folder, explain_pictures(request, folder, progress))


def explain_pictures(
    request: ExplainRequest, out: Path, progress: Progress | None = None
) -> dict[str, Any]:
    """Write the page; see :func:`explain`."""
    progress = progress or Progress()
    choice, channels = _choose(request)
    given = _given(request.pictures)
    sources = list_pictures(given, progress)
    _check_target(out, given)
    with hold(out):
        return _explain(request, out, sources, choice, channels, progress)


def _explain(
    request: ExplainRequest,
    out: Path,
    sources: Sequence[Any],
    choice: Choice,
    channels: tuple[Channel, ...],
    progress: Progress,
) -> dict[str, Any]:
    started = time.perf_counter()
    for reason in choice.left_out:
        progress.log(f"left out: {reason}")
    model = _model(request)
    nets = _box_nets(request, model)
    subjects = _subjects(request, model, sources)
    _check_names(model, request.layers, channels)
    found = _hunt(request, subjects, channels, choice, progress)
    try:
        with theme():
            maker = _Maker(choice.entries, _options(request, found, channels, nets, progress), out)
            parts = maker.write(subjects, progress)
    except OSError as error:
        raise InputError(f"{out}: cannot be written ({error.strerror or error})") from error
    if not parts:
        raise PictureError(
            "none of the images can be looked into:\n  " + "\n  ".join(subjects.unreadable)
        )
    head = _head(request, model, subjects, choice, found)
    return write_page(
        head, parts, [*maker.net.values()], out, seconds=time.perf_counter() - started
    )


def _choose(request: ExplainRequest) -> tuple[Choice, tuple[Channel, ...]]:
    """Return the sections that are to be made, and the channels that were named."""
    channels = tuple(dict.fromkeys(map(channel_in, request.channels)))
    if request.among is None and (channels or "exciting" in request.only):
        raise InputError(
            "what excites a channel most must be sought somewhere: name a folder of images, or "
            f"a data set, with {option('among')}"
        )
    if ("boxes" in request.only or request.box_scales is not None) and not request.boxes:
        raise InputError(f"where a box came from: name the box net with {option('boxes')}")
    wanted = {
        "boxes": request.boxes or None,
        "exciting": request.among,
        "class-model": request.steps,
    }
    choice = choose(request.only, [name for name, how in wanted.items() if how is not None])
    # What excites given channels is the same whatever the image.
    entries = (
        replace(entry, of_net=True) if channels and entry.name == "exciting" else entry
        for entry in choice.entries
    )
    return replace(choice, entries=tuple(entries)), channels


def _given(pictures: Picture | Iterable[Picture]) -> list[Picture]:
    if isinstance(pictures, str | Path | Image.Image | np.ndarray):
        return [pictures]
    return [*pictures]


def _check_target(out: Path, given: Sequence[Picture]) -> None:
    """Refuse to write among the images, where the next call would find its own drawings.

    Of a folder that was given, that is the folder and all below; of a file, the folder it lies in.
    """
    for one in given:
        path = Path(one).expanduser() if isinstance(one, str | Path) else None
        if path and path.is_dir() and lies_within(out, path):
            raise InputError(
                f"{out} lies within the images of {path}: choose another {option('out')}"
            )
        if path and path.is_file() and _same_folder(out, path.parent):
            raise InputError(
                f"{out} is the folder of {path}, where a call on it would take the drawings for "
                f"images: choose another {option('out')}, such as {out / 'inside'}"
            )


def _same_folder(one: Path, other: Path) -> bool:
    return one.is_dir() and one.samefile(other)


def _model(request: ExplainRequest) -> Classifier:
    given = request.model
    if isinstance(given, Classifier):
        return given
    return load(given, device=request.device, precision=request.precision)


def _box_nets(request: ExplainRequest, model: Classifier) -> tuple[Localizer, ...]:
    nets = tuple(
        net
        if isinstance(net, Localizer)
        else load_localizer(net, device=request.device, precision=request.precision)
        for net in request.boxes
    )
    if nets:
        scales = request.box_scales
        protocol = make_box_protocol("dense", nets[0].test_scales if scales is None else scales)
        check_nets([model], nets, protocol)
    return nets


def _subjects(request: ExplainRequest, model: Classifier, sources: Sequence[Any]) -> Subjects:
    scale = request.scale
    if scale is None:
        scale = model.input_size if request.center else model.test_scales[0]
    model.check_scale(scale)
    label = None if request.label is None else find_class(model, request.label)
    return Subjects(model, sources, scale, request.center, label)


def _check_names(model: Classifier, layers: Sequence[str], channels: Sequence[Channel]) -> None:
    for layer in layers:
        check_layer(model.net, layer)
    for channel in channels:
        check_channel(model.net, *channel)


def _hunt(
    request: ExplainRequest,
    subjects: Subjects,
    channels: tuple[Channel, ...],
    choice: Choice,
    progress: Progress,
) -> ChannelMatches | None:
    """Seek what excites the channels, or the strongest ones of all images, in one pass."""
    if request.among is None or not any(entry.name == "exciting" for entry in choice.entries):
        return None
    if not channels:
        strongest = (strongest_channels(subject) for subject, _ in subjects)
        channels = tuple(dict.fromkeys(channel for one in strongest for channel in one))
    return search_channels(
        subjects.model,
        request.among,
        channels,
        scale=subjects.scale,
        top=request.top,
        seed=request.seed,
        progress=progress,
    )


def _options(
    request: ExplainRequest,
    found: ChannelMatches | None,
    channels: tuple[Channel, ...],
    nets: tuple[Localizer, ...],
    progress: Progress,
) -> Options:
    exciting = None
    if found:
        quarry = found

        def exciting(subject: Subject) -> Any:
            return quarry.section(channels or strongest_channels(subject))

    return Options(
        layers=request.layers,
        exciting=exciting,
        boxes=nets,
        box_scales=request.box_scales,
        steps=request.steps,
        seed=request.seed,
        progress=progress,
    )


@dataclass
class _Maker:
    """Makes the sections of one image after the other, and those of the net once."""

    entries: Sequence[Entry]
    options: Options
    out: Path

    def __post_init__(self) -> None:
        self.net: dict[str, WrittenSection] = {}
        self.of_class: dict[tuple[str, int], WrittenSection] = {}
        self.taken = {"net"}

    def write(self, subjects: Subjects, progress: Progress) -> list[ImagePart]:
        """Write the drawings of all images, and return what the page says of them."""
        parts = []
        with progress.task("sections", len(subjects) * len(self.entries)) as task:
            for done, found in enumerate(subjects):
                parts.append(self._write(found, task, done * len(self.entries)))
        return parts

    def _write(self, found: LoadedSubject, task: ProgressTask, done: int) -> ImagePart:
        subject = found.subject
        options = replace(self.options, source=found.source)
        key = free_name(_slug(subject.name), self.taken)
        written = []
        for number, entry in enumerate(self.entries, start=done):
            task.update(number, f"{subject.name}: {entry.name}")
            if entry.of_net:
                if entry.name not in self.net:
                    self.net[entry.name] = self._make(entry, subject, options, "net")
            elif entry.of_class:
                of_class = (entry.name, subject.label)
                if of_class not in self.of_class:
                    self.of_class[of_class] = self._make(entry, subject, options, key)
                written.append(self.of_class[of_class])
            else:
                written.append(self._make(entry, subject, options, key))
        file = printable(found.source) if isinstance(found.source, Path) else "memory"
        return write_part(subject, file, key, written, self.out)

    def _make(self, entry: Entry, subject: Subject, options: Options, key: str) -> WrittenSection:
        return write_section(entry.make(subject, options), self.out, key)


def _head(
    request: ExplainRequest,
    model: Classifier,
    subjects: Subjects,
    choice: Choice,
    found: ChannelMatches | None,
) -> Head:
    given = request.model
    return Head(
        model=f"net {model.name} in memory" if isinstance(given, Classifier) else printable(given),
        net=model.name,
        classes=len(model.classes),
        input_size=model.input_size,
        scale=subjects.scale,
        center=request.center,
        device=str(model.machine.device),
        precision=model.machine.precision,
        measured=model.measured,
        command=request.command,
        left_out=choice.left_out,
        unreadable=(*subjects.unreadable, *(found.unreadable if found else ())),
    )


def _slug(name: str) -> str:
    """Return a name for a folder: lower case letters, digits and hyphens.

    >>> _slug("My cat (2).JPG"), _slug("猫.png")
    ('my-cat-2', 'image')
    """
    stem = Path(name).stem.lower()
    return re.sub(r"[^a-z0-9]+", "-", stem).strip("-")[:40].strip("-") or "picture"
