"""Options that several verbs of the program share, and what is read out of their words."""

from __future__ import annotations

import os
from collections.abc import Sequence
from pathlib import Path
from typing import Annotated

import typer

from verydeep.cli.completion import layouts_beginning, nets_beginning, recipes_beginning
from verydeep.errors import InputError, PictureError
from verydeep.nets.registry import in_words

Data = Annotated[
    str,
    typer.Argument(
        help="A folder with a folder a class; a table; COCO, VOC, ImageNet, shards; hf:owner/name; "
        "a name like digits."
    ),
]
Json = Annotated[bool, typer.Option("--json", help="Print one JSON object and nothing else.")]
Net = Annotated[str | None, typer.Option(help=f"{in_words()}.", autocompletion=nets_beginning)]
RecipeName = Annotated[
    str,
    typer.Option(
        help="auto (chosen for the data and this machine), paper, small, localization, or a file.",
        autocompletion=recipes_beginning,
    ),
]
Layout = Annotated[
    str | None,
    typer.Option(help="How the data lie; default: look at them.", autocompletion=layouts_beginning),
]


Boxes = Annotated[
    list[str] | None,
    typer.Option(metavar="RUN", help="Box net that says where things are; may be repeated."),
]


def check_files(files: Sequence[str]) -> None:
    """Refuse images that do not exist, before anything slow is begun.

    Raises:
        PictureError: One does not.
    """
    for file in files:
        if not os.path.lexists(Path(file)):
            raise PictureError(f"{file}: no such file or folder")


def scales_in(text: str | None) -> tuple[int, ...] | str | None:
    """Return test scales from ``single``, ``multi`` or numbers with commas between them.

    Raises:
        InputError: It is neither.
    """
    if text is None or text in ("single", "multi"):
        return text
    return sizes_in(text, "--scales must be single, multi, or whole numbers")


def sizes_in(text: str, rule: str) -> tuple[int, ...]:
    """Return whole numbers with commas between them.

    Args:
        text: What was given.
        rule: Which option it was, and what it must be.

    Raises:
        InputError: They are none.
    """
    try:
        return tuple(int(part) for part in text.split(","))
    except ValueError:
        raise InputError(f"{rule} like 256 or 256,384,512, got {text!r} instead") from None


def costs_in(text: str) -> tuple[float, ...]:
    """Return values of an SVM's C from numbers with commas between them.

    Raises:
        InputError: They are none.
    """
    try:
        return tuple(float(part) for part in text.split(","))
    except ValueError:
        raise InputError(
            f"--C must be a number like 10, or several like 0.1,1,10, got {text!r} instead"
        ) from None


def grid_in(text: str) -> tuple[int, int]:
    """Return rows and columns from ``5x5`` or ``5``.

    Raises:
        InputError: It is neither.
    """
    rows, _, columns = text.partition("x")
    try:
        return int(rows), int(columns or rows)
    except ValueError:
        raise InputError(f"--grid must be like 5x5 or 3x4, got {text!r} instead") from None
