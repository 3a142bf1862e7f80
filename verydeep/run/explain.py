"""What happens inside a net on the way of people's own pictures, as a page with drawings."""

from __future__ import annotations

import re
import time
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch
from PIL import Image
from torch import Tensor

from verydeep.classifier import Classifier, load
from verydeep.data.decode import shown
from verydeep.data.geometry import center_window
from verydeep.data.sources import Picture, each_picture
from verydeep.data.testing import TestPictures
from verydeep.errors import InputError, PictureError, did_you_mean
from verydeep.inside.subject import Subject
from verydeep.insight.explain.page import (
    LIKELIEST,
    Part,
    Written,
    sections_as_dict,
    write_input,
    write_page,
    write_section,
)
from verydeep.insight.explain.registry import Choice, Options, choose
from verydeep.insight.figures.theme import theme
from verydeep.progress import Progress
from verydeep.run.predict import free_name

MOST_PIXELS = 2**20
"""Of a picture: every layer's map of it is kept at once, and the gradients besides."""


@dataclass(frozen=True, kw_only=True)
class ExplainRequest:
    """What is to be explained; see :func:`explain`."""

    model: str | Path | Classifier
    pictures: Picture | Iterable[Picture]
    label: str | None = None
    layers: tuple[str, ...] = ()
    scale: int | None = None
    center: bool = False
    only: tuple[str, ...] = ()
    seed: int = 0
    device: str | None = None
    precision: str | None = None
    command: str | None = None


def explain_pictures(
    request: ExplainRequest, out: Path, progress: Progress | None = None
) -> dict[str, Any]:
    """Write the page; see :func:`explain`."""
    started = time.perf_counter()
    progress = progress or Progress()
    choice = choose(request.only)
    for reason in choice.left_out:
        progress.say(f"left out: {reason}")
    given = request.model
    model = (
        given
        if isinstance(given, Classifier)
        else load(given, device=request.device, precision=request.precision)
    )
    sources = list(each_picture(request.pictures))
    parts, net, unreadable = _write_parts(request, model, sources, choice, out, progress)
    value = {
        "out": str(out),
        "model": model.name if isinstance(given, Classifier) else str(given),
        "net": model.name,
        "input_size": model.input_size,
        "device": str(model.machine.device),
        "precision": model.machine.precision,
        "command": request.command,
        "left_out": list(choice.left_out),
        "unreadable": unreadable,
        "pictures": [part.to_dict() for part in parts],
        "net_sections": sections_as_dict(net),
        "seconds": time.perf_counter() - started,
    }
    write_page(value, parts, net, out)
    return value


def _write_parts(
    request: ExplainRequest,
    model: Classifier,
    sources: list[Path | Image.Image],
    choice: Choice,
    out: Path,
    progress: Progress,
) -> tuple[list[Part], list[Written], list[str]]:
    options = Options(layers=request.layers, seed=request.seed)
    taken = {"net"}
    parts: list[Part] = []
    net: list[Written] = []
    unreadable: list[str] = []
    with theme(), progress.task("sections", len(sources) * len(choice.entries)) as task:
        for done, (source, subject) in enumerate(_subjects(request, model, sources, unreadable)):
            key = free_name(_slug(subject.name), taken)
            written: list[Written] = []
            for number, entry in enumerate(choice.entries):
                if entry.of_net and net:
                    continue
                section = entry.make(subject, options)
                target = net if entry.of_net else written
                target.append(write_section(section, out, "net" if entry.of_net else key))
                task.update(done * len(choice.entries) + number + 1, f"{key}: {entry.name}")
            parts.append(_part(subject, source, key, tuple(written), out))
    if not parts:
        raise PictureError("none of the pictures can be read:\n  " + "\n  ".join(unreadable))
    return parts, net, unreadable


def _subjects(
    request: ExplainRequest,
    model: Classifier,
    sources: list[Path | Image.Image],
    unreadable: list[str],
) -> Iterator[tuple[Path | None, Subject]]:
    """Yield every readable picture as it stands in front of the net, with its file."""
    scale = request.scale or (model.input_size if request.center else model.test_scales[0])
    model.check_scale(scale)
    label = None if request.label is None else find_class(model, request.label)
    pictures = TestPictures(sources, (scale,))
    for picture in pictures:
        source = sources[picture.index]
        file = source if isinstance(source, Path) else None
        pixels = torch.from_numpy(picture.at(scale).copy()).permute(2, 0, 1)
        name = file.name if file else f"picture {picture.index + 1}"
        yield file, make_subject(model, name, pixels, label, center=request.center)
    unreadable.extend(pictures.unreadable.values())


def make_subject(
    model: Classifier, name: str, pixels: Tensor, label: int | None = None, *, center: bool = False
) -> Subject:
    """Stand a picture in front of a net.

    Args:
        model: The net.
        name: Of the picture.
        pixels: uint8 (3, H, W), rescaled.
        label: The class that is asked about; None takes the likeliest.
        center: Whether the net is shown the central square of its input size alone.
    """
    if center:
        height, width = pixels.shape[1:]
        window = center_window(height, width, model.input_size)
        pixels = pixels[:, window.top :, window.left :][:, : window.height, : window.width]
    scores = model.score_map(pixels[None])[0].mean((1, 2))
    probabilities = scores.softmax(0).cpu()
    chosen = int(probabilities.argmax()) if label is None else label
    return Subject(model, name, pixels.contiguous(), probabilities, chosen)


def find_class(model: Classifier, name: str) -> int:
    """Return the number of a class, given its name or its title.

    Raises:
        InputError: The model has no such class.
    """
    titles = [model.title(label) for label in range(len(model.classes))]
    for names in (list(model.classes), titles):
        if name in names:
            return names.index(name)
    known = ", ".join(titles[:20]) + (", …" if len(titles) > 20 else "")
    raise InputError(
        f"the model knows no class {name!r}; it knows {known}"
        f"{did_you_mean(name, [*model.classes, *titles])}"
    )


def _part(
    subject: Subject, source: Path | None, key: str, sections: tuple[Written, ...], out: Path
) -> Part:
    _, height, width = subject.pixels.shape
    likely = subject.probabilities.argsort(descending=True, stable=True)[:LIKELIEST].tolist()
    labels = dict.fromkeys([*likely, subject.label])
    side = subject.model.net.final_map - 1
    return Part(
        key=key,
        name=shown(subject.name),
        source=shown(source) if source else "from memory",
        file=write_input(subject, out, key),
        height=height,
        width=width,
        positions=(height // 32 - side, width // 32 - side),
        asked=subject.title,
        ranking=tuple(
            (subject.model.title(label), float(subject.probabilities[label])) for label in labels
        ),
        sections=sections,
    )


def _slug(name: str) -> str:
    """Return a name for a folder: lower case letters, digits and hyphens.

    >>> _slug("My cat (2).JPG"), _slug("猫.png")
    ('my-cat-2', 'picture')
    """
    stem = Path(name).stem.lower()
    return re.sub(r"[^a-z0-9]+", "-", stem).strip("-")[:40].strip("-") or "picture"
