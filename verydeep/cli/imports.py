"""Verb ``import``: weights of other frameworks."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated, Any

import typer

from verydeep.cli.groups import option_group
from verydeep.cli.options import Json, numbers_in
from verydeep.cli.output import print_result
from verydeep.errors import InputError
from verydeep.system.settings import Compute

IMPORT_EXAMPLES = (
    "Examples:  verydeep import keras/vgg16 --out models/d   |   verydeep import "
    "VGG_ILSVRC_19_layers.caffemodel --out models/e   |   verydeep import pets.onnx --out "
    "models/pets --channels bgr --classes names.txt --verify cat.jpg   |   verydeep weights"
)


@option_group("compute", Compute, "device", "precision")
def import_(
    *,
    source: Annotated[
        str,
        typer.Argument(
            help="A file of PyTorch, Keras, Caffe, MatConvNet or ONNX, or a name such as "
            "keras/vgg16 (downloaded once; verydeep weights lists them).",
        ),
    ],
    out: Annotated[Path, typer.Option(help="Model folder to write.")],
    compute: dict[str, Any],
    channels: Annotated[
        str | None, typer.Option(help="rgb or bgr, what the source's net reads; default: known.")
    ] = None,
    mean: Annotated[
        str | None, typer.Option(help="Mean red, green, blue, 0 to 255: 123.68,116.779,103.939.")
    ] = None,
    std: Annotated[
        str | None, typer.Option(help="Deviations of red, green, blue, 0 to 255: 58.4,57.1,57.4.")
    ] = None,
    resize: Annotated[
        int | None, typer.Option(min=1, help="Smallest side before the central crop, pixels.")
    ] = None,
    classes: Annotated[
        Path | None, typer.Option(help="File with a class name a line, in the order of outputs.")
    ] = None,
    verify: Annotated[
        list[Path] | None,
        typer.Option(help="Image to run through the source's own library, too; repeatable."),
    ] = None,
    as_json: Json = False,
) -> None:
    """Make a model of the weights of another framework, with the same scores.

    Every layer is listed with its origin, and everything that was taken for granted with the way
    it is known.
    """
    from verydeep.run.import_weights import import_weights
    from verydeep.system.progress import console_progress

    result = import_weights(
        source,
        out,
        channels=channels,  # type: ignore[arg-type]
        mean=_three_numbers("--mean", mean),
        std=_three_numbers("--std", std),
        resize=resize,
        classes=None if classes is None else _names_in(classes),
        verify=verify or (),
        compute=Compute(**compute),
        progress=console_progress(),
    )
    print_result(result.to_dict(), "\n".join([*result.lines(), f"model {out}"]), as_json)


def _three_numbers(flag: str, text: str | None) -> tuple[float, float, float] | None:
    if text is None:
        return None
    rule = f"{flag} must be three numbers with commas between them (red, green, blue)"
    numbers = numbers_in(text, rule, float)
    if len(numbers) != 3:
        raise InputError(f"{rule}, got {text!r} instead")
    return numbers


def _names_in(path: Path) -> list[str]:
    try:
        # Editors of Windows begin a file with a mark. Only an end of line ends a name.
        lines = path.read_text("utf-8-sig").split("\n")
    except (OSError, UnicodeDecodeError) as error:
        raise InputError(f"{path}: cannot be read as text ({error})") from error
    return [line.strip() for line in lines if line.strip()]
