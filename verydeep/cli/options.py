"""Options shared by several verbs, and parsing of their values."""

from __future__ import annotations

import os
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Annotated, TypeVar

import typer

from verydeep.cli.completion import layouts_beginning, nets_beginning, recipes_beginning
from verydeep.errors import InputError, PictureError
from verydeep.nets.registry import in_words

N = TypeVar("N", int, float)

Data = Annotated[
    str,
    typer.Argument(
        help="Folder with one folder per class; table; COCO, VOC, ImageNet, shards; hf:owner/name; "
        "or a name such as digits."
    ),
]
Model = Annotated[
    str,
    typer.Argument(
        help="Model or run folder, exported file, hf:owner/name, or torchvision/NAME[:WEIGHTS "
        "or :FILE]."
    ),
]
VggClassifier = Annotated[
    str,
    typer.Argument(
        help="Model or run folder of a classifier, hf:owner/name, or torchvision/vgg16 and the "
        "like."
    ),
]
Json = Annotated[bool, typer.Option("--json", help="Print one JSON object and nothing else.")]
Net = Annotated[str | None, typer.Option(help=f"{in_words()}.", autocompletion=nets_beginning)]
RecipeName = Annotated[
    str,
    typer.Option(
        help="auto (chosen for the data and this machine), transfer (from a pretrained net), "
        "fine-tune, paper, small, localization, or a file.",
        autocompletion=recipes_beginning,
    ),
]
GroupBy = Annotated[
    str | None,
    typer.Option(
        metavar="RULE",
        help="Groups that no drawn split divides, such as the images of one patient: column:NAME "
        "of a table, name:REGEX on the path, or folder.",
    ),
]
Layout = Annotated[
    str | None,
    typer.Option(help="Folder layout; default: detected.", autocompletion=layouts_beginning),
]

Task = Annotated[
    str | None,
    typer.Option(
        help="multi-label: several labels per image, or none (tables, COCO, Pascal VOC); "
        "classification: one class; default: the data decide.",
    ),
]


Boxes = Annotated[
    list[str] | None,
    typer.Option(metavar="RUN", help="Box regressor that locates the objects; repeatable."),
]


def check_files(files: Sequence[str]) -> None:
    """Refuse missing images before any slow work.

    Raises:
        PictureError: A file does not exist.
    """
    for file in files:
        if not os.path.lexists(Path(file)):
            raise PictureError(f"{file}: no such file or folder")


def scales_in(text: str | None) -> tuple[int, ...] | str | None:
    """Parse test scales: ``single``, ``multi`` or comma-separated numbers.

    Raises:
        InputError: The text has another form.
    """
    if text is None or text in ("single", "multi"):
        return text
    return sizes_in(text, "--scales must be single, multi, or whole numbers")


def sizes_in(text: str, rule: str) -> tuple[int, ...]:
    """Parse comma-separated whole numbers.

    Args:
        text: Value of the option.
        rule: Name and rule of the option, for the error message.

    Raises:
        InputError: The text has another form.
    """
    return numbers_in(text, f"{rule} like 256 or 256,384,512", int)


def costs_in(text: str) -> tuple[float, ...]:
    """Parse comma-separated values of an SVM's C.

    Raises:
        InputError: The text has another form.
    """
    return numbers_in(text, "--C must be a number like 10, or several like 0.1,1,10", float)


def numbers_in(text: str, rule: str, kind: Callable[[str], N]) -> tuple[N, ...]:
    """Parse comma-separated numbers.

    Args:
        text: Value of the option.
        rule: Name and rule of the option, for the error message.
        kind: Parses one number; raises a ValueError if it is none.

    Raises:
        InputError: The text has another form.
    """
    try:
        return tuple(kind(part) for part in text.split(","))
    except ValueError:
        raise InputError(f"{rule}, got {text!r} instead") from None


def grid_in(text: str) -> tuple[int, int]:
    """Parse rows and columns from ``5x5`` or ``5``.

    Raises:
        InputError: The text has another form.
    """
    rows, _, columns = text.partition("x")
    try:
        return int(rows), int(columns or rows)
    except ValueError:
        raise InputError(f"--grid must be like 5x5 or 3x4, got {text!r} instead") from None
